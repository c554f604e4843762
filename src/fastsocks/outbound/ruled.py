"""Where services lead: straight to targets or through servers, by the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastsocks.net.dial import not_public
from fastsocks.setup.roles import Route

if TYPE_CHECKING:
    from fastsocks.inbound import Accepted
    from fastsocks.net.dial import AddressFilter
    from fastsocks.request import Request

    from .chain import Chain
    from .rules import AccessRules
    from .servers import Servers


class RuledOutbound:
    """What leads to targets where there are rules or servers on the way.

    :param way: the servers; None leads straight to targets.
    :param address_filter: as of :class:`fastsocks.net.Dialer`. It holds for what is sent on,
        too: an upstream may well stand in this network.
    """

    def __init__(
        self,
        access_rules: AccessRules | None,
        way: Chain | Servers | None,
        address_filter: AddressFilter | None,
    ) -> None:
        self._way = way
        self._access_rules = access_rules
        self._address_filter = address_filter

    def route(self, request: Request, accepted: Accepted) -> Route:
        """Decide where a request goes.

        :raises PolicyError: the rules refuse it.
        """
        direct, verdict_on = False, None
        if self._access_rules is not None:
            direct, verdict_on = self._access_rules.route(request, accepted.peer)
        if self._way is None or direct:
            return Route(request.address, verdict_on=verdict_on)
        if self._address_filter is not None and not self._address_filter(request.address.host):
            raise not_public()
        return self._way.route(request, accepted)
