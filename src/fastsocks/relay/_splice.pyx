# cython: boundscheck=False, wraparound=False
"""The second stage of a relay of plain bytes (Linux): they never enter this process.

The kernel moves them from socket to pipe to socket. What a plain proxy carries in bulk costs
half of what copying costs it; Shadowsocks has to see its bytes, and is relayed by transports.

A flow holds a pipe only as long as its sink has not taken what is in it, PIECE bytes at most:
that bounds the kernel's memory for a slow receiver. Where no pipe can be had, for want of
descriptors or because of the kernel's limit for a user's pipes, bytes are copied.
"""

import os

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.errno cimport EAGAIN, ECONNRESET
from libc.limits cimport INT_MAX
from libc.stdint cimport uint32_t, uint64_t

from fastsocks.net._epoll cimport (
    ARRIVALS,
    EPOLLERR,
    EPOLLHUP,
    EPOLLOUT,
    close,
    pending_error,
)
from fastsocks.net._pipes cimport open_pipe, splice
from fastsocks.net._poller cimport Poller
from fastsocks.net._sockets cimport now, receive, send
from fastsocks.relay._tcp cimport READ_SIZE, End, Engine, Relay, broken

from fastsocks.errors import QuotaError, ResetError
from fastsocks.net.files import file_limit
from fastsocks.relay.meter_cell import QUOTA_USED_UP

cdef enum:
    # A pipe counts packets rather than bytes: with packets of 1500 bytes this holds PIECE.
    PIPE_SIZE = 1024 * 1024
    PIECE = 512 * 1024
    # Pieces moved before others get their turn.
    TURNS = 2


cdef class PipeStock:
    """Empty pipes, to be taken for a while; one in 32 of the open files that may be, no more."""

    def __cinit__(self):
        limit = file_limit()
        self._most = INT_MAX if limit is None else min(limit // 64, INT_MAX)

    def __dealloc__(self):
        cdef int i
        for i in range(self._size):
            _shut(&self._pipes[i])

    cdef bint take(self, Pipe* pipe) noexcept:
        if self._size:
            self._size -= 1
            pipe[0] = self._pipes[self._size]
            return True
        if self._open >= self._most or open_pipe(pipe.ends, PIPE_SIZE) != 0:
            return False
        self._open += 1
        return True

    cdef void give_back(self, Pipe* pipe) noexcept:
        if self._size < STOCK:
            self._pipes[self._size] = pipe[0]
            self._size += 1
            pipe.ends[0] = pipe.ends[1] = -1
        else:
            self.shut(pipe)

    cdef void shut(self, Pipe* pipe) noexcept:
        if pipe.ends[0] >= 0:
            self._open -= 1
        _shut(pipe)


cdef void _shut(Pipe* pipe) noexcept:
    if pipe.ends[0] >= 0:
        close(pipe.ends[0])
        close(pipe.ends[1])
    pipe.ends[0] = pipe.ends[1] = -1


cdef class Splice:
    """Moves the bytes of one relay, both ways."""

    def __cinit__(self):
        for flow in range(2):
            self._flows[flow].pipe.ends[0] = self._flows[flow].pipe.ends[1] = -1

    def __dealloc__(self):
        _shut(&self._flows[0].pipe)
        _shut(&self._flows[1].pipe)

    cdef int ready(self, int end, uint32_t events) except -1:
        cdef Relay relay = self._relay
        cdef End source = relay.client if end == 0 else relay.target
        if events & EPOLLOUT and self._flows[1 - end].blocked:
            self._pump(1 - end)
        if relay._over or not events & ~EPOLLOUT:
            return 0
        if not source.ended:
            return self._pump(end)
        if events & (EPOLLHUP | EPOLLERR):
            relay._fail(ResetError(os.strerror(pending_error(source.fd) or ECONNRESET)))
        return 0

    cdef int close(self) except -1:
        self._relay = None
        # What is left in them nobody must get.
        self._stock.shut(&self._flows[0].pipe)
        self._stock.shut(&self._flows[1].pipe)
        return 0

    cdef int _pump(self, int end) except -1:
        """Move what has come from an end to the other."""
        cdef Relay relay = self._relay
        cdef Flow* flow = &self._flows[end]
        cdef End source = relay.client if end == 0 else relay.target
        cdef End sink = source.peer
        cdef Py_ssize_t size
        cdef double seconds
        for _ in range(TURNS):
            if not self._drain(flow, sink):
                return 0
            if source.ended:
                return 0
            size = self._fill(flow, source, sink)
            if size == -EAGAIN:
                return 0
            if size < 0:
                return relay._fail(ResetError(os.strerror(<int>-size)))
            if size == 0:
                return relay._end_of_stream(source)
            relay._touched = now()
            if relay.meter is not None and not relay.meter.spend(size, end == 0):
                return relay._fail(QuotaError(QUOTA_USED_UP))
            relay.count(source, size)
            if relay.meter is not None:
                seconds = relay.meter.pause(size, end == 0, now())
                if seconds > 0:
                    source.awaited = relay._engine._loop.call_later(seconds, self.go_on, end)
                    return 0
        if self._drain(flow, sink):
            # More may have come, and the poller tells of it once.
            self._poller.watch_again(self._token, end, source.fd, ARRIVALS | EPOLLOUT)
        return 0

    def go_on(self, int end):
        """Send what came too fast for its user, and read on."""
        cdef Relay relay = self._relay
        (relay.client if end == 0 else relay.target).awaited = None
        try:
            self._pump(end)
        except OSError as error:
            relay._fail(broken(error))

    cdef bint _drain(self, Flow* flow, End sink) except -1:
        """Send what is held for `sink`; False if something is left, or the relay over."""
        cdef Py_ssize_t sent = 0
        cdef Relay relay = self._relay
        if sink.peer.awaited is not None:
            return False
        flow.blocked = False
        if sink.first:
            sent = send(sink.fd, PyBytes_AS_STRING(sink.first), len(sink.first))
            if sent > 0:
                sink.first = sink.first[sent:]
        while flow.held and not sink.first:
            sent = splice(flow.pipe.ends[0], sink.fd, flow.held)
            if sent <= 0:
                break
            flow.held -= sent
            if not flow.held:
                self._stock.give_back(&flow.pipe)
        if not (flow.held or sink.first):
            return True
        if sent < 0 and sent != -EAGAIN:
            relay._fail(ResetError(os.strerror(<int>-sent)))
        flow.blocked = True
        return False

    cdef Py_ssize_t _fill(self, Flow* flow, End source, End sink) except? -1:
        """Take in what has come from `source`: its size, 0 at the end, or -errno."""
        cdef Py_ssize_t size, most = PIECE
        cdef Relay relay = source.relay
        cdef Engine engine = relay._engine
        if relay.meter is not None:
            most = relay.meter.piece(most, source is relay.client)
        if not self._stock.take(&flow.pipe):
            size = receive(source.fd, engine.read_at, min(most, <Py_ssize_t>READ_SIZE))
            if size > 0:
                sink.first = PyBytes_FromStringAndSize(<char*>engine.read_at, size)
            return size
        size = splice(source.fd, flow.pipe.ends[1], most)
        if size > 0:
            flow.held = size
        else:
            self._stock.give_back(&flow.pipe)
        return size


cdef Splice begin_splice(PipeStock stock, Poller poller, Relay relay, uint64_t token):
    cdef Splice begun = Splice.__new__(Splice)
    begun._stock = stock
    begun._poller = poller
    begun._relay = relay
    begun._token = token
    relay.client.limit_send_buffer()
    relay.target.limit_send_buffer()
    # What has come until now is told again.
    poller.watch_again(token, 0, relay.client.fd, ARRIVALS | EPOLLOUT)
    poller.watch_again(token, 1, relay.target.fd, ARRIVALS | EPOLLOUT)
    begun._flows[0].blocked = bool(relay.target.first)
    begun._flows[1].blocked = bool(relay.client.first)
    return begun
