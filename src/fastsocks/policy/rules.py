"""Rules in the form in which they are asked for every request.

A rule is found by its targets, or for want of those by its clients or its users: names by the
dictionary of their endings, addresses by bisection. What was found is compared in the order of
the rules, and the first that holds decides.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, NamedTuple

from fastsocks.address import canonical
from fastsocks.config.rules import Action, Network, Rule

from .patterns import Patterns
from .targets import is_own_name, is_public, unmapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fastsocks.address import Address

#: How many names are remembered with the rules that could hold for them.
_MEMORY = 4096


class Number(NamedTuple):
    """An IP address as a number."""

    version: int
    value: int


class Verdict(NamedTuple):
    """What the rules say of a request."""

    #: The one that decides; None where none holds, and all is allowed.
    rule: Rule | None
    #: Whether an address of the target's name has to be known first: ask again with that.
    pending: bool = False

    @property
    def action(self) -> Action:
        """What becomes of the request."""
        return Action.ALLOW if self.rule is None else self.rule.action


_UNDECIDED = Verdict(None, pending=True)
_NOTHING = Verdict(None)


class Rules:
    """Gives verdicts on requests, by the first rule that holds.

    :param rules: in their order.
    :param public: tells which IP addresses are public, for those rules that say ``private``.
    """

    def __init__(self, rules: Sequence[Rule], *, public: Callable[[str], bool] = is_public) -> None:
        self.rules = tuple(rules)
        self._is_public = public
        targets = _Ranges()
        clients = _Ranges()
        self._suffixes: dict[str, list[int]] = {}
        self._names: dict[str, list[int]] = {}
        self._private: list[int] = []
        self._users: dict[str, list[int]] = {}
        self._others: list[int] = []
        for number, rule in enumerate(self.rules):
            if rule.has_targets:
                self._index_targets(number, rule, targets)
            elif rule.clients:
                clients.add(rule.clients, number, final=not (rule.users or _is_narrow(rule)))
            elif rule.users:
                for user in rule.users:
                    self._users.setdefault(user, []).append(number)
            else:
                self._others.append(number)
        self.patterns = Patterns(
            (number, pattern) for number, rule in enumerate(self.rules) for pattern in rule.patterns
        )
        self._targets = targets.flattened()
        self._clients = clients.flattened()
        self._client_sets = _client_sets(self.rules)
        self._with_addresses = self._first_with_addresses()
        self._of_all = self._first_of_each()
        self._of_name = lru_cache(_MEMORY)(self._find_name)

    def _index_targets(self, number: int, rule: Rule, targets: _Ranges) -> None:
        final = not (rule.clients or rule.users or _is_narrow(rule))
        targets.add(rule.networks, number, final=final)
        for suffix in rule.suffixes:
            self._suffixes.setdefault(suffix, []).append(number)
        for name in rule.names:
            self._names.setdefault(name, []).append(number)
        if rule.private:
            self._private.append(number)

    def _first_with_addresses(self) -> list[int]:
        """Return the rules that want an address, of those with the same conditions the first."""
        found: dict[object, int] = {}
        for number, rule in enumerate(self.rules):
            if rule.has_addresses:
                key = (rule.clients, rule.users, rule.ports, rule.commands)
                found.setdefault(key, number)
        return sorted(found.values())

    def verdict_on(
        self,
        command: int,
        client: str,
        user: str | None,
        target: Address,
        resolved: str | None = None,
        *,
        by_name: bool = False,
    ) -> Verdict:
        """Return what becomes of a request.

        :param command: RFC 1928 CMD.
        :param client: its IP address, with or without a scope.
        :param user: None where users are not told apart.
        :param target: what was asked for; its name is taken in its one form.
        :param resolved: where the target is a name, the address that is about to be dialed.
        :param by_name: somebody else resolves the target's name, so that it alone counts.
        :raises HostNameError: the target is neither an IP address nor a host name.
        """
        target = canonical(target)
        number = number_of(client)
        port = target.port
        host = target.host if target.ip is None else str(target.ip)
        numbers: list[int] = list(self._others)
        name = None
        if target.ip is None:
            name = host
            numbers += self._of_name(name)
            if self._private and is_own_name(name):
                numbers += self._private
            host = resolved or ""
        if host:
            numbers += self._of_address(host)
        if number is not None:
            numbers += self._clients.find(number)
        if user is not None and self._users:
            numbers += self._users.get(user, ())
        numbers.sort()
        first = len(self.rules)
        for found in numbers:
            if self._holds(found, number, user, port, command):
                first = found
                break
        if name is not None and not resolved and not by_name:
            for found in self._with_addresses:
                if found >= first:
                    break
                if self._holds(found, number, user, port, command):
                    return _UNDECIDED
        return _NOTHING if first == len(self.rules) else Verdict(self.rules[first])

    def verdict_on_all(self, command: int, client: str, user: str | None) -> Verdict:
        """Return what becomes of a request whose targets are known only later.

        :return: the rule that decides for every target, or none where that depends on targets.
        """
        number = number_of(client)
        for found in self._of_all:
            rule = self.rules[found]
            # Any port will do.
            port = rule.ports[0][0] if rule.ports else 0
            if self._holds(found, number, user, port, command):
                return _NOTHING if rule.has_targets or rule.ports else Verdict(rule)
        return _NOTHING

    def _first_of_each(self) -> list[int]:
        """Return rules without regard to targets, of those that are alike the first."""
        found: dict[object, int] = {}
        for number, rule in enumerate(self.rules):
            found.setdefault((rule.clients, rule.users, rule.commands), number)
        return sorted(found.values())

    @property
    def wants_addresses(self) -> bool:
        """Whether any rule has to know the IP address of a target."""
        return bool(self._with_addresses)

    def _holds(
        self, number: int, client: Number | None, user: str | None, port: int, command: int
    ) -> bool:
        """Tell whether a rule holds, as far as it is not about targets."""
        rule = self.rules[number]
        if rule.ports and not any(first <= port <= last for first, last in rule.ports):
            return False
        if rule.commands and command not in rule.commands:
            return False
        if rule.users and user not in rule.users:
            return False
        if not rule.clients:
            return True
        return client is not None and bool(self._client_sets[number].find(client))

    def _find_name(self, name: str) -> tuple[int, ...]:
        """Return the rules whose targets a name is among."""
        found = list(self._names.get(name, ()))
        if self._suffixes:
            rest = name
            while rest:
                found += self._suffixes.get(rest, ())
                rest = rest.partition(".")[2]
        return (*found, *self.patterns.find(name))

    def _of_address(self, host: str) -> list[int]:
        found: list[int] = []
        for number in numbers_of(host):
            found += self._targets.find(number)
        if self._private and not self._is_public(host):
            found += self._private
        return found


def _is_narrow(rule: Rule) -> bool:
    return bool(rule.ports or rule.commands)


def _client_sets(rules: Sequence[Rule]) -> dict[int, _Flat]:
    """Return, by the number of each rule that has clients, where they are."""
    sets: dict[tuple[Network, ...], _Flat] = {}
    for rule in rules:
        if rule.clients and rule.clients not in sets:
            ranges = _Ranges()
            ranges.add(rule.clients, 0, final=True)
            sets[rule.clients] = ranges.flattened()
    return {number: sets[rule.clients] for number, rule in enumerate(rules) if rule.clients}


@lru_cache(_MEMORY)
def number_of(host: str) -> Number | None:
    """Return an IP address as a number, IPv4-mapped ones as IPv4; None for what is none."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return Number(address.version, int(address))


@lru_cache(_MEMORY)
def numbers_of(host: str) -> tuple[Number, ...]:
    """Return all that an address leads to: itself, and the IPv4 address that stands in it."""
    number = number_of(host)
    if number is None:
        return ()
    inner = unmapped(ip_address(host.partition("%")[0]))
    embedded = Number(inner.version, int(inner))
    return (number,) if embedded == number else (number, embedded)


class _Flat:
    """Ranges that do not overlap, each with the rules that hold in it."""

    def __init__(self, starts: dict[int, list[int]], found: dict[int, list[tuple[int, ...]]]):
        self._starts = starts
        self._found = found

    def find(self, number: Number) -> tuple[int, ...]:
        starts = self._starts.get(number.version)
        if not starts:
            return ()
        place = bisect_right(starts, number.value)
        return self._found[number.version][place - 1] if place else ()


class _Ranges:
    """Gathers networks, which may lie in each other."""

    def __init__(self) -> None:
        self._edges: dict[int, list[tuple[int, int, bool]]] = {4: [], 6: []}
        self._final: set[int] = set()

    def add(self, networks: Iterable[Network], number: int, *, final: bool) -> None:
        """Add the networks of a rule.

        :param final: whether no rule behind it can decide what lies in them.
        """
        if final:
            self._final.add(number)
        for network in networks:
            edges = self._edges[network.version]
            edges.append((int(network.network_address), number, True))
            edges.append((int(network.broadcast_address) + 1, number, False))

    def flattened(self) -> _Flat:
        starts: dict[int, list[int]] = {}
        found: dict[int, list[tuple[int, ...]]] = {}
        for version, edges in self._edges.items():
            if edges:
                starts[version], found[version] = self._flatten(sorted(edges))
        return _Flat(starts, found)

    def _flatten(
        self, edges: list[tuple[int, int, bool]]
    ) -> tuple[list[int], list[tuple[int, ...]]]:
        starts: list[int] = []
        found: list[tuple[int, ...]] = []
        inside: list[int] = []
        for position, (value, number, opens) in enumerate(edges):
            if opens:
                insort(inside, number)
            else:
                inside.remove(number)
            if position + 1 < len(edges) and edges[position + 1][0] == value:
                continue
            starts.append(value)
            found.append(self._deciding(inside))
        return starts, found

    def _deciding(self, inside: list[int]) -> tuple[int, ...]:
        for place, number in enumerate(inside):
            if number in self._final:
                return tuple(inside[: place + 1])
        return tuple(inside)
