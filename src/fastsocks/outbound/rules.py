"""The rules of a service, asked where its connections and datagrams need them."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from fastsocks.address import Address
from fastsocks.config.rules import Action
from fastsocks.errors import PolicyError
from fastsocks.net.dial import not_public
from fastsocks.policy import is_public
from fastsocks.policy.rules import Rules
from fastsocks.request import BIND, CONNECT, UDP_ASSOCIATE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastsocks.config.rules import Rule
    from fastsocks.net.dial import AddressFilter, VerdictOn
    from fastsocks.policy.rules import Verdict
    from fastsocks.request import Peer, Request


#: How many regular expressions that have to be tried on every name are worth a line, and what one
#: takes as a rule.
_MANY_PATTERNS = 500
_PATTERN_MILLISECONDS = 0.001

_log = logging.getLogger("fastsocks")


class AccessRules:
    """What the rules of one service say.

    :param rules: in their order.
    :param address_filter: as of :class:`fastsocks.net.Dialer`; no rule lifts it.
    :param by_name: names are sent on, and resolved by somebody else.
    :param public: see :class:`fastsocks.policy.rules.Rules`.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        address_filter: AddressFilter | None = None,
        by_name: bool = False,
        public: Callable[[str], bool] = is_public,
    ) -> None:
        self._rules = Rules(rules, public=public)
        if (count := len(self._rules.patterns.unindexed)) > _MANY_PATTERNS:
            _log.warning(
                "%d regular expressions have no three letters that a name needs for them: all of "
                "them are tried on every name, which takes about %.1f ms; write ||example.com",
                count,
                count * _PATTERN_MILLISECONDS,
            )
        self._address_filter = address_filter
        self._by_name = by_name

    def route(self, request: Request, peer: Peer) -> tuple[bool, VerdictOn | None]:
        """Decide on a request.

        :return: whether it is to be dialed directly, whatever else leads to targets; and what to
            ask about each address of its name.
        :raises PolicyError: a rule denies it.
        """
        verdict = self._rules.verdict_on(
            request.command, peer[0], request.user, request.address, by_name=self._by_name
        )
        _check(verdict)
        direct = verdict.action is Action.DIRECT
        if verdict.pending or (direct and self._by_name and request.address.is_name):
            # Directly means that its name is resolved here after all.
            return direct, partial(self._verdict_on_address, request, peer[0])
        return direct, None

    def direct(self, peer: Peer, target: Address) -> bool:
        """Tell whether connections to a target are dialed directly, whoever the user is."""
        verdict = self._rules.verdict_on(CONNECT, peer[0], None, target, by_name=self._by_name)
        return verdict.action is Action.DIRECT

    def _verdict_on_address(self, request: Request, client: str, host: str) -> None:
        if self._address_filter is not None and not self._address_filter(host):
            raise not_public(host)
        verdict = self._rules.verdict_on(
            request.command, client, request.user, request.address, host
        )
        _check(verdict, host)

    def bind(self, request: Request, peer: Peer) -> Callable[[str], bool]:
        """Decide on a BIND.

        :return: is to be asked for the IP address of each peer that may come.
        :raises PolicyError: a rule denies it, whoever comes.
        """
        address = request.address
        if address.ip is not None and address.ip.is_unspecified:
            # Anybody may come, and each is another target.
            _check(self._rules.verdict_on_all(BIND, peer[0], request.user))
        else:
            self.route(request, peer)
        return partial(self._may_connect, request, peer[0])

    def _may_connect(self, request: Request, client: str, host: str) -> bool:
        if not request.address.is_name:
            request = request._replace(address=Address.of(host, request.address.port))
        try:
            self._verdict_on_address(request, client, host)
        except PolicyError:
            return False
        return True

    def associate(self, request: Request, peer: Peer) -> None:
        """Refuse a UDP association that could not reach any target.

        :raises PolicyError: a rule denies it.
        """
        _check(self._rules.verdict_on_all(UDP_ASSOCIATE, peer[0], request.user))

    def datagram(
        self, client: str, user: str | None, target: Address, resolved: str | None
    ) -> bool:
        """Decide on a target of datagrams.

        :param resolved: where that is a name, and resolved here, the address to send to; None
            before that, when a name is not refused that an address of it may decide on.
        :return: whether it is to be reached directly, whatever else leads to targets.
        :raises PolicyError: a rule denies it.
        """
        verdict = self._rules.verdict_on(
            UDP_ASSOCIATE,
            client,
            user,
            target,
            resolved,
            by_name=resolved is None and self._by_name,
        )
        _check(verdict, resolved)
        return verdict.action is Action.DIRECT


def _check(verdict: Verdict, resolved: str | None = None) -> None:
    if verdict.action is Action.DENY:
        of_name = f": the name stands for {resolved}" if resolved else ""
        raise PolicyError(f"denied by {verdict.rule}{of_name}")
