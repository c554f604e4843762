"""ACL files of shadowsocks-libev and shadowsocks-rust, read as rules.

Each line is an IP address or network, ``|name``, ``||name`` (that name and all below it), a
regular expression to search names for, or a section. On a server the lists are of clients, and
``[outbound_block_list]`` is of targets; on ``local`` and ``proxy`` all are of targets, and what is
bypassed is dialed directly.
"""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from fastsocks.errors import ConfigError

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

#: Repetitions that a regular expression may have, and optional parts, of which four count as much
#: as a repetition where both are there. With more, or where what is repeated can itself be read in
#: several ways, a name that a client makes up could take seconds to compare; so it is 0.2 at most.
_MOST_REPETITIONS = 2
_MOST_OPTIONAL = 12
_ESCAPED_OR_CLASS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]")
_REPETITION = re.compile(r"[*+]|\{\d*,\d*\}")
_OPTIONAL = re.compile(r"(?<![(*+}?])\?")
_INNERMOST_GROUP = re.compile(r"\((?:\?(?::|=|!|<=|<!|P<\w+>))?([^()]*)\)")
#: What a group that can be read in several ways is replaced by.
_AMBIGUOUS = "\0"


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


def read_acl(path: str | os.PathLike[str], *, server: bool) -> tuple[Rule, ...]:
    """Read an ACL file.

    :param server: whether its lists are of a server.
    :raises ConfigError: it cannot be read, or has something that cannot be had; names the line.
    """
    file = _read(path)
    if server:
        return tuple(_rules_of_server(file))
    return tuple(_rules_of_local(file))


def _read(path: str | os.PathLike[str]) -> _File:
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
    current = file.lists[_BLACK]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{name}: line {place}: it is not UTF-8") from None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.partition("#")[0].strip()
        if not line:
            continue
        section = line.lower()
        if section in _MODES:
            file.mode = _MODES[section]
        elif section in _LISTS:
            current = file.lists[_LISTS[section]]
        elif re.fullmatch(r"\[[a-z_]+\]", section):
            raise ConfigError(
                f"{name}: line {number}: there is no section {line}; known are "
                f"{', '.join([*_MODES, *_LISTS])}"
            )
        else:
            try:
                current.append(_read_entry(number, line))
            except ConfigError as error:
                raise ConfigError(f"{name}: line {number}: {error}") from None
    return file


def _read_entry(number: int, line: str) -> _Entry:
    if line.startswith("||"):
        return _Entry(number, line, suffixes=(_name(line[2:]),))
    if line.startswith("|"):
        return _Entry(number, line, names=(_name(line[1:]),))
    if re.fullmatch(r"[\d.]+(/\d+)?|[0-9a-f:.]*:[0-9a-f:.]*(/\d+)?", line, re.IGNORECASE):
        return _Entry(number, line, networks=(read_network(line),))
    if found := _SUFFIX.fullmatch(line):
        return _Entry(number, line, suffixes=(_name(found["name"].replace("\\", "")),))
    if found := _EXACT.fullmatch(line):
        return _Entry(number, line, names=(_name(found["name"].replace("\\", "")),))
    return _Entry(number, line, patterns=(_compile(line),))


def _compile(text: str) -> re.Pattern[str]:
    if _repeats_too_much(text):
        raise ConfigError(
            "this regular expression repeats too much: a name could take very long to compare; "
            "write ||example.com for a name and all below it"
        )
    try:
        with warnings.catch_warnings():
            # What a pattern may mean to later Pythons.
            warnings.simplefilter("ignore", FutureWarning)
            return re.compile(text, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(
            f"this is no IP address, network, name or regular expression: {error}"
        ) from None


def _repeats_too_much(text: str) -> bool:
    bare = _ESCAPED_OR_CLASS.sub("x", text).replace(_AMBIGUOUS, "x")
    repetitions, optional = (len(found.findall(bare)) for found in (_REPETITION, _OPTIONAL))
    if repetitions > _MOST_REPETITIONS or optional + 4 * repetitions > _MOST_OPTIONAL:
        return True
    while group := _INNERMOST_GROUP.search(bare):
        ambiguous = re.search(rf"[*+?|{{{_AMBIGUOUS}]", group[1])
        behind = bare[group.end() :].lstrip()
        if ambiguous and behind.startswith(("*", "+", "{")):
            return True
        bare = bare[: group.start()] + (_AMBIGUOUS if ambiguous else "x") + bare[group.end() :]
    return False


def _name(text: str) -> str:
    if not text.removesuffix("."):
        raise ConfigError("this name is empty; write ||example.com for a name and all below it")
    return read_name(text)


def _rules_of_server(file: _File) -> list[Rule]:
    rules = [_target_rule(file, entry, Action.DENY) for entry in file.lists[_BLOCK]]
    for kind, action in ((_BLACK, Action.DENY), (_WHITE, Action.ALLOW)):
        if kind == _WHITE and file.mode is Action.ALLOW:
            continue
        for entry in file.lists[kind]:
            if not entry.networks:
                raise ConfigError(
                    f"{file.name}: line {entry.line}: on a server this list is of clients, which "
                    "have no names; write IP addresses, or move it below [outbound_block_list]"
                )
            rules.append(
                Rule(
                    action=action,
                    text=entry.text,
                    source=f"{file.name}: line {entry.line}",
                    clients=entry.networks,
                )
            )
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
