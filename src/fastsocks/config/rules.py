"""Rules about who may reach what, as texts: ``deny to 10.0.0.0/8 port 25``.

    rule      = action *( condition ) | action "all"
    action    = "allow" | "deny" | "direct"
    condition = "from" networks | "user" names | "to" targets | "port" ports | "command" commands

Several values of a condition have commas between them, of which one has to hold; of several
conditions all have to. A value that has blanks or commas stands in quotes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeAlias

from fastsocks.address import host_name
from fastsocks.errors import ConfigError, HostNameError
from fastsocks.request import BIND, CONNECT, UDP_ASSOCIATE

Network: TypeAlias = IPv4Network | IPv6Network

#: RFC 1928 CMD by the word of rules.
COMMANDS = {"connect": CONNECT, "bind": BIND, "udp": UDP_ASSOCIATE}

#: The target that is every address which is not public.
PRIVATE = "private"

_TOKEN = re.compile(r'\s*(?:(,)|"([^"]*)"|([^\s,"]+))')
_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?", re.ASCII)
_MAPPED = IPv6Network("::ffff:0:0/96")


class Action(Enum):
    """What becomes of a request."""

    ALLOW = "allow"
    DENY = "deny"
    #: Allowed, and dialed from here: past the Shadowsocks server of ``local``, past an upstream.
    DIRECT = "direct"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One rule; a condition without values always holds."""

    action: Action
    #: As it was written.
    text: str
    #: Where it stands: ``config.toml: rules[2]`` or ``list.acl: line 12``.
    source: str = field(default="", compare=False)
    clients: tuple[Network, ...] = ()
    users: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    #: Names that stand for themselves and all below them; in lower case and ASCII.
    suffixes: tuple[str, ...] = ()
    #: Names that stand for themselves only.
    names: tuple[str, ...] = ()
    #: Searched for in names; ACL files have them.
    patterns: tuple[re.Pattern[str], ...] = ()
    #: Whether every address that is not public is a target.
    private: bool = False
    #: First and last of each range.
    ports: tuple[tuple[int, int], ...] = ()
    #: RFC 1928 CMD.
    commands: frozenset[int] = frozenset()

    def __str__(self) -> str:
        return f'{self.source} "{self.text}"' if self.source else f'rule "{self.text}"'

    @property
    def has_targets(self) -> bool:
        """Whether it says anything about targets."""
        return bool(self.networks or self.suffixes or self.names or self.patterns or self.private)

    @property
    def has_addresses(self) -> bool:
        """Whether it has to know an IP address to tell."""
        return bool(self.networks or self.private)


def read_rules(value: object) -> tuple[Rule, ...]:
    """Read a list of rules, or a text with one in each line, or with semicolons between.

    :raises ConfigError: one of them cannot be read; names its number and what to write.
    """
    if isinstance(value, str):
        value = [line for line in re.split(r"[\n;]", value) if line.strip()]
    if not isinstance(value, list | tuple):
        raise ConfigError('it has to be a list of rules, as "deny to 10.0.0.0/8 port 25"')
    rules = []
    for number, item in enumerate(value):
        if isinstance(item, Rule):
            rules.append(item)
            continue
        try:
            if not isinstance(item, str):
                raise ConfigError('it has to be a text, as "deny to 10.0.0.0/8 port 25"')
            rules.append(read_rule(item, f"rules[{number}]"))
        except ConfigError as error:
            raise ConfigError(f"rule {number + 1}: {error}") from None
    return tuple(rules)


def placed(rules: Iterable[Rule], source: str) -> tuple[Rule, ...]:
    """Put where a list of rules stands in front of the number of each."""
    where = source.removesuffix("rules")
    return tuple(
        replace(rule, source=f"{where if where != source else f'{source}: '}{rule.source}")
        for rule in rules
    )


def read_rule(text: str, source: str = "") -> Rule:
    """Read one rule.

    :param source: where it stands.
    :raises ConfigError: it cannot be read; says what to write.
    """
    tokens = _tokens(text)
    if not tokens:
        raise ConfigError('it is empty; write for example "deny to 10.0.0.0/8 port 25"')
    word, quoted = tokens.pop(0)
    try:
        action = Action(word.lower())
    except ValueError:
        quoted = True
    if quoted:
        raise ConfigError(
            'it has to begin with allow, deny or direct, such as "deny to 10.0.0.0/8 port 25"'
        )
    if [token for token, _ in tokens] == ["all"]:
        tokens = []
    conditions: dict[str, list[str]] = {}
    while tokens:
        name = tokens.pop(0)[0].lower()
        if name not in _READERS:
            raise ConfigError(
                f"{_shown(name)} is none of {', '.join(_READERS)}; several values of one "
                "condition have commas between them"
            )
        if name in conditions:
            raise ConfigError(f"{name} is there twice; write its values with commas between them")
        conditions[name] = _values(name, tokens)
    found: dict[str, object] = {}
    for name, values in conditions.items():
        try:
            found |= _READERS[name](values)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from None
    return Rule(action=action, text=" ".join(text.split()), source=source, **found)  # type: ignore[arg-type]


def read_network(text: str) -> Network:
    """Read an IP address or a network in CIDR; IPv4-mapped ones become IPv4.

    :raises ConfigError: it is none, or has bits set behind its prefix.
    """
    try:
        network = ip_network(text)
    except ValueError:
        try:
            near = ip_network(text, strict=False)
        except ValueError:
            raise ConfigError(f"{_shown(text)} is no IP address or network") from None
        raise ConfigError(f"{_shown(text)} has bits set behind its prefix; {near}?") from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        address = network.network_address.ipv4_mapped
        return ip_network(f"{address}/{network.prefixlen - 96}")
    return network


def read_name(text: str) -> str:
    """Read a host name into the form in which names are compared; see :func:`.address.host_name`.

    :raises ConfigError: it is none.
    """
    try:
        name = host_name(text)
    except HostNameError as error:
        raise ConfigError(f"{_shown(text)} is no name: {error}") from None
    if name.rpartition(".")[2].isdecimal():
        raise ConfigError(f"{_shown(text)} is the IP address {name}; write that")
    return name


def _tokens(text: str) -> list[tuple[str, bool]]:
    """Take a rule apart; of each token, whether it stands in quotes."""
    tokens = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise ConfigError("a quotation mark is missing")
        position = found.end()
        comma, quoted, word = found.groups()
        tokens.append((comma or quoted or word or "", quoted is not None))
    return tokens


def _values(name: str, tokens: list[tuple[str, bool]]) -> list[str]:
    values = []
    while True:
        if not tokens or tokens[0] == (",", False):
            raise ConfigError(f"{name}: a value is missing")
        values.append(tokens.pop(0)[0])
        if not tokens or tokens[0] != (",", False):
            return values
        tokens.pop(0)


def _read_clients(values: list[str]) -> Mapping[str, object]:
    return {"clients": tuple(map(read_network, values))}


def _read_users(values: list[str]) -> Mapping[str, object]:
    return {"users": frozenset(values)}


def _read_targets(values: list[str]) -> Mapping[str, object]:
    networks, suffixes, names = [], [], []
    private = False
    for value in values:
        if value.lower() == PRIVATE:
            private = True
        elif value.startswith("="):
            names.append(_read_name(value[1:]))
        elif "/" in value or ":" in value or value.replace(".", "").isdecimal():
            networks.append(read_network(value.strip("[]")))
        else:
            suffixes.append(_read_name(value.removeprefix("*").removeprefix(".")))
    return {
        "networks": tuple(networks),
        "suffixes": tuple(suffixes),
        "names": tuple(names),
        "private": private,
    }


def _read_name(text: str) -> str:
    try:
        return read_name(text)
    except ConfigError as error:
        raise ConfigError(
            f"{error}; example.com is that name and all below it, =example.com that name only"
        ) from None


def _read_ports(values: list[str]) -> Mapping[str, object]:
    ports = []
    for value in values:
        found = _PORTS.fullmatch(value)
        first = int(found[1]) if found else -1
        last = int(found[2] or found[1]) if found else -1
        if not 0 <= first <= last <= 0xFFFF:
            raise ConfigError(f"{_shown(value)} is no port; write 25, or 6881-6999")
        ports.append((first, last))
    return {"ports": tuple(ports)}


def _read_commands(values: list[str]) -> Mapping[str, object]:
    for value in values:
        if value.lower() not in COMMANDS:
            raise ConfigError(f"{_shown(value)} is none of {', '.join(COMMANDS)}")
    return {"commands": frozenset(COMMANDS[value.lower()] for value in values)}


_READERS: dict[str, Callable[[list[str]], Mapping[str, object]]] = {
    "from": _read_clients,
    "user": _read_users,
    "to": _read_targets,
    "port": _read_ports,
    "command": _read_commands,
}


def _shown(text: str) -> str:
    return repr(text) if len(text) <= 60 else f"a text of {len(text)} characters"
