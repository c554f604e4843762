"""Where ``proxy`` and ``server`` lead: straight to targets or through upstreams, by the rules."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fastsocks.config.rules import Action
from fastsocks.errors import CommandError, ConfigError, FastsocksError
from fastsocks.net.dial import not_public
from fastsocks.request import UDP_ASSOCIATE
from fastsocks.setup.roles import Route

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsocks.address import Address
    from fastsocks.config import ProxyOptions, ServerOptions
    from fastsocks.outbound.chain import Chain
    from fastsocks.outbound.rules import Ruling
    from fastsocks.relay.packet_way import PacketWay
    from fastsocks.request import Peer, Request

    from .datagrams import Datagrams, FindWay
    from .reporting import ReportingService


_log = logging.getLogger("fastsocks")


class Outbound:
    """What leads to targets where there are rules or upstreams.

    :param guard: see :class:`fastsocks.net.Dialer`, its `may_dial`. It holds for literals that
        are sent on, too: an upstream may well stand in this network.
    """

    def __init__(
        self, ruling: Ruling | None, chain: Chain | None, guard: Callable[[str], bool] | None
    ) -> None:
        self.chain = chain
        self._ruling = ruling
        self._guard = guard

    def route(self, request: Request, peer: Peer) -> Route:
        """Decide where a request goes.

        :raises PolicyError: the rules refuse it.
        """
        direct, permit = False, None
        if self._ruling is not None:
            direct, permit = self._ruling.route(request, peer)
        if self.chain is None or direct:
            return Route(request.address, permit=permit)
        ip = request.address.ip
        if self._guard is not None and ip is not None and not self._guard(str(ip)):
            raise not_public()
        return self.chain.route(request)


def make_outbound(
    service: ReportingService,
    options: ProxyOptions | ServerOptions,
    guard: Callable[[str], bool] | None,
) -> Outbound | None:
    """Make the outbound of a service, and set its rules; None where it has neither of both.

    :raises ConfigError: an upstream is none, or a domain to search.
    """
    service.use_rules(options.read_rules, guard=guard, by_name=bool(options.upstream))
    chain = None
    if options.upstream:
        from fastsocks.outbound.chain import Chain

        chain = Chain(options.upstream, options.timeout)
        service.upstream = chain.upstreams[0]
    if options.search_domains:
        from .search import SearchingOutbound

        # It has to see whether a name ends with a dot.
        service.canonical_names = False
        return SearchingOutbound(service.ruling, guard, options.search_domains)
    if chain is None and service.ruling is None:
        return None
    return Outbound(service.ruling, chain, guard)


def leads_datagrams_past_upstreams(options: ProxyOptions | ServerOptions) -> bool:
    """Tell whether rules may have datagrams go directly."""
    return any(
        rule.action is Action.DIRECT and (not rule.commands or UDP_ASSOCIATE in rule.commands)
        for rule in options.read_rules
    )


def find_ways(
    service: ReportingService, options: ProxyOptions | ServerOptions, chain: Chain
) -> FindWay | None:
    """Return what finds ways through upstreams for datagrams; None where there can be no UDP.

    :raises ConfigError: there can be none, and it is all that is asked for.
    """
    if chain.relays_udp:
        from .datagram_chain import DatagramChain
        from .datagram_renewal import tell_renewed

        def renewed(client: str, server: Address, why: str) -> None:
            tell_renewed(service, client, server, server, why)

        datagram_chain = DatagramChain(chain, options.timeout, renewed)

        async def find(datagrams: Datagrams, client: str) -> PacketWay:
            try:
                return await datagram_chain.packet_way(datagrams, client)
            except FastsocksError as error:
                service.report(error, (client,), None)
                raise

        return find
    if leads_datagrams_past_upstreams(options):

        async def refuse(datagrams: Datagrams, client: str) -> PacketWay:
            raise CommandError(f"UDP cannot go through {chain}")

        _log.warning("UDP goes where a rule says `direct` only: it cannot go through %s", chain)
        return refuse
    if not options.relays_tcp:
        raise ConfigError(f"mode: UDP cannot go through {chain}; write tcp_only")
    _log.warning("UDP is not offered: it cannot go through %s", chain)
    return None
