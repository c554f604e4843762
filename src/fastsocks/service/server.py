"""``server``: Shadowsocks in, straight to the target out."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fastsocks.policy import UserCounters, check_request, is_public, weakness_of
from fastsocks.shadowsocks import ReplayGuard, server_codec, server_key

from .advice import SHADOWSOCKS_ADVICE
from .interfaces import Route
from .reporting import ReportingService
from .running import Running

if TYPE_CHECKING:
    from fastsocks.config import ServerOptions
    from fastsocks.request import Request
    from fastsocks.shadowsocks import ServerCodec

    from .interfaces import Peer

_log = logging.getLogger("fastsocks.server")


class ServerService(ReportingService):
    """What connections to a Shadowsocks server are for.

    :raises ConfigError: the key does not suit the method, or there is no such method.
    """

    ADVICE = SHADOWSOCKS_ADVICE

    def __init__(self, options: ServerOptions) -> None:
        super().__init__(_log, options)
        if options.users:
            self.users = UserCounters()
        self._key = server_key(options.method, options.password, options.users, options.key)
        # One for all listeners: a salt recorded at one must not pass at another.
        self._guard = ReplayGuard(self._key.method)

    def inbound(self, peer: Peer) -> ServerCodec:
        """Make the codec of one connection, which is its Inbound too."""
        return server_codec(self._key, self._guard)

    def route(self, request: Request, peer: Peer) -> Route:
        """Dial what the client asked for.

        :raises PolicyError: the rules refuse it.
        """
        check_request(request)
        return Route(request.address)


class Server(Running):
    """A Shadowsocks server.

    :raises ConfigError: the key does not suit the method, or there is no such method.
    """

    def __init__(self, options: ServerOptions) -> None:
        may_dial = None if options.allow_private else is_public
        super().__init__(
            ServerService(options),
            options,
            may_dial=may_dial,
            local_addresses=options.outbound_addresses,
        )
        if weakness := weakness_of(options.method):
            _log.warning("%s", weakness)
