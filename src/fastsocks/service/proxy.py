"""``proxy``: SOCKS5 in, straight to the target out."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fastsocks.policy import UserCounters, check_request, encode_accounts, is_public
from fastsocks.socks import SocksServer

from .advice import SOCKS_ADVICE
from .interfaces import Route
from .reporting import ReportingService
from .running import Running

if TYPE_CHECKING:
    from fastsocks.config import ProxyOptions
    from fastsocks.request import Request

    from .interfaces import Peer

_log = logging.getLogger("fastsocks.proxy")


class ProxyService(ReportingService):
    """What connections to a plain SOCKS5 proxy are for."""

    ADVICE = SOCKS_ADVICE

    def __init__(self, options: ProxyOptions) -> None:
        super().__init__(_log, options)
        self._accounts = encode_accounts(options.accounts)
        if self._accounts:
            self.users = UserCounters()

    def inbound(self, peer: Peer) -> SocksServer:
        """Make the server's side of a SOCKS5 handshake."""
        return SocksServer(self._accounts)

    def route(self, request: Request, peer: Peer) -> Route:
        """Dial what the client asked for.

        :raises PolicyError: the rules refuse it.
        """
        check_request(request)
        return Route(request.address)


class Proxy(Running):
    """A plain SOCKS5 proxy."""

    def __init__(self, options: ProxyOptions) -> None:
        # What listens on loopback serves this machine, which reaches the same without it.
        guarded = options.beyond_loopback and not options.allow_private
        super().__init__(ProxyService(options), options, may_dial=is_public if guarded else None)
