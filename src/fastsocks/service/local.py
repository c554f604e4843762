"""``local``: SOCKS or HTTP in, a Shadowsocks server out."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from fastsocks.journal.advice import LOCAL_ADVICE
from fastsocks.outbound.datagram_renewal import server_ways
from fastsocks.outbound.servers import Servers

from .running import Running
from .socks import SocksService

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastsocks.config import LocalOptions
    from fastsocks.journal.observer import Observer

    from .shared_state import SharedState

_log = logging.getLogger("fastsocks.local")


class LocalService(SocksService):
    """What connections to a local proxy are for.

    :raises ConfigError: the key does not suit the method, there is no such method, or the
        server's address is none.
    """

    ADVICE = LOCAL_ADVICE

    def __init__(
        self,
        options: LocalOptions,
        shared: SharedState | None = None,
        observers: Iterable[Observer] = (),
        before: LocalService | None = None,
    ) -> None:
        super().__init__(_log, options, shared, observers, before)
        self.use_rules(options.read_rules, by_name=True)
        servers = Servers((options, *options.servers))
        self.lead(servers=servers)
        self._find_at_once = server_ways(self.log.notice, servers, options.mtu)


class Local(Running):
    """A SOCKS and HTTP proxy that leads to a Shadowsocks server.

    :param observers: are told of its connections, in this order.
    :raises ConfigError: the key does not suit the method, there is no such method, or the
        server's address is none.
    """

    def __init__(
        self,
        options: LocalOptions,
        shared: SharedState | None = None,
        *,
        observers: Iterable[Observer] = (),
    ) -> None:
        super().__init__(
            partial(LocalService, shared=shared, observers=tuple(observers)),
            options,
            shared=shared,
        )
        self._service.warn_of_weakness(options.method, *(one.method for one in options.servers))
