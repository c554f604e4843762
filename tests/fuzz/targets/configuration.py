"""What users write: URLs, rules, accounts, configuration files and environments."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from configured import configure_local, configure_proxy, configure_server, configure_tunnel
from fastsocks.accounts.file import read_accounts_file
from fastsocks.address import Address, canonical
from fastsocks.config.acl import read_acl
from fastsocks.config.document import Document, parse
from fastsocks.config.file import _Reader
from fastsocks.config.keys import Side
from fastsocks.config.rules import Rule, read_rule, read_rules
from fastsocks.config.url import ServerURL
from fastsocks.errors import AddressError, ConfigError, HostNameError
from fastsocks.policy.rules import Rules, numbers_of
from fastsocks.policy.targets import is_own_name, is_public
from fastsocks.request import CONNECT

from ..oracle import Input, agree, outcome

_ENDINGS = ("file.json", "file.toml", "file")
_SIDES = (configure_server, configure_local, configure_proxy, configure_tunnel)
_CLIENT = "192.0.2.1"
_USER = "alice"


def url(data: bytes) -> None:
    """An ss:// URL; what can be read, can be written, and reads the same again."""
    found = outcome(ServerURL.parse, "ss://" + data.decode("utf-8", "surrogateescape"))
    if isinstance(found, ServerURL):
        agree([("parsed", found), ("formatted", outcome(ServerURL.parse, found.format()))])


def rule(data: bytes) -> None:
    """A line of rules."""
    outcome(read_rule, data.decode("utf-8", "replace"))


def rules(data: bytes) -> None:
    """A target in the first line, and rules about it; found as by asking one after the other."""
    target, _, text = data.partition(b"\n")
    _decide(target, outcome(read_rules, text.decode("utf-8", "replace")))


def acl(data: bytes) -> None:
    """The same with an ACL file; what it has time for must not depend on the name."""
    target, _, content = data.partition(b"\n")
    for server in (False, True):
        with _file_of(content) as path:
            _decide(target, outcome(lambda: read_acl(path, server=server)))  # noqa: B023


def accounts(data: bytes) -> None:
    """A file of accounts; what can be read, can be written, and reads the same again."""
    with _file_of(data) as path:
        found = outcome(read_accounts_file, path)
    if not isinstance(found, dict):
        return
    lines = [b"%b:%b\n" % (name, known.text.encode()) for name, known in found.items()]
    with _file_of(b"".join(lines)) as path:
        again = read_accounts_file(path)
    agree(
        (when, [(name, known.text) for name, known in read.items()])
        for when, read in (("read", found), ("read again", again))
    )


def document(data: bytes) -> None:
    """A configuration file, for either side."""
    if len(data) > 4096:
        return
    name = _ENDINGS[data[0] % len(_ENDINGS)] if data else "file"
    try:
        content = parse(data[1:], name)
    except ConfigError:
        return
    for side in Side:
        made = Document(name, Path("/nowhere"), content, open_to_others=False)
        outcome(_Reader(made, side, {"SECRET": "text"}).read)


def configuration(data: bytes) -> None:
    """An environment, as a number of lines ``NAME=VALUE``, and a file: options of each side."""
    chosen = Input(data)
    count = chosen.byte() % 8
    *lines, content = chosen.rest().split(b"\n", count)
    pairs = (line.decode("utf-8", "surrogateescape").partition("=") for line in lines)
    environ = {f"FASTSOCKS_{name}": value for name, _, value in pairs}
    with _file_of(content) as path:
        for configure in _SIDES:
            outcome(configure, {}, path if content else None, environ)


def _decide(text: bytes, found: object) -> None:
    """Compare what an index over rules finds for a target with what a scan finds."""
    try:
        target = canonical(Address.of(text.decode("utf-8", "replace"), 443))
    except (AddressError, HostNameError):
        return
    if not isinstance(found, tuple):
        return
    decided = Rules(found).verdict_on(CONNECT, _CLIENT, _USER, target, by_name=True).rule
    scanned = next((one for one in found if _holds(one, target)), None)
    agree([("indexed", decided), ("scanned", scanned)])


def _holds(one: Rule, target: Address) -> bool:
    ports = any(first <= target.port <= last for first, last in one.ports)
    return (
        (ports or not one.ports)
        and (CONNECT in one.commands or not one.commands)
        and (_USER in one.users or not one.users)
        and (_is_among(_CLIENT, one.clients) or not one.clients)
        and (_is_target(one, target) or not one.has_targets)
    )


def _is_target(one: Rule, target: Address) -> bool:
    if target.ip is not None:
        host = str(target.ip)
        return _is_among(host, one.networks) or (one.private and not is_public(host))
    name = target.host
    return (
        name in one.names
        or (one.private and is_own_name(name))
        or any(f".{name}".endswith(f".{suffix}") for suffix in one.suffixes)
        or any(pattern.search(name) for pattern in one.patterns)
    )


def _is_among(host: str, networks: tuple[Any, ...]) -> bool:
    return any(
        number.version == network.version
        and int(network.network_address) <= number.value <= int(network.broadcast_address)
        for number in numbers_of(host)
        for network in networks
    )


@contextmanager
def _file_of(content: bytes) -> Iterator[str]:
    """Yield the path of a file with `content`, which is nowhere but in memory."""
    descriptor = os.memfd_create("input")
    try:
        os.write(descriptor, content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
