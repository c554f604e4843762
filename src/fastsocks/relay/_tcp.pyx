# cython: boundscheck=False, wraparound=False
"""The TCP relay on uvloop or asyncio: moves bytes between two connected sockets.

The twin of ``_tcp_py.py``. It knows two ends, a codec for each and some limits;
protocols and policy are over when it starts.

.. danger::
   The read buffer is one per engine. uvloop and asyncio fill it right before
   `buffer_updated`, which uses it up before it returns: whatever could not be sent is
   copied. Nothing may keep a pointer into the engine's buffers across callbacks.
"""

import asyncio
import os

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.errno cimport EAGAIN
from libc.stdint cimport uint8_t, uint64_t

from fastsocks.net._sockets cimport (
    finish_sending,
    keep_alive,
    limit_send_buffer,
    no_delay,
    now,
    reset_on_close,
    send,
    send_room,
    unacknowledged,
)
from fastsocks.relay._python_codec cimport ADAPTED_ROOM, adapted
from fastsocks.shadowsocks._framing cimport HEADROOM, Codec

from fastsocks.errors import (
    FastsocksError,
    IdleTimeoutError,
    QuotaError,
    ResetError,
    StoppedError,
    TruncatedError,
)
from fastsocks.net.tcp import (
    KEEPALIVE_IDLE,
    KEEPALIVE_INTERVAL,
    KEEPALIVE_PROBES,
    SHORT_PATH_ROUND_TRIP,
    SHORT_PATH_SEND_BUFFER,
)
from fastsocks.relay.meter_cell import QUOTA_USED_UP

cdef enum:
    # Each codec of a chain may have kept a record; see shadowsocks.layers.MOST_LAYERS.
    LAYERS = 4
    PLAINTEXT_SIZE = READ_SIZE + LAYERS * HEADROOM
    # Sealing adds 34 bytes to every 16383, which is less than one in 256, and a preamble; a
    # codec of Python more, and more than all layers of a chain.
    WIRE_SIZE = PLAINTEXT_SIZE + ADAPTED_ROOM

    # What an end reads at least at one time, and without knowing that the other end takes it.
    LEAST_READ = 16 * 1024
    FIRST_READ = 64 * 1024

    # Bytes that an end reads at most, filling each read, before the others get their turn.
    MOST_AT_ONE_GO = 1024 * 1024

cdef int _KEEPALIVE_IDLE = KEEPALIVE_IDLE
cdef int _KEEPALIVE_INTERVAL = KEEPALIVE_INTERVAL
cdef int _KEEPALIVE_PROBES = KEEPALIVE_PROBES
cdef int _SHORT_PATH_ROUND_TRIP = SHORT_PATH_ROUND_TRIP
cdef int _SHORT_PATH_SEND_BUFFER = SHORT_PATH_SEND_BUFFER

# Seconds within which an end takes what was kept for it, if more may be kept the next time.
cdef double DRAINS_FAST = 0.05

# Seconds between two looks for silent relays, at most.
cdef double SWEEP_INTERVAL = 15.0


cdef class Counters:
    """What went through an engine: relays begun and active, bytes of payload each way."""


cdef class End:
    """One end of a relay, whatever drives it."""

    cdef int finish_attaching(self) except -1:
        """Let the coroutine that attached this end run to its end."""
        coroutine, self.awaited = self.awaited, None
        if coroutine is None:
            return 0
        try:
            coroutine.send(None)
        except StopIteration:
            return 0
        except Exception as error:
            self.lost(error)
        return 0

    cdef int received(self, Py_ssize_t size) except -1:
        """Pass on `size` bytes that lie in the engine's read buffer."""
        cdef Relay relay = self.relay
        cdef Engine engine = relay._engine
        cdef uint8_t* data = engine.read_at
        cdef End peer = self.peer
        relay._touched = now()
        try:
            if self.codec is not None:
                size = self.codec.receive_raw(data, size, engine.plaintext)
                data = engine.plaintext
            if size > 0:
                if relay.meter is not None:
                    return self.received_of_user(data, size)
                relay.count(self, size)
                peer.deliver(data, size)
        except FastsocksError as error:
            relay._fail(error, self is not relay.client)
        return 0

    cdef int received_of_user(self, const uint8_t* data, Py_ssize_t size) except -1:
        """Pass payload on as its user's meter has it: now, later, or not at all."""
        cdef Relay relay = self.relay
        cdef bint up = self is relay.client
        cdef double seconds
        if not relay.meter.spend(size, up):
            raise QuotaError(QUOTA_USED_UP)
        relay.count(self, size)
        seconds = relay.meter.pause(size, up, now())
        if seconds <= 0 or self.transport is None:
            return self.peer.deliver(data, size)
        self.pause()
        self.awaited = relay._engine._loop.call_later(
            seconds, self.deliver_late, PyBytes_FromStringAndSize(<const char*>data, size)
        )
        return 0

    def deliver_late(self, bytes data not None):
        """Pass on what came too fast, and read on."""
        cdef Relay relay = self.relay
        self.awaited = None
        if relay._over:
            return
        relay._touched = now()
        try:
            self.peer.deliver(<const uint8_t*>PyBytes_AS_STRING(data), len(data))
        except FastsocksError as error:
            relay._fail(error, self is not relay.client)
        self.take_turn()

    cdef int deliver(self, const uint8_t* data, Py_ssize_t size) except -1:
        """Send `size` bytes of plaintext to this end, or queue what it does not take."""
        cdef Py_ssize_t sent = 0
        cdef Relay relay = self.relay
        if self.fd < 0 or relay._over:
            return 0
        if self.codec is not None:
            size = self.codec.send(data, size, relay._engine.wire)
            data = relay._engine.wire
        if not self.holding:
            if not self.prompt:
                no_delay(self.fd)
                self.prompt = True
            sent = send(self.fd, data, size)
            if sent == size:
                return 0
            if sent < 0:
                if sent != -EAGAIN:
                    relay._fail(ResetError(os.strerror(<int>-sent)))
                    return 0
                sent = 0
        rest = PyBytes_FromStringAndSize(<const char*>data + sent, size - sent)
        if self.transport is None:
            self.first = rest
            return relay._attach()
        self.transport.write(rest)
        if self.holding:
            self.peer.pause()
        return 0

    cdef int finish_sending(self) except -1:
        """Let this end know that the other has finished sending."""
        if self.transport is None:
            finish_sending(self.fd)
        else:
            self.transport.write_eof()
        return 0

    cdef int pause(self) except -1:
        if not (self.paused or self.ended or self.transport is None):
            self.paused = True
            self.transport.pause_reading()
        return 0

    cdef int resume(self) except -1:
        if self.awaited is not None:
            return 0
        # After the end of its stream a transport must not read again.
        if self.paused and not (self.ended or self.transport is None or self.relay._over):
            self.read_size = self.peer.room()
            self.transport.resume_reading()
        self.paused = False
        return 0

    cdef Py_ssize_t room(self) noexcept:
        """How much to read for this end: what it does not take would have to be kept."""
        cdef Py_ssize_t most = READ_SIZE
        if not self.drains_fast:
            most = min(most, max(<Py_ssize_t>LEAST_READ, send_room(self.fd)))
        if self.relay.meter is not None:
            most = self.relay.meter.piece(most, self is self.relay.target)
        return most

    cdef int yield_turn(self) except -1:
        """Let others have their turn: libuv alone would read 32 times in a row."""
        if self.paused or self.relay is None or self.relay._over:
            return 0
        self.pause()
        self.relay._engine._loop.call_soon(self.take_turn)
        return 0

    def take_turn(self):
        """Read on, unless the other end is full."""
        if self.relay is not None and not (self.relay._over or self.peer.holding):
            self.resume()

    cdef void limit_send_buffer(self) noexcept:
        limit_send_buffer(self.fd, _SHORT_PATH_SEND_BUFFER, _SHORT_PATH_ROUND_TRIP)

    cdef int plan_read(self, Py_ssize_t size) except -1:
        """After a read of `size` bytes, choose how much to read next, and whether to yield."""
        cdef bint full = size == self.read_size
        if (full or size >= FIRST_READ) and not self.peer.holding:
            self.read_size = self.peer.room()
        if not full:
            self.at_one_go = 0
            return 0
        self.at_one_go += size
        if self.at_one_go + READ_SIZE > MOST_AT_ONE_GO:
            self.at_one_go = 0
            self.yield_turn()
        return 0

    cdef int reset(self) except -1:
        if self.transport is not None:
            reset_on_close(self.fd)
            self.transport.abort()
        return 0

    cdef int leave(self, bint cut) except -1:
        if not self.quiet:
            return self.reset()
        if self.transport is not None:
            last = self.last_words(cut)
            if last:
                self.transport.write(last)
            self.transport.close()
        return 0

    cdef bytes last_words(self, bint cut):
        # An answer that has ended is whole.
        if not cut or self.codec is None or self.peer.ended:
            return b""
        return self.codec.cut_answer()

    cdef bint draining(self) except -1:
        """Whether what this end has yet to get has become less since the last call."""
        cdef size_t before = self.backlog
        self.backlog = 0
        if self.fd < 0:
            return False
        if self.holding:
            self.backlog = self.transport.get_write_buffer_size()
        self.backlog += unacknowledged(self.fd)
        return self.backlog < before

    cdef int lost(self, object error) except -1:
        cdef Relay relay = self.relay
        if self.closed:
            return 0
        self.closed = True
        self.transport = None
        if relay is not None and (error is not None or not (self.ended and self.peer.ended)):
            # The loop closes the socket behind this call.
            if self.fd >= 0 and not self.quiet:
                reset_on_close(self.fd)
            relay._fail(broken(error))
        self.fd = -1
        if relay is None:
            return 0
        relay._lost()
        return 0


cdef class Endpoint(End, asyncio.BufferedProtocol):
    """One end of a relay, driven by its transport."""

    # Asking for it costs uvloop a raised AttributeError on every connection otherwise.
    data_received = None

    def __call__(self):
        """The protocol factory of this one connection."""
        return self

    def connection_made(self, transport):
        self.transport = transport
        if self.relay._over:
            self.leave(True)
            return
        # pause_writing must mean that the transport holds bytes, however few.
        transport.set_write_buffer_limits(0)
        if self.relay.meter is not None:
            self.read_size = self.relay.meter.piece(self.read_size, self is self.relay.client)
        if self.first:
            transport.write(self.first)
        self.first = None

    def get_buffer(self, sizehint):
        return self.relay._engine.read_view[:self.read_size]

    def buffer_updated(self, Py_ssize_t size):
        self.received(size)
        self.plan_read(size)

    def pause_writing(self):
        self.holding = True
        self.held_since = now()
        self.peer.pause()

    def resume_writing(self):
        self.holding = False
        self.drains_fast = now() - self.held_since < DRAINS_FAST
        if self.relay is not None:
            self.relay._touched = now()
            self.peer.resume()

    def eof_received(self):
        # It may have ended before it was attached: then a transport meets that end again.
        if not (self.relay._over or self.ended):
            self.relay._end_of_stream(self)
        return True

    def connection_lost(self, error):
        self.lost(error)


cdef class Engine:
    """Runs relays on one event loop, with one set of buffers for all of them.

    :param loop: the running event loop.
    :param half_open_timeout: seconds without a byte after which a relay ends of which one
        end has finished sending.
    :param idle_timeout: the same for a relay with both directions open.
    """

    def __cinit__(self):
        # Three blocks, so that AddressSanitizer sees where each of them ends.
        self._memory = <uint8_t*>PyMem_Malloc(HEADROOM + READ_SIZE)
        self.plaintext = <uint8_t*>PyMem_Malloc(PLAINTEXT_SIZE)
        self.wire = <uint8_t*>PyMem_Malloc(WIRE_SIZE)
        if self._memory is NULL or self.plaintext is NULL or self.wire is NULL:
            raise MemoryError
        self.read_at = self._memory + HEADROOM

    def __init__(self, loop, *, double half_open_timeout=300.0, double idle_timeout=86400.0):
        self._loop = loop
        self._half_open_timeout = half_open_timeout
        self._idle_timeout = idle_timeout
        self._interval = min(SWEEP_INTERVAL, half_open_timeout / 4, idle_timeout / 4)
        self.counters = Counters()
        self.read_view = memoryview(<uint8_t[:READ_SIZE]>self.read_at)

    def __dealloc__(self):
        PyMem_Free(self._memory)
        PyMem_Free(self.plaintext)
        PyMem_Free(self.wire)

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
        """Relay between two connected sockets, which are the relay's from now on.

        :param client: non-blocking stream socket towards the client.
        :param client_codec: opens what the client sends and seals what it gets; None for
            plain bytes.
        :param target: the other end; :param target_codec: likewise for it.
        :param ended: called with the relay when both sockets are closed.
        :param to_client: bytes, as they go on the wire, that must reach the client first.
        :param to_target: likewise for the target.
        :param meter: of the user whose it is; None where users are not told apart.
        """
        cdef Relay relay = Relay.__new__(Relay)
        self._begin(
            relay,
            client.fileno(),
            adapted(client_codec),
            target.fileno(),
            adapted(target_codec),
            ended,
            meter,
        )
        relay.client.first = to_client
        relay.target.first = to_target
        self._attach(relay, client, target)
        return relay

    cdef int _begin(
        self,
        Relay relay,
        int client,
        Codec client_codec,
        int target,
        Codec target_codec,
        object ended,
        Meter meter,
    ) except -1:
        relay._engine = self
        relay._ended = ended
        relay._touched = now()
        relay.client = _endpoint(relay, client, client_codec)
        relay.target = _endpoint(relay, target, target_codec)
        relay.client.quiet = getattr(client_codec, "cuts_answers", False)
        relay.client.peer = relay.target
        relay.target.peer = relay.client
        if meter is not None and meter.begin():
            relay.meter = meter
        self._link(relay)
        self.counters.relays += 1
        self.counters.active += 1
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(self._interval, self._sweep)
        return 0

    def abort(self):
        """End every relay at once: both of its ends see a reset."""
        cdef Relay relay = self._first, following
        while relay is not None:
            following = relay._next
            # One that has ended by what was called because of the one before it has no ends.
            if relay.client is not None:
                relay.client.quiet = False
                relay._fail(StoppedError("the service is ending"))
            relay = following

    cdef int _attach(self, Relay relay, object client, object target) except -1:
        self._attach_one(relay.client, client)
        self._attach_one(relay.target, target)
        # Both transports call connection_made in the loop's next turn, before it polls, so
        # neither end can receive while the other is not ready.
        self._loop.call_soon(relay._attached)
        return 0

    cdef int _attach_one(self, End end, object sock) except -1:
        # uvloop's transports set it, and asyncio's.
        end.prompt = True
        end.limit_send_buffer()
        if end.codec is not None:
            # Keying a context anew for each read is for those that read seldom.
            end.codec.stand_alone()
        # Driven by hand: a task for each connection costs more than everything else here.
        try:
            coroutine = self._loop.connect_accepted_socket(end, sock)
            coroutine.send(None)
        except StopIteration:
            return 0
        except Exception as error:
            reset_on_close(end.fd)
            end.fd = -1
            os.close(sock.detach())
            return end.lost(error)
        end.awaited = coroutine
        return 0

    def _sweep(self):
        cdef Relay relay = self._first, following
        cdef double time = now()
        self._sweeping = None
        while relay is not None:
            following = relay._next
            if relay.client is not None:
                relay._check_idle(time, self._half_open_timeout, self._idle_timeout)
            relay = following
        if self._first is not None:
            self._sweeping = self._loop.call_later(self._interval, self._sweep)

    cdef void _link(self, Relay relay) noexcept:
        relay._next = self._first
        if self._first is not None:
            self._first._previous = relay
        self._first = relay

    cdef void _unlink(self, Relay relay) noexcept:
        if relay._previous is not None:
            relay._previous._next = relay._next
        else:
            self._first = relay._next
        if relay._next is not None:
            relay._next._previous = relay._previous
        relay._previous = relay._next = None


cdef class Relay:
    """Two connected ends; made by :meth:`Engine.start`.

    `error` tells why it ended: None for an end of both streams, else a FastsocksError.
    """

    cdef void count(self, End end, Py_ssize_t size) noexcept:
        """Take note of payload that came from an end."""
        if end is self.client:
            self.bytes_up += size
            self._engine.counters.bytes_up += size
        else:
            if not self.bytes_down:
                self.first_down = self._touched
            self.bytes_down += size
            self._engine.counters.bytes_down += size

    cdef int _attach(self) except -1:
        """Give both ends transports, where they have none yet."""
        return 0

    cdef int _end_of_stream(self, End end) except -1:
        self._touched = now()
        if end.codec is not None and end.codec.cut_now():
            return self._fail(
                TruncatedError("the stream ended inside a record"), end is not self.client
            )
        end.ended = True
        if end.peer.ended:
            return self._finish()
        return end.peer.finish_sending()

    cdef int _fail(self, object error, bint cut=True) except -1:
        """End both directions abruptly, so that neither side takes a cut for an end."""
        if self._over:
            return 0
        self._over = True
        self.error = error
        self._touched = now()
        self.client.leave(cut)
        self.target.reset()
        return 0

    cdef int _finish(self) except -1:
        """Close both ends once their queues are sent: both directions have ended."""
        self.client.transport.close()
        self.target.transport.close()
        return 0

    cdef int _lost(self) except -1:
        cdef End end
        if not (self.client.closed and self.target.closed):
            return 0
        self._over = True
        self._engine._unlink(self)
        self._engine.counters.active -= 1
        if self.meter is not None:
            self.meter.end()
            for end in (self.client, self.target):
                if (cancel := getattr(end.awaited, "cancel", None)) is not None:
                    cancel()
        ended = self._ended
        self._ended = None
        try:
            if ended is not None:
                ended(self)
        finally:
            # What refers to what here is a ring; break it, and leave the collector nothing.
            self.client.peer = self.target.peer = None
            self.client.relay = self.target.relay = None
            self.client = self.target = None
        return 0

    cdef int _check_idle(self, double time, double half_open, double idle) except -1:
        cdef double limit = idle
        if not self._kept_alive and self.target.fd >= 0:
            # Not at the start: short connections do without these calls. The client's
            # socket has it from the listening one.
            keep_alive(self.target.fd, _KEEPALIVE_IDLE, _KEEPALIVE_INTERVAL, _KEEPALIVE_PROBES)
            self._kept_alive = True
        if self.client.ended or self.target.ended or self._over:
            limit = half_open
        # Both are asked, since asking takes note of the queue.
        cdef bint up = self.target.draining(), down = self.client.draining()
        if up or down:
            self._touched = time
        elif time - self._touched <= limit:
            return 0
        elif self._over:
            # A client that does not take what was kept for it.
            self.client.reset()
        else:
            self._fail(IdleTimeoutError(f"no byte for {limit:g} s"))
        return 0

    def _attached(self):
        if self.client is not None:
            self.client.finish_attaching()
        if self.target is not None:
            self.target.finish_attaching()


cdef Endpoint _endpoint(Relay relay, int fd, Codec codec):
    cdef Endpoint endpoint = Endpoint.__new__(Endpoint)
    endpoint.relay = relay
    endpoint.fd = fd
    endpoint.read_size = FIRST_READ
    # `none` puts plaintext on the wire: then no codec is the shorter way.
    endpoint.codec = None if codec is None or codec.transparent else codec
    return endpoint


cdef object broken(object error):
    if isinstance(error, FastsocksError):
        return error
    if isinstance(error, OSError) and error.errno is not None:
        message = os.strerror(abs(error.errno))
    else:
        message = str(error) if error is not None else "the connection was closed"
    reset = ResetError(message)
    reset.__cause__ = error
    return reset
