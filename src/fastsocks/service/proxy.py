"""``proxy``: SOCKS or HTTP in, straight to the target out."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fastsocks.errors import CommandError
from fastsocks.net import check_local_addresses
from fastsocks.policy import check_request, is_public
from fastsocks.request import BIND, UDP_ASSOCIATE

from .advice import SOCKS_ADVICE
from .bind import Binder
from .interfaces import Route
from .outbound import make_outbound
from .running import SocksRunning
from .socks import SocksService
from .upstream_association import UpstreamAssociation

if TYPE_CHECKING:
    import asyncio

    from fastsocks.config import ProxyOptions
    from fastsocks.net import Resolver
    from fastsocks.request import Request
    from fastsocks.shadowsocks import PacketCodec

    from .datagrams import Datagrams
    from .interfaces import Peer, PeerListener, UdpAssociation
    from .listening import Listening
    from .shared_state import SharedState

_log = logging.getLogger("fastsocks.proxy")


class ProxyService(SocksService):
    """What connections to a plain proxy are for."""

    ADVICE = SOCKS_ADVICE

    def __init__(self, options: ProxyOptions, shared: SharedState | None = None) -> None:
        super().__init__(_log, options, shared)
        # What listens on loopback serves this machine, which reaches the same without it.
        guarded = options.beyond_loopback and not options.allow_private
        self.may_dial = is_public if guarded else None
        self.outbound = make_outbound(self, options, self.may_dial)
        self.straight = self.outbound is None
        chain = self._chain = self.outbound.chain if self.outbound is not None else None
        if chain is None and options.relays_tcp:
            self._commands += (BIND,)
        if chain is not None and options.relays_udp and not chain.relays_udp:
            self._commands = tuple(one for one in self._commands if one != UDP_ASSOCIATE)
            _log.warning("UDP is not offered: it cannot go through %s", chain)
        #: There once the service runs.
        self.binder: Binder | None = None

    def route(self, request: Request, peer: Peer) -> Route:
        """Dial what the client asked for.

        :raises PolicyError: the rules refuse it.
        """
        check_request(request)
        if self.outbound is None:
            return Route(request.address)
        return self.outbound.route(request, peer)

    async def associate(self, request: Request, peer: Peer, local_host: str) -> UdpAssociation:
        """Open a UDP relay for a client; see :class:`.interfaces.Service`.

        :raises FastsocksError: it cannot be had.
        """
        chain, datagrams = self._chain, self.datagrams
        if chain is None or not chain.associates or datagrams is None:
            return await super().associate(request, peer, local_host)
        if self.ruling is not None:
            self.ruling.associate(request, peer)
        control, tunnel = await chain.associate(datagrams, peer[0])
        try:
            association = datagrams.associate(
                request, peer, local_host, announced=self._udp_address, tunnel=tunnel
            )
        except BaseException:
            control.close()
            raise
        return UpstreamAssociation(association, control)

    async def _tunnel(
        self, datagrams: Datagrams, peer: Peer
    ) -> tuple[PacketCodec, tuple[int, Any]] | None:
        """Lead to the upstream, if there is one."""
        return None if self._chain is None else await self._chain.tunnel(datagrams, peer[0])

    async def bind(self, request: Request, peer: Peer, local_host: str) -> PeerListener:
        """Listen for a peer of a client; see :class:`.interfaces.Service`.

        :raises FastsocksError: it cannot be had.
        """
        if self.binder is None:
            raise CommandError("the proxy does not run")
        if self.ruling is None:
            return await self.binder.bind(request, peer, local_host)
        may_come = self.ruling.bind(request, peer)
        return await self.binder.bind(request, peer, local_host, may_come)


class Proxy(SocksRunning):
    """A plain SOCKS and HTTP proxy."""

    def __init__(self, options: ProxyOptions, shared: SharedState | None = None) -> None:
        self._proxy = ProxyService(options, shared)
        self._proxy_options = options
        super().__init__(self._proxy, options, may_dial=self._proxy.may_dial, shared=shared)

    async def start(self, listening: Listening | None = None) -> None:
        """Listen, and serve from now on; see :meth:`.running.Running.start`.

        :raises ConfigError: also if this host has none of the addresses for BIND.
        """
        check_local_addresses(self._proxy_options.bind_addresses, "bind_address", "listen on")
        await super().start(listening)

    def _prepare(self, loop: asyncio.AbstractEventLoop, resolver: Resolver) -> None:
        self._proxy.binder = Binder(loop, resolver, self._proxy_options, self._may_dial)
