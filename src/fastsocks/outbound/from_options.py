"""The way of datagrams through upstreams, by the options of a service."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fastsocks.config.rules import Action
from fastsocks.errors import CommandError, ConfigError, FastsocksError
from fastsocks.request import UDP_ASSOCIATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsocks.config import Options
    from fastsocks.relay.packet_way import PacketWay

    from .chain import Chain
    from .datagram_renewal import Notice
    from .server_addresses import FindWay, ServerAddresses

_log = logging.getLogger("fastsocks")


def leads_datagrams_past_upstreams(options: Options) -> bool:
    """Tell whether rules may have datagrams go directly."""
    return any(
        rule.action is Action.DIRECT and (not rule.commands or UDP_ASSOCIATE in rule.commands)
        for rule in options.read_rules
    )


def find_ways(
    options: Options,
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

        return telling(datagram_chain.packet_way, refused)
    if leads_datagrams_past_upstreams(options):

        async def refuse(addresses: ServerAddresses, client: str) -> PacketWay:
            raise CommandError(f"UDP cannot go through {chain}")

        _log.warning("UDP goes where a rule says `direct` only: it cannot go through %s", chain)
        return refuse
    if not options.relays_tcp:
        raise ConfigError(f"mode: UDP cannot go through {chain}; write tcp_only")
    _log.warning("UDP is not offered: it cannot go through %s", chain)
    return None


def telling(find: FindWay, refused: Callable[[FastsocksError, str], None]) -> FindWay:
    """Return what finds ways as `find` does, and tells where there is none.

    :param refused: is told why, and for which client.
    """

    async def found(addresses: ServerAddresses, client: str) -> PacketWay:
        try:
            return await find(addresses, client)
        except FastsocksError as error:
            refused(error, client)
            raise

    return found
