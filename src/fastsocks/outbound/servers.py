"""Shadowsocks servers to lead to: the best is used, and the others when it is not there."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING

from fastsocks.errors import (
    AddressError,
    ConfigError,
    DialError,
    DialTimeoutError,
    HostNameError,
)
from fastsocks.net import Dialer
from fastsocks.setup.limits import FAILOVER_WAIT, PAYLOAD_WAIT
from fastsocks.setup.roles import Destination, Opened, Route
from fastsocks.shadowsocks import ClientCodec, client_key, packet_client
from fastsocks.shadowsocks.packets import SALT_CAPACITY

from .balancer import Balancer
from .upstream import server_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastsocks.config import ServerEntry
    from fastsocks.errors import FastsocksError
    from fastsocks.inbound import Accepted
    from fastsocks.net import Resolver
    from fastsocks.request import Request

#: Seconds between two probes of a server.
PROBE_INTERVAL = 10.0

#: Seconds for which new associations of UDP avoid a server that lost one.
DATAGRAM_REST = 60.0

_log = logging.getLogger("fastsocks")


class Servers:
    """One server, or several of which one is used.

    :param entries: one or more, as they were configured.
    :param payload_wait: see :class:`.roles.Route`.
    :raises ConfigError: a key does not suit its method, there is no such method, or an address is
        none.
    """

    def __init__(
        self, entries: Sequence[ServerEntry], *, payload_wait: float = PAYLOAD_WAIT
    ) -> None:
        #: In the order of the entries.
        self.destinations = tuple(map(_destination, entries))
        #: See :class:`.roles.Route`.
        self.payload_wait = payload_wait
        self.balancer = Balancer(len(entries), changed=self._changed)
        self._reasons: dict[int, str] = {}
        #: Until when servers are left alone for UDP that lost an association.
        self._rests: dict[int, float] = {}
        self._probing: asyncio.Task[None] | None = None

    @property
    def only(self) -> Destination | None:
        """The one there is; None where there are several."""
        return self.destinations[0] if len(self.destinations) == 1 else None

    def route(self, request: Request, accepted: Accepted) -> Route:
        """Lead to the server that is used now, and to the others if it is not there."""
        number = self.balancer.current
        found = self.destinations[number]
        retry = partial(self._retry, number) if self.only is None else None
        return Route(found.address, ClientCodec(found.key), self.payload_wait, retry=retry)

    def for_datagrams(self) -> int:
        """Return the number of the server that a new association of UDP goes to.

        That is the one that is used, unless it lost an association lately: that TCP gets through
        says little.
        """
        now, current = time.monotonic(), self.balancer.current
        for number in (current, *self.balancer.others(current)):
            if self._rests.get(number, 0.0) <= now:
                return number
        return current

    def lost_datagrams(self, number: int) -> None:
        """Note that a server does not answer over UDP."""
        self._rests[number] = time.monotonic() + DATAGRAM_REST

    def _retry(self, number: int, error: FastsocksError) -> Route | None:
        if not isinstance(error, DialError):
            return None
        self._failed(number, error)
        return Route(self.destinations[number].address, open=partial(self._open, number, error))

    async def _open(
        self, number: int, error: FastsocksError, dialer: Dialer, client: str
    ) -> Opened:
        """Connect to the first of the other servers that is there.

        :raises DialError: none is; it is that of the server which was tried first.
        """
        for other in self.balancer.others(number):
            found = self.destinations[other]
            try:
                async with asyncio.timeout(FAILOVER_WAIT):
                    sock = await dialer.dial(found.address, client)
            except TimeoutError:
                self._failed(other, DialTimeoutError("connect timed out"))
            except DialError as failure:
                self._failed(other, failure)
            else:
                return Opened(sock, ClientCodec(found.key), self.payload_wait, b"")
        raise error

    def begin_probes(self, loop: asyncio.AbstractEventLoop, resolver: Resolver) -> None:
        """Connect to each of several servers now and then, and see how long that takes."""
        if self.only is not None:
            return
        dialer = Dialer(loop, resolver, timeout=FAILOVER_WAIT)
        self._probing = loop.create_task(self._probe_for_ever(dialer))

    def end_probes(self) -> None:
        """Probe no more; again does nothing."""
        if self._probing is not None:
            self._probing.cancel()
            self._probing = None

    async def _probe_for_ever(self, dialer: Dialer) -> None:
        while True:
            numbers = range(len(self.destinations))
            await asyncio.gather(
                *(self._probe(dialer, one) for one in numbers if not self.balancer.resting(one))
            )
            await asyncio.sleep(PROBE_INTERVAL)

    async def _probe(self, dialer: Dialer, number: int) -> None:
        begun = time.monotonic()
        try:
            sock = await dialer.dial(self.destinations[number].address)
        except DialError as error:
            self._failed(number, error)
        else:
            sock.close()
            if self.balancer.failures(number):
                _log.info("server %s is back", self.destinations[number].address)
            self._reasons.pop(number, None)
            self.balancer.succeeded(number, time.monotonic() - begun)

    def _failed(self, number: int, error: FastsocksError) -> None:
        if not self.balancer.failures(number):
            _log.warning("server %s: %s", self.destinations[number].address, error)
        self._reasons[number] = str(error)
        self.balancer.failed(number)

    def _changed(self, before: int, now: int) -> None:
        old, new = self.destinations[before].address, self.destinations[now].address
        reason = self._reasons.get(before) or f"it takes {self._latency(before)}"
        _log.info("now by server %s (%s), not %s: %s", new, self._latency(now), old, reason)

    def _latency(self, number: int) -> str:
        latency = self.balancer.latency(number)
        return "not measured yet" if latency is None else f"{1000 * latency:.0f} ms"


def _destination(entry: ServerEntry) -> Destination:
    key = client_key(entry.method, entry.password, entry.key)
    try:
        address = server_address(entry.server, entry.server_port)
    except (AddressError, HostNameError, ConfigError) as error:
        raise ConfigError(f"server: {error}") from error
    packets = None
    if not key.method.family.sessions:
        # Without sessions, one codec knows the salts of all answers.
        packets = packet_client(key, salt_capacity=SALT_CAPACITY)
    return Destination(address, key, packets)
