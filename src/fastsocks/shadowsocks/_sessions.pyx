# cython: boundscheck=False, wraparound=False
"""The sessions of a 2022 server's clients in Cython; the twin of ``_sessions_py.py``.

A hash table of its own, because the key of a Python dictionary would be an object for every
packet. The order by last use is a list that runs through the sessions.
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from fastsocks.crypto._primitives cimport random_raw

cdef enum:
    _LARGEST_LIMIT = 1 << 24


cdef class ServerSession(PacketSession):
    """A client's session and ours that answers it; see the twin."""

    # The one that Cython would make copies pointers and counters.
    def __reduce__(self):
        raise TypeError("a session can be neither copied nor pickled")

    @property
    def client_session_id(self):
        """The client's session ID, 8 bytes."""
        return PyBytes_FromStringAndSize(<char*>self.client_id, ID_SIZE)

    @property
    def server_session_id(self):
        """The session ID of our answers, 8 bytes, or None before the first of them."""
        return PyBytes_FromStringAndSize(<char*>self.server_id, ID_SIZE) if self.begun else None

    @property
    def packet_id(self):
        """The packet ID of the next answer."""
        return self.next_id


# Cleared with the table alive, `_sessions` would leave dangling pointers behind. Sessions that
# refer to each other are taken apart at `association`.
@cython.no_gc_clear
cdef class SessionTable:
    """Sessions by the client's ID, bounded, and in the order of their last use; see the twin."""

    def __cinit__(self, Py_ssize_t limit, int64_t retention):
        if not 1 <= limit <= _LARGEST_LIMIT:
            raise ValueError(f"a table of {limit} sessions: it has 1 to {_LARGEST_LIMIT}")
        self._sessions = set()
        self._limit = limit
        self._retention = retention
        self._bucket_count = 16
        self._shift = 60
        self._buckets = <PyObject**>PyMem_Calloc(self._bucket_count, sizeof(PyObject*))
        if self._buckets is NULL:
            raise MemoryError
        # Secret, so that no client can choose IDs that crowd together in one bucket.
        if random_raw(<uint8_t*>&self._multiplier, sizeof(self._multiplier)):
            raise OSError("the kernel gives no random bytes")
        self._multiplier |= 1

    def __dealloc__(self):
        PyMem_Free(self._buckets)

    # The one that Cython would make copies the pointers.
    def __reduce__(self):
        raise TypeError("a table of sessions can be neither copied nor pickled")

    def __len__(self):
        """How many sessions there are."""
        return len(self._sessions)

    cdef uint64_t _bucket_of(self, const uint8_t* client_id) noexcept:
        cdef uint64_t number = 0
        memcpy(&number, client_id, ID_SIZE)
        return number * self._multiplier >> self._shift

    cdef PyObject* find(self, const uint8_t* client_id) noexcept:
        cdef PyObject* session = self._buckets[self._bucket_of(client_id)]
        cdef uint64_t wanted = 0, number = 0
        memcpy(&wanted, client_id, ID_SIZE)
        while session is not NULL:
            memcpy(&number, (<ServerSession>session).client_id, ID_SIZE)
            if number == wanted:
                break
            session = (<ServerSession>session)._next
        return session

    cdef int add(self, ServerSession session, int64_t now) except -1:
        self.expire(now)
        while <Py_ssize_t>len(self._sessions) >= self._limit:
            self._remove(self._oldest)
        if <uint64_t>len(self._sessions) >= self._bucket_count:
            self._grow()
        self._sessions.add(session)
        session.last_used = now
        self._insert(<PyObject*>session)
        self._append(<PyObject*>session)
        return 0

    cdef void touch(self, PyObject* session, int64_t now) noexcept:
        (<ServerSession>session).last_used = now
        if session != self._newest:
            self._unlink(session)
            self._append(session)

    cdef int forget(self, ServerSession session) except -1:
        if session in self._sessions:
            self._remove(<PyObject*>session)
        return 0

    cdef Py_ssize_t expire(self, int64_t now) except -1:
        cdef Py_ssize_t before = len(self._sessions)
        cdef int64_t idle
        while self._oldest is not NULL:
            if (<ServerSession>self._oldest).association is not None:
                # It lasts as long as that.
                break
            idle = now - (<ServerSession>self._oldest).last_used
            # A clock that was set back by more than that makes every session look new.
            if -self._retention < idle < self._retention:
                break
            self._remove(self._oldest)
        return before - <Py_ssize_t>len(self._sessions)

    cdef int _remove(self, PyObject* session) except -1:
        cdef ServerSession removed = <ServerSession>session
        cdef PyObject** link = &self._buckets[self._bucket_of(removed.client_id)]
        while link[0] != session:
            link = &(<ServerSession>link[0])._next
        link[0] = removed._next
        removed._next = NULL
        self._unlink(session)
        self._sessions.remove(removed)
        return 0

    cdef int _grow(self) except -1:
        cdef uint64_t count = 2 * self._bucket_count
        cdef PyObject** buckets = <PyObject**>PyMem_Calloc(count, sizeof(PyObject*))
        cdef PyObject* session = self._oldest
        if buckets is NULL:
            raise MemoryError
        PyMem_Free(self._buckets)
        self._buckets = buckets
        self._bucket_count = count
        self._shift -= 1
        while session is not NULL:
            self._insert(session)
            session = (<ServerSession>session)._newer
        return 0

    cdef void _insert(self, PyObject* session) noexcept:
        cdef uint64_t bucket = self._bucket_of((<ServerSession>session).client_id)
        (<ServerSession>session)._next = self._buckets[bucket]
        self._buckets[bucket] = session

    cdef void _append(self, PyObject* session) noexcept:
        (<ServerSession>session)._older = self._newest
        (<ServerSession>session)._newer = NULL
        if self._newest is NULL:
            self._oldest = session
        else:
            (<ServerSession>self._newest)._newer = session
        self._newest = session

    cdef void _unlink(self, PyObject* session) noexcept:
        cdef PyObject* older = (<ServerSession>session)._older
        cdef PyObject* newer = (<ServerSession>session)._newer
        if older is NULL:
            self._oldest = newer
        else:
            (<ServerSession>older)._newer = newer
        if newer is NULL:
            self._newest = older
        else:
            (<ServerSession>newer)._older = older
