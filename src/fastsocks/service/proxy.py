"""``proxy``: SOCKS or HTTP in, straight to the target out."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from fastsocks.errors import CommandError
from fastsocks.journal.advice import SOCKS_ADVICE
from fastsocks.net import check_local_addresses
from fastsocks.outbound.bind import Binder
from fastsocks.outbound.from_options import find_ways, leads_datagrams_past_upstreams
from fastsocks.policy.descriptors import possible_binds
from fastsocks.request import BIND, UDP_ASSOCIATE

from .running import Running
from .socks import SocksService

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from fastsocks.config import ProxyOptions
    from fastsocks.journal.observer import Observer
    from fastsocks.net import Resolver
    from fastsocks.request import Request
    from fastsocks.setup.roles import Accepted, PeerListener

    from .listening import Listening
    from .shared_state import SharedState

_log = logging.getLogger("fastsocks.proxy")


class ProxyService(SocksService):
    """What connections to a plain proxy are for."""

    ADVICE = SOCKS_ADVICE

    def __init__(
        self,
        options: ProxyOptions,
        shared: SharedState | None = None,
        observers: Iterable[Observer] = (),
        before: ProxyService | None = None,
    ) -> None:
        super().__init__(_log, options, shared, observers, before)
        self._options = options
        # What listens on loopback serves this machine, which reaches the same without it.
        guarded = options.beyond_loopback and not options.allow_private
        self.address_filter = self.targets.address_filter if guarded else None
        self.use_outbound(options)
        chain = self.chain
        if chain is None and options.relays_tcp:
            self._commands += (BIND,)
        if chain is not None and options.relays_udp:
            find = find_ways(options, chain, self.observer.refuse_datagrams, self.log.notice)
            if find is None:
                self._commands = tuple(one for one in self._commands if one != UDP_ASSOCIATE)
            elif leads_datagrams_past_upstreams(options):
                # It may have no need of the upstreams.
                self.find_way = find
            else:
                self._find_at_once = find
        #: There once the service runs.
        self.binder: Binder | None = None

    def prepare(self, loop: asyncio.AbstractEventLoop, resolver: Resolver) -> None:
        """Make what listens for BIND."""
        super().prepare(loop, resolver)
        self.binder = Binder(loop, resolver, self._options, self.address_filter, possible_binds())

    async def bind(self, request: Request, accepted: Accepted) -> PeerListener:
        """Listen for a peer of a client; see :class:`.roles.Outbound`.

        :raises FastsocksError: it cannot be had.
        """
        if self.binder is None:
            raise CommandError("the proxy does not run")
        peer, local_host = accepted.peer, accepted.local_host
        if self.access_rules is None:
            return await self.binder.bind(request, peer, local_host)
        address_filter = self.access_rules.bind(request, peer)
        return await self.binder.bind(request, peer, local_host, address_filter)


class Proxy(Running):
    """A plain SOCKS and HTTP proxy.

    :param observers: are told of its connections, in this order.
    """

    def __init__(
        self,
        options: ProxyOptions,
        shared: SharedState | None = None,
        *,
        observers: Iterable[Observer] = (),
    ) -> None:
        super().__init__(
            partial(ProxyService, shared=shared, observers=tuple(observers)), options, shared=shared
        )
        self._proxy_options = options

    async def start(self, listening: Listening | None = None) -> None:
        """Listen, and serve from now on; see :meth:`.running.Running.start`.

        :raises ConfigError: also if this host has none of the addresses for BIND.
        """
        check_local_addresses(self._proxy_options.bind_addresses, "bind_address", "listen on")
        await super().start(listening)
