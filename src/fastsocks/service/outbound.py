"""Where ``proxy`` and ``server`` lead: straight to targets or through upstreams, by the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastsocks.net.dial import not_public

from .interfaces import Route

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsocks.config import ProxyOptions, ServerOptions
    from fastsocks.request import Request

    from .chain import Chain
    from .interfaces import Peer
    from .reporting import ReportingService
    from .ruling import Ruling


class Outbound:
    """What leads to targets where there are rules or upstreams.

    :param guard: see :class:`fastsocks.net.Dialer`, its `may_dial`. It holds for literals that
        are sent on, too: an upstream may well stand in this network.
    """

    def __init__(
        self, ruling: Ruling | None, chain: Chain | None, guard: Callable[[str], bool] | None
    ) -> None:
        self.chain = chain
        self._ruling = ruling
        self._guard = guard

    def route(self, request: Request, peer: Peer) -> Route:
        """Decide where a request goes.

        :raises PolicyError: the rules refuse it.
        """
        direct, permit = False, None
        if self._ruling is not None:
            direct, permit = self._ruling.route(request, peer)
        if self.chain is None or direct:
            return Route(request.address, permit=permit)
        ip = request.address.ip
        if self._guard is not None and ip is not None and not self._guard(str(ip)):
            raise not_public()
        return self.chain.route(request)


def make_outbound(
    service: ReportingService,
    options: ProxyOptions | ServerOptions,
    guard: Callable[[str], bool] | None,
) -> Outbound | None:
    """Make the outbound of a service, and set its rules; None where it has neither of both.

    :raises ConfigError: an upstream is none.
    """
    service.use_rules(options.rules, guard=guard, by_name=bool(options.upstream))
    chain = None
    if options.upstream:
        from .chain import Chain

        chain = Chain(options.upstream, options.timeout)
    if chain is None and service.ruling is None:
        return None
    return Outbound(service.ruling, chain, guard)
