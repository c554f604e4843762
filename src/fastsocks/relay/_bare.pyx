# cython: boundscheck=False, wraparound=False
"""The first stage of a relay, on bare descriptors (Linux); ``_tcp.pyx`` has the second.

A pair of transports costs more than all else that a short exchange costs, and most of the
memory of an idle one. So a relay begins without them, in a poller that is shared with
connection set-up, and is attached once it has shown that it is neither: it has carried more
than BARE_SIZE, or an end did not take at once what there was to send, or its user has a speed
limit.

In this stage nothing is ever queued. What is in the engine's buffers is used up before the
callback returns.
"""

import asyncio
import os
import socket

from cpython.bytes cimport PyBytes_AS_STRING
from libc.errno cimport EAGAIN, ECONNRESET
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastsocks.net._epoll cimport ARRIVALS, EPOLLERR, EPOLLHUP, EPOLLRDHUP, close, pending_error
from fastsocks.net._poller cimport Poller
from fastsocks.net._sockets cimport receive, reset_on_close, send
from fastsocks.relay._python_codec cimport adapted
from fastsocks.relay._splice cimport PipeStock, begin_splice
from fastsocks.relay._tcp cimport Codec, Counters, End, Relay, broken
from fastsocks.relay._tcp cimport Engine

from fastsocks.errors import ResetError

cdef enum:
    # Bytes of payload, both ways together, that a relay carries without transports.
    BARE_SIZE = 64 * 1024

cdef int _NON_BLOCKING_STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK


cdef class Descriptor:
    """As much of a socket as uvloop wants in order to take it over.

    A :class:`socket.socket` asks the kernel for an address that nobody needs here.
    """

    cdef int _descriptor
    cdef readonly int family
    cdef readonly object type

    def fileno(self):
        """The descriptor, -1 once it is closed."""
        return self._descriptor

    def close(self):
        """Called when the transport, whose the descriptor is, has closed it."""
        self._descriptor = -1

    def detach(self):
        """Return the descriptor, which is the caller's to close from now on."""
        descriptor, self._descriptor = self._descriptor, -1
        return descriptor


cdef object _take_over(int descriptor, int family, bint bare):
    cdef Descriptor taken
    if not bare:
        return socket.socket(family, _NON_BLOCKING_STREAM, socket.IPPROTO_TCP, descriptor)
    taken = Descriptor.__new__(Descriptor)
    taken._descriptor = descriptor
    taken.family = family
    taken.type = socket.SOCK_STREAM
    return taken


cdef class BareEngine(Engine):
    """Runs relays on one event loop, at first without transports.

    The parameters are those of the engine in ``_tcp.pyx``.

    :param poller: waits for the descriptors; one of its own by default.
    :param splice: whether the kernel may move plain bytes, see ``_splice.pyx``.
    """

    def __init__(
        self,
        loop,
        *,
        double half_open_timeout=300.0,
        double idle_timeout=86400.0,
        Poller poller=None,
        bint splice=True,
    ):
        super().__init__(loop, half_open_timeout=half_open_timeout, idle_timeout=idle_timeout)
        self._poller = Poller(loop) if poller is None else poller
        self._pipes = PipeStock() if splice else None
        self._bare = not isinstance(loop, asyncio.BaseEventLoop)

    def start(
        self,
        client,
        client_codec,
        target,
        target_codec,
        ended,
        *,
        bytes to_client=b"",
        bytes to_target=b"",
        Meter meter=None,
    ):
        """Relay between two connected sockets; see the engine in ``_tcp.pyx``."""
        cdef uint64_t token
        if to_client or to_target:
            return super().start(
                client,
                client_codec,
                target,
                target_codec,
                ended,
                to_client=to_client,
                to_target=to_target,
                meter=meter,
            )
        token = self._poller.add(self, _no_relay_yet)
        try:
            self._poller.watch(token, 0, client.fileno(), ARRIVALS)
            self._poller.watch(token, 1, target.fileno(), ARRIVALS)
            relay = self.relay(
                token,
                client.fileno(),
                client.family,
                adapted(client_codec),
                target.fileno(),
                target.family,
                adapted(target_codec),
                ended,
                False,
                meter,
            )
        except BaseException:
            self._poller.forget(client.fileno())
            self._poller.forget(target.fileno())
            self._poller.remove(token)
            raise
        client.detach()
        target.detach()
        return relay

    cdef BareRelay relay(
        self,
        uint64_t token,
        int client,
        int client_family,
        Codec client_codec,
        int target,
        int target_family,
        Codec target_codec,
        object ended,
        bint prompt,
        Meter meter,
    ):
        cdef BareRelay relay = BareRelay.__new__(BareRelay)
        self._begin(relay, client, client_codec, target, target_codec, ended, meter)
        relay._client_family = client_family
        relay._target_family = target_family
        relay._token = token
        relay._bare = True
        relay.client.prompt = prompt
        self._poller.pass_on(token, relay, _relay_ready)
        return relay


cdef int _no_relay_yet(object owner, int end, uint32_t events) except -1:
    return 0


cdef int _relay_ready(object owner, int end, uint32_t events) except -1:
    return (<BareRelay>owner)._ready(end, events)


cdef class BareRelay(Relay):
    """Two connected ends, without transports at first; made by :meth:`BareEngine.start`."""

    cdef int send_first(self, bytes to_client, bytes to_target) except -1:
        self.client.first = to_client
        self.target.first = to_target
        try:
            return self._attach()
        except OSError as error:
            return self._fail(broken(error))

    cdef int _ready(self, int end, uint32_t events) except -1:
        # It may be let go of while it runs.
        cdef Splice splice = self._splice
        try:
            if splice is not None:
                return splice.ready(end, events)
            return self._read(self.client if end == 0 else self.target, events)
        except OSError as error:
            self._fail(broken(error))
        except Exception as error:
            # A fault of ours must end this relay only.
            self._engine._loop.call_exception_handler(
                {"message": "a relay failed", "exception": error}
            )
            self._fail(broken(error))
        return 0

    cdef int _read(self, End end, uint32_t events) except -1:
        """Read what made this end ready, and pass it on."""
        # The poller tells of each arrival once; what came with the end of the stream may be
        # all that it tells.
        cdef bint last = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)
        cdef Py_ssize_t size
        if end.ended:
            if events & (EPOLLHUP | EPOLLERR):
                self._fail(ResetError(os.strerror(pending_error(end.fd) or ECONNRESET)))
            return 0
        if self.meter is not None and self.meter.limited():
            # There it can wait.
            return self._attach()
        while True:
            size = receive(end.fd, self._engine.read_at, BARE_SIZE)
            if size == -EAGAIN:
                return 0
            if size < 0:
                return self._fail(ResetError(os.strerror(<int>-size)))
            if size == 0:
                return self._end_of_stream(end)
            end.received(size)
            if not self._bare or self._splice is not None:
                return 0
            if self.bytes_up + self.bytes_down > BARE_SIZE:
                return self._attach()
            if size < BARE_SIZE and not last:
                return 0

    cdef int _attach(self) except -1:
        cdef BareEngine engine = <BareEngine>self._engine
        cdef End client = self.client, target = self.target
        if not self._bare:
            return 0
        if client.codec is None and target.codec is None and engine._pipes is not None:
            self._splice = begin_splice(engine._pipes, engine._poller, self, self._token)
            return 0
        engine._poller.unwatch(client.fd)
        engine._poller.unwatch(target.fd)
        one = _take_over(client.fd, self._client_family, engine._bare)
        try:
            other = _take_over(target.fd, self._target_family, engine._bare)
        except BaseException:
            # Still this relay's, which closes it.
            one.detach()
            raise
        self._bare = False
        engine._poller.remove(self._token)
        return Engine._attach(engine, self, one, other)

    cdef int _fail(self, object error, bint cut=True) except -1:
        cdef bytes last
        if not self._bare:
            return Relay._fail(self, error, cut)
        self._over = True
        self.error = error
        if self.client.quiet:
            last = self.client.last_words(cut)
            send(self.client.fd, <const uint8_t*>PyBytes_AS_STRING(last), len(last))
        return self._close(True)

    cdef int _finish(self) except -1:
        if not self._bare:
            return Relay._finish(self)
        return self._close(False)

    cdef int _close(self, bint reset) except -1:
        """Close both ends, to which nothing is left to send."""
        cdef End end
        self._bare = False
        if self._splice is not None:
            self._splice.close()
            self._splice = None
        for end in (self.client, self.target):
            if reset and not end.quiet:
                reset_on_close(end.fd)
            close(end.fd)
            end.fd = -1
            end.closed = True
        (<BareEngine>self._engine)._poller.remove(self._token)
        return self._lost()
