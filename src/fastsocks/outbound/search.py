"""Short names of a network's hosts: domains that are tried behind them, by `search_domains`.

Every name that comes of it is decided on by rules before it is looked up, as if the client had
asked for it.
"""

from __future__ import annotations

import socket
from functools import partial
from typing import TYPE_CHECKING

from fastsocks.address import Address, canonical, host_name
from fastsocks.errors import HostNameError, ResolveError
from fastsocks.net.resolver import System
from fastsocks.setup.roles import Opened, Route

from .ruled import RuledOutbound

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastsocks.inbound import Accepted
    from fastsocks.net import Dialer
    from fastsocks.net.dial import AddressFilter
    from fastsocks.request import Request

    from .rules import AccessRules

#: Stands for the domains of resolv.conf.
SYSTEM = "system"

#: The name is not there; the next one may be.
_MISSING = frozenset((socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)))


class SearchingOutbound(RuledOutbound):
    """What leads to targets directly, and searches domains for their names.

    :param domains: in their order, or :data:`SYSTEM` alone.
    """

    def __init__(
        self,
        access_rules: AccessRules | None,
        address_filter: AddressFilter | None,
        domains: Sequence[str],
        system: System | None = None,
    ) -> None:
        super().__init__(access_rules, None, address_filter)
        self._domains = tuple(domains)
        self._system = system or System()

    def route(self, request: Request, accepted: Accepted) -> Route:
        """Decide where a request goes.

        :raises PolicyError: the rules refuse it.
        :raises HostNameError: it is for no name of a host.
        """
        names = tuple(self.names(request.address))
        if len(names) == 1:
            return super().route(request._replace(address=names[0]), accepted)
        return Route(names[0], open=partial(self._open, names, request, accepted))

    def names(self, address: Address) -> Iterator[Address]:
        """Give the names to look up, in their order; just the address itself if it is complete.

        Complete are IP addresses, and names with a dot at their end. With as many dots as `ndots`
        of resolv.conf says, or more, a name is tried as it is first, else last.
        """
        own = canonical(address)
        if not own.is_name or address.host.endswith("."):
            yield own
            return
        found = self._system.resolv_conf
        domains = found.search if self._domains == (SYSTEM,) else self._domains
        as_it_is_first = own.host.count(".") >= found.ndots
        if as_it_is_first:
            yield own
        for domain in domains:
            try:
                yield Address.of(host_name(f"{own.host}.{domain}"), own.port)
            except HostNameError:
                # Too long for a name.
                continue
        if not as_it_is_first:
            yield own

    async def _open(
        self,
        names: tuple[Address, ...],
        request: Request,
        accepted: Accepted,
        dialer: Dialer,
        client: str,
    ) -> Opened:
        """Connect to the first of the names that there is.

        :raises PolicyError: the rules refuse one that comes before that.
        :raises DialError: there is none, or it cannot be reached.
        """
        missing: ResolveError | None = None
        for name in names:
            verdict_on = super().route(request._replace(address=name), accepted).verdict_on
            try:
                sock = await dialer.dial(name, client, verdict_on)
            except ResolveError as error:
                if error.errno not in _MISSING:
                    raise
                missing = missing or error
            else:
                return Opened(sock, None, 0.0, b"")
        raise missing or ResolveError("no name to look up")
