"""``proxy``: SOCKS5 in, straight to the target out."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fastsocks.policy import check_request, is_public

from .advice import SOCKS_ADVICE
from .interfaces import Route
from .running import SocksRunning
from .socks import SocksService

if TYPE_CHECKING:
    from fastsocks.config import ProxyOptions
    from fastsocks.request import Request

    from .interfaces import Peer

_log = logging.getLogger("fastsocks.proxy")


class ProxyService(SocksService):
    """What connections to a plain SOCKS5 proxy are for."""

    ADVICE = SOCKS_ADVICE

    def __init__(self, options: ProxyOptions) -> None:
        super().__init__(_log, options)

    def route(self, request: Request, peer: Peer) -> Route:
        """Dial what the client asked for.

        :raises PolicyError: the rules refuse it.
        """
        check_request(request)
        return Route(request.address)


class Proxy(SocksRunning):
    """A plain SOCKS5 proxy."""

    def __init__(self, options: ProxyOptions) -> None:
        # What listens on loopback serves this machine, which reaches the same without it.
        guarded = options.beyond_loopback and not options.allow_private
        super().__init__(ProxyService(options), options, may_dial=is_public if guarded else None)
