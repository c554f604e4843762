"""How a service looks names up, by its options."""

from __future__ import annotations

import socket
from functools import partial
from typing import TYPE_CHECKING

from fastsocks.net import Resolver
from fastsocks.policy import Cap
from fastsocks.policy.descriptors import possible_lookup_sockets

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from fastsocks.config import Options
    from fastsocks.policy import ClientLimits


def make_resolver(
    loop: asyncio.AbstractEventLoop,
    options: Options,
    servers: Iterable[str],
    limits: ClientLimits,
) -> Resolver:
    """Make the resolver of a service.

    :param servers: hosts whose addresses it keeps.
    :param limits: count the look-ups that have to wait.
    """
    only = {options.ipv4_only: socket.AF_INET, options.ipv6_only: socket.AF_INET6}
    first = {options.ipv4_first: socket.AF_INET, options.ipv6_first: socket.AF_INET6}
    resolver = Resolver(
        loop,
        options.resolver,
        families=(only[True],) if True in only else (),
        first=first.get(True, 0),
        most_sockets=possible_lookup_sockets(),
        per_client=options.max_lookups_per_client,
        queued=partial(limits.refuse, Cap.LOOKUPS_PER_CLIENT),
    )
    for host in servers:
        resolver.keep(host)
    return resolver
