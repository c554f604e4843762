# cython: boundscheck=False, wraparound=False
"""Waiting for bare descriptors: one epoll set that an event loop watches as one (Linux).

A loop's own reader costs it two system calls and two objects for each descriptor; a
transport costs more. Whoever joins here has one token for a pair of descriptors.
"""

import os

from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.errno cimport errno
from libc.stdint cimport uint32_t, uint64_t

from fastsocks.net._epoll cimport (
    EPOLL_CLOEXEC,
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    EPOLL_CTL_MOD,
    close,
    epoll_create1,
    epoll_event,
    epoll_wait,
    watch,
)

cdef enum:
    # Events handled before the loop's other work gets its turn.
    EVENT_BATCH = 256
    FIRST_ROOM = 64


cdef class Poller:
    """An epoll set, whose members are told in the turns of an event loop.

    :param loop: the running event loop.
    """

    def __cinit__(self):
        self._epoll = -1
        self._free = -1

    def __init__(self, loop):
        self._loop = loop

    def __dealloc__(self):
        cdef int i
        for i in range(self._room):
            if self._slots[i].owner is not NULL:
                Py_DECREF(<object>self._slots[i].owner)
        PyMem_Free(self._slots)
        if self._epoll >= 0:
            close(self._epoll)

    cdef uint64_t add(self, object owner, Handler handler) except 0:
        cdef int place
        cdef Slot* slot
        if self._epoll < 0:
            self._open()
        if self._free < 0:
            self._grow()
        place = self._free
        slot = &self._slots[place]
        self._free = slot.next_free
        self._used += 1
        Py_INCREF(owner)
        slot.owner = <void*>owner
        slot.handler = handler
        return (<uint64_t>place << 33) | (<uint64_t>slot.generation << 1)

    cdef int pass_on(self, uint64_t token, object owner, Handler handler) except -1:
        cdef Slot* slot = &self._slots[token >> 33]
        former = <object>slot.owner
        Py_DECREF(former)
        Py_INCREF(owner)
        slot.owner = <void*>owner
        slot.handler = handler
        return 0

    cdef int remove(self, uint64_t token) except -1:
        cdef Slot* slot = &self._slots[token >> 33]
        former = <object>slot.owner
        slot.owner = NULL
        slot.generation += 1
        if slot.generation == 0:
            slot.generation = 1
        slot.next_free = self._free
        self._free = <int>(token >> 33)
        self._used -= 1
        Py_DECREF(former)
        if self._used == 0 and not self._held:
            self._shut()
        return 0

    cdef int watch(self, uint64_t token, int end, int fd, uint32_t events) except -1:
        return _checked(watch(self._epoll, EPOLL_CTL_ADD, fd, events, token | end))

    cdef int watch_again(self, uint64_t token, int end, int fd, uint32_t events) except -1:
        return _checked(watch(self._epoll, EPOLL_CTL_MOD, fd, events, token | end))

    cdef int unwatch(self, int fd) except -1:
        return _checked(watch(self._epoll, EPOLL_CTL_DEL, fd, 0, 0))

    cdef void forget(self, int fd) noexcept:
        watch(self._epoll, EPOLL_CTL_DEL, fd, 0, 0)

    cdef int hold(self) except -1:
        if self._epoll < 0:
            self._open()
        self._held = True
        return 0

    cdef int release(self) except -1:
        self._held = False
        if self._used == 0 and self._epoll >= 0:
            self._shut()
        return 0

    cdef int _open(self) except -1:
        cdef int epoll = epoll_create1(EPOLL_CLOEXEC)
        if epoll < 0:
            raise OSError(errno, os.strerror(errno))
        try:
            self._loop.add_reader(epoll, self._poll)
        except BaseException:
            close(epoll)
            raise
        self._epoll = epoll
        return 0

    cdef int _shut(self) except -1:
        self._loop.remove_reader(self._epoll)
        close(self._epoll)
        self._epoll = -1
        return 0

    cdef int _grow(self) except -1:
        cdef int room = max(FIRST_ROOM, 2 * self._room), place
        cdef Slot* slots = <Slot*>PyMem_Realloc(self._slots, room * sizeof(Slot))
        if slots is NULL:
            raise MemoryError
        self._slots = slots
        for place in range(room - 1, self._room - 1, -1):
            slots[place].owner = NULL
            slots[place].generation = 1
            slots[place].next_free = self._free
            self._free = place
        self._room = room
        return 0

    def _poll(self):
        cdef epoll_event events[EVENT_BATCH]
        cdef int count = epoll_wait(self._epoll, events, EVENT_BATCH, 0)
        cdef int i
        cdef uint64_t token
        cdef Slot* slot
        for i in range(count):
            token = events[i].data.u64
            slot = &self._slots[token >> 33]
            # An event may outlive its descriptor.
            if slot.owner is NULL or slot.generation != <uint32_t>(token >> 1):
                continue
            owner = <object>slot.owner
            try:
                slot.handler(owner, <int>(token & 1), events[i].events)
            except Exception as error:
                # The others would not be told again.
                self._loop.call_exception_handler(
                    {"message": "a ready descriptor was not handled", "exception": error}
                )


cdef int _checked(int result) except -1:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return 0
