"""One end of a relay in pure Python: a socket's protocol, with its codec and its flow control.

Part of ``_tcp_py.py``.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
from collections.abc import Coroutine
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..buffer import Buffer
from ..errors import FastsocksError, QuotaError, ResetError, TruncatedError
from ..net.tcp import limit_send_buffer, send_room
from .codec import RelayCodec
from .meter_cell import QUOTA_USED_UP

if sys.platform == "linux":
    import fcntl
    import termios

if TYPE_CHECKING:
    from ..shadowsocks import ServerCodec
    from ._meter_py import Meter

READ_SIZE = 256 * 1024

# What an end reads at least at one time, and without knowing that the other end takes it.
_LEAST_READ = 16 * 1024
_FIRST_READ = 64 * 1024

# Bytes that an end reads at most, filling each read, before the others get their turn.
_MOST_AT_ONE_GO = 1024 * 1024

# Seconds within which an end takes what was kept for it, if more may be kept the next time.
_DRAINS_FAST = 0.05

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _Engine(Protocol):
    loop: asyncio.AbstractEventLoop
    #: Filled and used up within one callback of the loop.
    read_view: memoryview


class _Relay(Protocol):
    """What an end needs of its relay; see :class:`._tcp_py.Relay`."""

    client: Endpoint
    target: Endpoint
    meter: Meter | None
    over: bool
    touched: float

    @property
    def engine(self) -> _Engine: ...

    def count(self, endpoint: Endpoint, size: int) -> None: ...

    def fail(self, error: FastsocksError, *, cut: bool = True) -> None: ...

    def finish(self) -> None: ...

    def lost(self) -> None: ...


class Endpoint(asyncio.BufferedProtocol):
    """One end of a relay."""

    __slots__ = (
        "_at_one_go",
        "_attaching",
        "_backlog",
        "_codec",
        "_drains_fast",
        "_first",
        "_held_since",
        "_holding",
        "_paused",
        "_read_size",
        "_relay",
        "_socket",
        "closed",
        "ended",
        "late",
        "peer",
        "quiet",
        "transport",
    )

    peer: Endpoint

    def __init__(
        self, relay: _Relay, sock: socket.socket, codec: RelayCodec | None, first: bytes
    ) -> None:
        self.transport: asyncio.Transport | None = None
        self.ended = False
        self.closed = False
        #: It is told of no break but by an end, which no prober can tell from other servers'.
        self.quiet = False
        self._relay = relay
        self._socket = sock
        # `none` puts plaintext on the wire: then no codec is the shorter way.
        self._codec = None if codec is None or codec.transparent else codec
        self._first = first
        #: The timer of what came from it too fast for its user.
        self.late: asyncio.TimerHandle | None = None
        self._backlog = 0
        self._holding = False
        self._paused = False
        self._held_since = 0.0
        self._drains_fast = False
        self._read_size = _FIRST_READ
        self._at_one_go = 0
        self._attaching: Coroutine[Any, Any, Any] | None = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to give the socket a transport.

        Driven by hand: a task for each connection is what set-up can do without.
        """
        limit_send_buffer(self._socket)
        coroutine: Coroutine[Any, Any, Any] = loop.connect_accepted_socket(
            lambda: self, self._socket
        )
        try:
            coroutine.send(None)
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is ends this connection
            self._reset_on_close()
            self._socket.close()
            self.connection_lost(error)
            return
        self._attaching = coroutine

    def finish_attaching(self) -> None:
        """Let the coroutine that attached this end run to its end."""
        coroutine, self._attaching = self._attaching, None
        if coroutine is None:
            return
        try:
            coroutine.send(None)
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is ends this connection
            self.connection_lost(error)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but name.
        self.transport = transport = cast("asyncio.Transport", transport)
        if self._relay.over:
            self.leave(cut=True)
            return
        # pause_writing must mean that the transport holds bytes, however few.
        transport.set_write_buffer_limits(0)
        if (meter := self._relay.meter) is not None:
            self._read_size = meter.piece(self._read_size, self is self._relay.client)
        if self._first:
            transport.write(self._first)
        self._first = b""

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._relay.engine.read_view[: self._read_size]

    def buffer_updated(self, nbytes: int) -> None:
        relay = self._relay
        relay.touched = monotonic()
        data = relay.engine.read_view[:nbytes]
        try:
            plaintext = data if self._codec is None else self._codec.open(data)
            if plaintext:
                if relay.meter is not None:
                    self._received_of_user(plaintext, relay.meter)
                else:
                    relay.count(self, len(plaintext))
                    self.peer.deliver(plaintext)
        except FastsocksError as error:
            relay.fail(error, cut=self is not relay.client)
        self._plan_read(nbytes)

    def _received_of_user(self, plaintext: Buffer, meter: Meter) -> None:
        """Pass payload on as its user's meter has it: now, later, or not at all."""
        relay = self._relay
        size, up = len(plaintext), self is relay.client
        if not meter.spend(size, up):
            raise QuotaError(QUOTA_USED_UP)
        relay.count(self, size)
        seconds = meter.pause(size, up, monotonic())
        if seconds <= 0:
            self.peer.deliver(plaintext)
            return
        self.pause()
        self.late = relay.engine.loop.call_later(seconds, self._deliver_late, bytes(plaintext))

    def _deliver_late(self, plaintext: bytes) -> None:
        """Pass on what came too fast, and read on."""
        relay = self._relay
        self.late = None
        if relay.over:
            return
        relay.touched = monotonic()
        try:
            self.peer.deliver(plaintext)
        except FastsocksError as error:
            relay.fail(error, cut=self is not relay.client)
        self._take_turn()

    def _plan_read(self, size: int) -> None:
        """After a read of `size` bytes, choose how much to read next, and whether to yield."""
        full = size == self._read_size
        if (full or size >= _FIRST_READ) and not self.peer._holding:
            self._read_size = self.peer._room()
        if not full:
            self._at_one_go = 0
            return
        self._at_one_go += size
        if self._at_one_go + READ_SIZE > _MOST_AT_ONE_GO:
            self._at_one_go = 0
            self._yield_turn()

    def _yield_turn(self) -> None:
        """Let others have their turn: libuv alone would read 32 times in a row."""
        if not (self._paused or self._relay.over):
            self.pause()
            self._relay.engine.loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        """Read on, unless the other end is full."""
        if not (self.closed or self._relay.over or self.peer._holding):
            self.resume()

    def deliver(self, plaintext: Buffer) -> None:
        """Send plaintext to this end, or let the transport queue what it does not take."""
        if self.transport is None or self._relay.over:
            return
        if self._codec is not None:
            self.transport.write(self._codec.seal(plaintext))
        else:
            # A transport may keep what it is given: never a view of the shared buffer.
            self.transport.write(bytes(plaintext))
        if self._holding:
            self.peer.pause()

    def pause_writing(self) -> None:
        self._holding = True
        self._held_since = monotonic()
        self.peer.pause()

    def resume_writing(self) -> None:
        self._holding = False
        self._drains_fast = monotonic() - self._held_since < _DRAINS_FAST
        if self.closed:
            return
        self._relay.touched = monotonic()
        self.peer.resume()

    def pause(self) -> None:
        """Stop reading, until :meth:`resume`."""
        if not (self._paused or self.ended or self.transport is None):
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read again; but never after the end of the stream, or while something waits."""
        if self.late is not None:
            return
        if self._paused and not (self.ended or self.transport is None or self._relay.over):
            self._read_size = self.peer._room()
            self.transport.resume_reading()
        self._paused = False

    def _room(self) -> int:
        """How much to read for this end: what it does not take would have to be kept."""
        most = READ_SIZE
        if not self._drains_fast and (room := send_room(self._socket)) is not None:
            most = min(most, max(_LEAST_READ, room))
        meter = self._relay.meter
        return most if meter is None else meter.piece(most, self is self._relay.target)

    def eof_received(self) -> bool:
        relay = self._relay
        if relay.over:
            return True
        relay.touched = monotonic()
        if self._codec is not None and self._codec.incomplete:
            relay.fail(
                TruncatedError("the stream ended inside a record"), cut=self is not relay.client
            )
            return True
        self.ended = True
        if self.peer.ended:
            relay.finish()
        elif self.peer.transport is not None:
            self.peer.transport.write_eof()
        return True

    def reset(self) -> None:
        """Close at once, with a reset."""
        if self.transport is not None:
            self._reset_on_close()
            self.transport.abort()

    def leave(self, *, cut: bool) -> None:
        """Close because the relay failed.

        :param cut: whether the answer may be cut short; one that has ended is whole.
        """
        if not self.quiet:
            self.reset()
        elif self.transport is not None:
            if cut and self._codec is not None and not self.peer.ended:
                self.transport.write(cast("ServerCodec", self._codec).cut_answer())
            self.transport.close()

    def _reset_on_close(self) -> None:
        if self._socket.fileno() >= 0:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)

    def draining(self) -> bool:
        """Whether what this end has yet to get has become less since the last call."""
        before = self._backlog
        self._backlog = 0
        if self.transport is None:
            return False
        if self._holding:
            self._backlog = self.transport.get_write_buffer_size()
        self._backlog += _unacknowledged(self._socket)
        return self._backlog < before

    def connection_lost(self, exc: Exception | None) -> None:
        if self.closed:
            return
        self.closed = True
        self.transport = None
        if exc is not None or not (self.ended and self.peer.ended):
            # The loop closes the socket behind this call.
            if not self.quiet:
                self._reset_on_close()
            self._relay.fail(_broken(exc))
        self._relay.lost()


def _unacknowledged(sock: socket.socket) -> int:
    """Return how many bytes sent the peer has not acknowledged; 0 where nobody tells."""
    if sys.platform != "linux":
        return 0
    try:
        answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:
        return 0
    return int.from_bytes(answer, sys.byteorder)


def _broken(error: Exception | None) -> FastsocksError:
    if isinstance(error, FastsocksError):
        return error
    if isinstance(error, OSError) and error.errno is not None:
        message = os.strerror(abs(error.errno))
    else:
        message = "the connection was closed" if error is None else str(error)
    broken = ResetError(message)
    broken.__cause__ = error
    return broken
