"""The outbound of ``proxy`` and ``server``, and their way for datagrams, by their options."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fastsocks.config.rules import Action
from fastsocks.errors import CommandError, ConfigError, FastsocksError
from fastsocks.request import UDP_ASSOCIATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsocks.config import ProxyOptions, ServerOptions
    from fastsocks.net.dial import AddressFilter
    from fastsocks.relay.packet_way import PacketWay

    from .chain import Chain
    from .datagram_renewal import Notice
    from .ruled import RuledOutbound
    from .rules import AccessRules
    from .server_addresses import FindWay, ServerAddresses

_log = logging.getLogger("fastsocks")


def make_outbound(
    options: ProxyOptions | ServerOptions,
    access_rules: AccessRules | None,
    address_filter: AddressFilter | None,
) -> RuledOutbound | None:
    """Make the outbound of a service; None where it leads every request just to its address.

    :param access_rules: its rules.
    :param address_filter: see :class:`.ruled.RuledOutbound`.
    :raises ConfigError: an upstream is none, or a domain to search; or there is none to be told of
        clients.
    """
    if options.send_proxy_protocol and not options.upstream:
        raise ConfigError(
            "send_proxy_protocol: there is no upstream to tell who the client is; targets are told "
            "by `fastsocks tunnel` alone"
        )
    if options.search_domains:
        from .search import SearchingOutbound

        return SearchingOutbound(access_rules, address_filter, options.search_domains)
    chain = None
    if options.upstream:
        from .chain import Chain

        chain = Chain(
            options.upstream, options.timeout, send_proxy_protocol=options.send_proxy_protocol
        )
    if chain is None and access_rules is None:
        return None
    from .ruled import RuledOutbound

    return RuledOutbound(access_rules, chain, address_filter)


def leads_datagrams_past_upstreams(options: ProxyOptions | ServerOptions) -> bool:
    """Tell whether rules may have datagrams go directly."""
    return any(
        rule.action is Action.DIRECT and (not rule.commands or UDP_ASSOCIATE in rule.commands)
        for rule in options.read_rules
    )


def find_ways(
    options: ProxyOptions | ServerOptions,
    chain: Chain,
    refused: Callable[[FastsocksError, str], None],
    notice: Notice,
) -> FindWay | None:
    """Return what finds ways through upstreams for datagrams; None where there can be no UDP.

    :param refused: is told why there is no way, and for which client.
    :param notice: see :class:`.datagram_chain.DatagramChain`.
    :raises ConfigError: there can be none, and it is all that is asked for.
    """
    if chain.relays_udp:
        from .datagram_chain import DatagramChain

        datagram_chain = DatagramChain(chain, options.timeout, notice)

        async def find(addresses: ServerAddresses, client: str) -> PacketWay:
            try:
                return await datagram_chain.packet_way(addresses, client)
            except FastsocksError as error:
                refused(error, client)
                raise

        return find
    if leads_datagrams_past_upstreams(options):

        async def refuse(addresses: ServerAddresses, client: str) -> PacketWay:
            raise CommandError(f"UDP cannot go through {chain}")

        _log.warning("UDP goes where a rule says `direct` only: it cannot go through %s", chain)
        return refuse
    if not options.relays_tcp:
        raise ConfigError(f"mode: UDP cannot go through {chain}; write tcp_only")
    _log.warning("UDP is not offered: it cannot go through %s", chain)
    return None
