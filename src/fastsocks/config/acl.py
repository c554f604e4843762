"""ACL files of shadowsocks-libev and shadowsocks-rust, read as rules.

Each line is an IP address or network, ``|name``, ``||name`` (that name and all below it), a
regular expression to search names for, or a section. On a server the lists are of clients, and
``[outbound_block_list]`` is of targets; on ``local`` and ``proxy`` all are of targets, and what is
bypassed is dialed directly.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path

from fastsocks.errors import ConfigError

from .patterns import compile_pattern
from .rules import Action, Network, Rule, read_name, read_network

#: Largest file in bytes; those of all networks of a country have far less.
LARGEST = 8 * 1024 * 1024

_MODES = {
    "[accept_all]": Action.ALLOW,
    "[proxy_all]": Action.ALLOW,
    "[reject_all]": Action.DENY,
    "[bypass_all]": Action.DENY,
}
_BLOCK, _BLACK, _WHITE = "outbound_block_list", "black_list", "white_list"
_LISTS = {
    "[outbound_block_list]": _BLOCK,
    "[black_list]": _BLACK,
    "[bypass_list]": _BLACK,
    "[white_list]": _WHITE,
    "[proxy_list]": _WHITE,
}

#: Regular expressions that say no more than a name: itself and all below it, or just itself.
_NAME = r"(?P<name>(?:[a-z0-9_-]|\\[.-])+)"
_SUFFIX = re.compile(
    rf"(?:\(\?:\^\|\\\.\)|\(\^\|\\\.\)|\^\((?:\?:)?\.[*+]\\\.\)\?){_NAME}\$", re.IGNORECASE
)
_EXACT = re.compile(rf"\^{_NAME}\$", re.IGNORECASE)


@dataclass
class _Entry:
    line: int
    text: str
    networks: tuple[Network, ...] = ()
    suffixes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    patterns: tuple[re.Pattern[str], ...] = ()


@dataclass
class _File:
    name: str
    mode: Action = Action.ALLOW
    lists: dict[str, list[_Entry]] = field(
        default_factory=lambda: {_BLOCK: [], _BLACK: [], _WHITE: []}
    )


def read_acl(
    path: str | os.PathLike[str], *, server: bool, left_out: list[str] | None = None
) -> tuple[Rule, ...]:
    """Read an ACL file.

    :param server: whether its lists are of a server.
    :param left_out: where lines that cannot be had are to be left out, takes what is wrong with
        each; None makes an error of the first.
    :raises ConfigError: it cannot be read, or has something that cannot be had; names the line.
    """
    file = _read(path, server, left_out)
    if server:
        return tuple(_rules_of_server(file))
    return tuple(_rules_of_local(file))


def _read(path: str | os.PathLike[str], server: bool, left_out: list[str] | None) -> _File:
    name = str(path)
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "this is not a path"
        raise ConfigError(f"{name}: {reason}") from None
    if len(data) > LARGEST:
        raise ConfigError(f"{name}: it is larger than {LARGEST} bytes, the most that is read")
    file = _File(name)
    current = _BLACK
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{name}: line {place}: it is not UTF-8") from None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.partition("#")[0].strip()
        section = line.lower()
        if not line:
            continue
        if section in _MODES:
            file.mode = _MODES[section]
        elif section in _LISTS:
            current = _LISTS[section]
        elif re.fullmatch(r"\[[a-z_]+\]", section):
            # What stands below it would be taken for something else.
            raise ConfigError(
                f"{name}: line {number}: there is no section {line}; known are "
                f"{', '.join([*_MODES, *_LISTS])}"
            )
        else:
            try:
                file.lists[current].append(_read_entry(number, line, server and current != _BLOCK))
            except ConfigError as error:
                told = f"{name}: line {number}: {error}"
                if left_out is None:
                    raise ConfigError(told) from None
                left_out.append(told)
    return file


def _read_entry(number: int, line: str, is_client: bool) -> _Entry:
    """Read what is in a list.

    :param is_client: whether that is of clients, which have no names.
    """
    if re.fullmatch(r"[\d.]+(/\d+)?|[0-9a-f:.]*:[0-9a-f:.]*(/\d+)?", line, re.IGNORECASE):
        return _Entry(number, line, networks=(_read_network(line),))
    if is_client:
        raise ConfigError(
            "on a server this list is of clients, which have no names; write IP addresses, or move "
            "it below [outbound_block_list]"
        )
    if line.startswith("||"):
        return _Entry(number, line, suffixes=(_name(line[2:]),))
    if line.startswith("|"):
        return _Entry(number, line, names=(_name(line[1:]),))
    suffix, exact = _SUFFIX.fullmatch(line), _EXACT.fullmatch(line)
    if found := suffix or exact:
        # What is no host name has no one form to be looked up by, and is in no name either.
        with contextlib.suppress(ConfigError):
            name = read_name(found["name"].replace("\\", ""))
            if suffix:
                return _Entry(number, line, suffixes=(name,))
            return _Entry(number, line, names=(name,))
    return _Entry(number, line, patterns=(compile_pattern(line),))


def _read_network(text: str) -> Network:
    """Read a network as its peers do, which pass over bits behind the prefix."""
    try:
        return read_network(str(ip_network(text, strict=False)))
    except ValueError:
        return read_network(text)


def _name(text: str) -> str:
    if not text.removesuffix("."):
        raise ConfigError("this name is empty; write ||example.com for a name and all below it")
    return read_name(text)


def _rules_of_server(file: _File) -> list[Rule]:
    rules = [_target_rule(file, entry, Action.DENY) for entry in file.lists[_BLOCK]]
    for kind, action in ((_BLACK, Action.DENY), (_WHITE, Action.ALLOW)):
        if kind == _WHITE and file.mode is Action.ALLOW:
            continue
        rules += [
            Rule(
                action=action,
                text=entry.text,
                source=f"{file.name}: line {entry.line}",
                clients=entry.networks,
            )
            for entry in file.lists[kind]
        ]
    if file.mode is Action.DENY:
        rules.append(Rule(action=Action.DENY, text="[reject_all]", source=file.name))
    return rules


def _rules_of_local(file: _File) -> list[Rule]:
    """Names come first, those to be proxied before those to be bypassed, as in sslocal."""
    white = [_target_rule(file, entry, Action.ALLOW) for entry in file.lists[_WHITE]]
    black = [_target_rule(file, entry, Action.DIRECT) for entry in file.lists[_BLACK]]
    networks = black if file.mode is Action.ALLOW else white
    rules = [
        *(_target_rule(file, entry, Action.DENY) for entry in file.lists[_BLOCK]),
        *(rule for rule in (*white, *black) if not rule.networks),
        *(rule for rule in networks if rule.networks),
    ]
    if file.mode is Action.DENY:
        rules.append(Rule(action=Action.DIRECT, text="[bypass_all]", source=file.name))
    return rules


def _target_rule(file: _File, entry: _Entry, action: Action) -> Rule:
    return Rule(
        action=action,
        text=entry.text,
        source=f"{file.name}: line {entry.line}",
        networks=entry.networks,
        suffixes=entry.suffixes,
        names=entry.names,
        patterns=entry.patterns,
    )
