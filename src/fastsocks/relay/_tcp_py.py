"""The TCP relay on uvloop or asyncio: pure Python.

The twin of ``_tcp.pyx``. It knows two ends, a codec for each and some limits; protocols
and policy are over when it starts.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from time import monotonic

from ..errors import FastsocksError, IdleTimeoutError, StoppedError
from ._endpoint_py import READ_SIZE, Endpoint
from ._meter_py import Meter
from .codec import RelayCodec

# Seconds between two looks for silent relays, at most.
_SWEEP_INTERVAL = 15.0


class Counters:
    """What went through an engine: relays begun and active, bytes of payload each way."""

    __slots__ = ("active", "bytes_down", "bytes_up", "relays")

    def __init__(self) -> None:
        self.relays = 0
        self.active = 0
        self.bytes_up = 0
        self.bytes_down = 0


class Engine:
    """Runs relays on one event loop, with one read buffer for all of them.

    :param loop: the running event loop.
    :param half_open_timeout: seconds without a byte after which a relay ends of which one
        end has finished sending.
    :param idle_timeout: the same for a relay with both directions open.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        half_open_timeout: float = 300.0,
        idle_timeout: float = 86400.0,
    ) -> None:
        self.counters = Counters()
        # Filled and used up within one callback of the loop. Owner: this object.
        self.read_view = memoryview(bytearray(READ_SIZE))
        self.loop = loop
        self._half_open_timeout = half_open_timeout
        self._idle_timeout = idle_timeout
        self._interval = min(_SWEEP_INTERVAL, half_open_timeout / 4, idle_timeout / 4)
        self._sweeping: asyncio.TimerHandle | None = None
        self._relays: set[Relay] = set()

    def start(
        self,
        client: socket.socket,
        client_codec: RelayCodec | None,
        target: socket.socket,
        target_codec: RelayCodec | None,
        ended: Callable[[Relay], None],
        *,
        to_client: bytes = b"",
        to_target: bytes = b"",
        meter: Meter | None = None,
    ) -> Relay:
        """Relay between two connected sockets, which are the relay's from now on.

        :param client: non-blocking stream socket towards the client.
        :param client_codec: opens what the client sends and seals what it gets; None for
            plain bytes.
        :param target: the other end.
        :param target_codec: likewise for the target.
        :param ended: called with the relay when both sockets are closed.
        :param to_client: bytes, as they go on the wire, that must reach the client first.
        :param to_target: likewise for the target.
        :param meter: of the user whose it is; None where users are not told apart.
        """
        relay = Relay(self, ended)
        if meter is not None and meter.begin():
            relay.meter = meter
        ends = (
            Endpoint(relay, client, client_codec, to_client),
            Endpoint(relay, target, target_codec, to_target),
        )
        relay.client, relay.target = ends
        relay.client.quiet = getattr(client_codec, "cuts_answers", False)
        relay.client.peer, relay.target.peer = relay.target, relay.client
        self._relays.add(relay)
        self.counters.relays += 1
        self.counters.active += 1
        if self._sweeping is None:
            self._sweeping = self.loop.call_later(self._interval, self._sweep)
        for endpoint in ends:
            endpoint.attach(self.loop)
        # Both transports call connection_made in the loop's next turn, before it polls, so
        # neither end can receive while the other is not ready.
        self.loop.call_soon(_finish_attaching, ends)
        return relay

    def abort(self) -> None:
        """End every relay at once: both of its ends see a reset."""
        for relay in list(self._relays):
            relay.client.quiet = False
            relay.fail(StoppedError("the service is ending"))

    def forget(self, relay: Relay) -> None:
        """Take an ended relay off the books."""
        self._relays.discard(relay)
        self.counters.active -= 1

    def _sweep(self) -> None:
        now = monotonic()
        for relay in list(self._relays):
            relay.check_idle(now, self._half_open_timeout, self._idle_timeout)
        self._sweeping = None
        if self._relays:
            self._sweeping = self.loop.call_later(self._interval, self._sweep)


class Relay:
    """Two connected ends; made by :meth:`Engine.start`.

    `error` tells why it ended: None for an end of both streams, else a FastsocksError.
    """

    __slots__ = (
        "_ended",
        "bytes_down",
        "bytes_up",
        "client",
        "engine",
        "error",
        "first_down",
        "meter",
        "over",
        "target",
        "touched",
    )

    client: Endpoint
    target: Endpoint

    def __init__(self, engine: Engine, ended: Callable[[Relay], None]) -> None:
        self.engine = engine
        self.bytes_up = 0
        self.bytes_down = 0
        self.error: FastsocksError | None = None
        #: When the first payload came from the target, by the monotonic clock; 0 before.
        self.first_down = 0.0
        #: Of the user; None where users are not told apart.
        self.meter: Meter | None = None
        self.over = False
        self.touched = monotonic()
        self._ended: Callable[[Relay], None] | None = ended

    def count(self, endpoint: Endpoint, size: int) -> None:
        """Add payload that came from `endpoint`, in bytes."""
        counters = self.engine.counters
        if endpoint is self.client:
            self.bytes_up += size
            counters.bytes_up += size
        else:
            if not self.bytes_down:
                self.first_down = self.touched
            self.bytes_down += size
            counters.bytes_down += size

    def fail(self, error: FastsocksError, *, cut: bool = True) -> None:
        """End both directions abruptly, so that neither side takes a cut for an end.

        :param cut: whether the answer is cut short by it.
        """
        if self.over:
            return
        self.over = True
        self.error = error
        self.touched = monotonic()
        self.client.leave(cut=cut)
        self.target.reset()

    def finish(self) -> None:
        """Close both ends once their queues are sent: both directions have ended."""
        for endpoint in (self.client, self.target):
            if endpoint.transport is not None:
                endpoint.transport.close()

    def lost(self) -> None:
        """Take note that an end's socket is closed."""
        if not (self.client.closed and self.target.closed):
            return
        self.over = True
        self.engine.forget(self)
        if self.meter is not None:
            self.meter.end()
            for endpoint in (self.client, self.target):
                if endpoint.late is not None:
                    endpoint.late.cancel()
        ended, self._ended = self._ended, None
        try:
            if ended is not None:
                ended(self)
        finally:
            # What refers to what here is a ring; break it, and leave the collector nothing.
            del self.client.peer, self.target.peer
            del self.client, self.target

    def check_idle(self, now: float, half_open: float, idle: float) -> None:
        """End the relay if no byte has passed for too long.

        :param now: the monotonic clock, in seconds.
        :param half_open: the limit in seconds once one side has finished sending.
        :param idle: the limit in seconds before that.
        """
        limit = half_open if self.client.ended or self.target.ended or self.over else idle
        # Both are asked, since asking takes note of the queue.
        draining = [self.client.draining(), self.target.draining()]
        if any(draining):
            self.touched = now
        elif now - self.touched <= limit:
            return
        elif self.over:
            # A client that does not take what was kept for it.
            self.client.reset()
        else:
            self.fail(IdleTimeoutError(f"no byte for {limit:g} s"))


def _finish_attaching(ends: tuple[Endpoint, Endpoint]) -> None:
    for endpoint in ends:
        endpoint.finish_attaching()
