"""``server``: Shadowsocks in, straight to the target out."""

from __future__ import annotations

import logging
import math
from functools import partial
from typing import TYPE_CHECKING

from fastsocks.journal.advice import SHADOWSOCKS_ADVICE
from fastsocks.policy import Meters
from fastsocks.policy.descriptors import association_cap
from fastsocks.shadowsocks import (
    ReplayGuard,
    ServerInbounds,
    packet_server,
    replay_memory,
    server_key,
)

from .reporting import ReportingService
from .running import Running

if TYPE_CHECKING:
    import socket
    from collections.abc import Collection, Iterable, Sequence

    from fastsocks.config import Options, ServerOptions
    from fastsocks.journal.observer import Observer
    from fastsocks.setup.roles import Inbounds
    from fastsocks.shadowsocks import PacketCodec, ServerKey

    from .datagrams import Datagrams
    from .shared_state import SharedState

#: Options that its key is made of, beside users.
_OF_THE_KEY = ("method", "password", "key")

#: SIP022 3.2.4, in seconds.
_SHORTEST_SESSION = 60

#: Sessions that a codec remembers at most.
_MOST_SESSIONS = 1 << 20

_log = logging.getLogger("fastsocks.server")


class ServerService(ReportingService):
    """What connections to a Shadowsocks server are for.

    :raises ConfigError: the key does not suit the method, there is no such method, or no way for
        UDP where that is all that is asked for.
    """

    ADVICE = SHADOWSOCKS_ADVICE

    def __init__(
        self,
        options: ServerOptions,
        shared: SharedState | None = None,
        observers: Iterable[Observer] = (),
        before: ServerService | None = None,
    ) -> None:
        super().__init__(_log, options, shared, observers, before)
        if before is not None:
            self.users = before.users
        elif options.users:
            users = options.users
            self.users = Meters(users) if shared is None else shared.meters(users)
        self.address_filter = None if options.allow_private else self.targets.address_filter
        self.use_outbound(options)
        self.lead_datagrams(options)
        key = server_key(options.method, options.password, options.users, options.key)
        self._users = options.users
        self._key: ServerKey = key if before is None else before._key
        if before is not None:
            # The users of its key change with take_over(), and all else of it cannot.
            self._guard: ReplayGuard = before._guard
            self.packets: PacketCodec = before.packets
            return
        # One for all: what was recorded at one port must not pass at another.
        replays = replay_memory(1 if shared is None else shared.workers)
        self._guard = ReplayGuard(self._key, replays)
        capacity = association_cap(options.udp_max_associations)
        #: Of all UDP sockets, which are one to it.
        self.packets = packet_server(
            self._key,
            memory=replays,
            retention=max(_SHORTEST_SESSION, math.ceil(options.udp_timeout)),
            # One more than may stay: a session ends with its association.
            max_sessions=min(capacity + 1, _MOST_SESSIONS) if capacity else _MOST_SESSIONS,
            **({} if options.mtu is None else {"mtu": options.mtu}),
        )

    def fixed(self, options: Options) -> Collection[str]:
        """Return what is of its key, which UDP sessions are sealed by."""
        # With the first user the key of before is that of no user any more.
        from_or_to_nobody = bool(getattr(options, "users", {})) is not (self._key.users is not None)
        return (*_OF_THE_KEY, *(("users",) if from_or_to_nobody else ()))

    def take_over(self) -> None:
        """Take the place of the service before; cannot fail."""
        super().take_over()
        if self._key.users is not None:
            self._key.users.replace(self._users)

    def use_datagrams(self, datagrams: Datagrams, sockets: Sequence[socket.socket] = ()) -> None:
        """Serve clients at these."""
        for sock in sockets:
            datagrams.engine.serve(sock, self.packets)

    def inbounds(self) -> Inbounds:
        """Return what makes the codec of each connection, which is its Inbound too."""
        return ServerInbounds(self._key, self._guard)


class Server(Running):
    """A Shadowsocks server.

    :param observers: are told of its connections, in this order.
    :raises ConfigError: the key does not suit the method, or there is no such method.
    """

    binds_datagrams = True

    def __init__(
        self,
        options: ServerOptions,
        shared: SharedState | None = None,
        *,
        observers: Iterable[Observer] = (),
    ) -> None:
        super().__init__(
            partial(ServerService, shared=shared, observers=tuple(observers)),
            options,
            local_addresses=options.outbound_addresses,
            shared=shared,
        )
        self._service.warn_of_weakness(options.method)
