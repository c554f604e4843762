"""Where ``proxy`` and ``server`` lead: straight to targets or through upstreams, by the rules."""

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


class RuledOutbound:
    """What leads to targets where there are rules or upstreams.

    :param address_filter: as of :class:`fastsocks.net.Dialer`. It holds for what is sent on,
        too: an upstream may well stand in this network.
    """

    #: Whether names are to come in their one form; see :class:`.roles.Service`.
    canonical_names = True

    def __init__(
        self,
        access_rules: AccessRules | None,
        chain: Chain | None,
        address_filter: AddressFilter | None,
    ) -> None:
        self.chain = chain
        self._access_rules = access_rules
        self._address_filter = address_filter

    def route(self, request: Request, accepted: Accepted) -> Route:
        """Decide where a request goes.

        :raises PolicyError: the rules refuse it.
        """
        direct, verdict_on = False, None
        if self._access_rules is not None:
            direct, verdict_on = self._access_rules.route(request, accepted.peer)
        if self.chain is None or direct:
            return Route(request.address, verdict_on=verdict_on)
        if self._address_filter is not None and not self._address_filter(request.address.host):
            raise not_public()
        return self.chain.route(request, accepted)
