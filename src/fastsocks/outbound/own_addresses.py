"""What leads to this host: never public to clients, whatever its addresses are."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address, ip_network
from itertools import chain
from typing import TYPE_CHECKING

from fastsocks.config.values import split_host
from fastsocks.errors import FastsocksError
from fastsocks.net.own_addresses import follow_own_networks, is_of_this_host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fastsocks.net import Resolver
    from fastsocks.net.own_addresses import Network
    from fastsocks.policy.targets import PublicTargets

#: Seconds between two look-ups of the name that clients reach us by.
_LOOK_UP_AGAIN = 300.0


class OwnAddresses:
    """Keeps a filter told of the addresses of this host, of our sockets, and of those announced.

    :param loop: the running event loop.
    :param targets: what is told.
    :param listening: IP addresses that our sockets are bound to.
    :param announced: addresses and names under which clients reach us, some with a port.
    :param resolver: for these names.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        targets: PublicTargets,
        listening: Iterable[str],
        announced: Iterable[str],
        resolver: Resolver,
    ) -> None:
        self._targets = targets
        self._resolver = resolver
        networks, self._names = networks_of((*listening, *announced))
        targets.take_own("addresses", networks)
        self._leave: Callable[[], None] = follow_own_networks(loop, self._take_host)
        self._task = loop.create_task(self._look_up()) if self._names else None

    def close(self) -> None:
        """Follow them no more."""
        self._leave()
        if self._task is not None:
            self._task.cancel()

    def _take_host(self, networks: frozenset[Network] | None) -> None:
        if networks is None:
            self._targets.ask(is_of_this_host)
        self._targets.take_own("host", networks or ())

    async def _look_up(self) -> None:
        found: dict[str, list[str]] = {}
        while True:
            for name in self._names:
                try:
                    infos = await self._resolver.resolve(name, 0)
                except FastsocksError:
                    continue  # what it was before is the best guess
                found[name] = [info[4][0] for info in infos]
            self._targets.take_own("names", networks_of(chain(*found.values()))[0])
            await asyncio.sleep(_LOOK_UP_AGAIN)


def networks_of(addresses: Iterable[str]) -> tuple[list[Network], list[str]]:
    """Tell IP addresses from names; ports and scopes do not matter.

    :return: the addresses as networks but for those that stand for all, and the names.
    """
    networks: list[Network] = []
    names = []
    for one in addresses:
        host = split_host(one).name.partition("%")[0]
        try:
            address = ip_address(host)
        except ValueError:
            names += [host] if host else []
        else:
            networks += [] if address.is_unspecified else [ip_network(address)]
    return networks, names
