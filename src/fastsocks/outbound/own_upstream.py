"""Services that would be their own upstream, where every connection would make another one."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import TYPE_CHECKING

from fastsocks.errors import ConfigError, ResolveError
from fastsocks.net import check_local_addresses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastsocks.net import Resolver

    from .upstream import Upstream

#: Seconds that the start may wait for the name of an upstream; the first connection waits longer.
_LOOK_UP = 2.0


async def check_not_own_upstream(
    upstream: Upstream, listening: Sequence[tuple[str, int]], resolver: Resolver
) -> None:
    """Check that an upstream is not the service itself.

    :param upstream: the first of a chain. Its name is looked up only where its port is ours.
    :param listening: IP address and port of each socket of the service.
    :raises ConfigError: it is.
    """
    address = upstream.address
    ours = [host for host, port in listening if port == address.port]
    if not ours:
        return
    hosts = [address.host]
    if address.is_name:
        try:
            async with asyncio.timeout(_LOOK_UP):
                infos = await resolver.resolve(address.host, address.port)
        except (ResolveError, TimeoutError):
            return
        hosts = [info[4][0] for info in infos]
    for host in hosts:
        for our in ours:
            if _reaches(host, our):
                where = f"[{our}]:{address.port}" if ":" in our else f"{our}:{address.port}"
                raise ConfigError(
                    f"upstream: {upstream} is this service itself, which listens on {where}; name "
                    "another server, or listen at another port"
                )


def _reaches(host: str, listening: str) -> bool:
    """Tell whether who connects to `host` comes to a socket that listens at an address."""
    target, ours = ip_address(host.partition("%")[0]), ip_address(listening.partition("%")[0])
    if target.version != ours.version:
        return False
    if target == ours:
        return True
    if target.is_unspecified:
        # Linux takes that for loopback.
        return ours.is_loopback
    return ours.is_unspecified and _is_of_this_host(host)


def _is_of_this_host(host: str) -> bool:
    try:
        check_local_addresses([host])
    except ConfigError:
        return False
    return True
