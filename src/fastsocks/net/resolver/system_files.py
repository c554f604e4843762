"""Files by which a system says how names are looked up: resolv.conf, nsswitch.conf, hosts.

Each is read when it is first asked for, and again when it has changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

RESOLV_CONF = "/etc/resolv.conf"
NSSWITCH_CONF = "/etc/nsswitch.conf"
HOSTS = "/etc/hosts"

#: Seconds for which a file is taken to be as it was.
_UNCHANGED = 1.0

#: How many name servers, and domains to search, the system takes (resolv.conf(5)).
_MOST_SERVERS = 3
_MOST_DOMAINS = 6

#: Who answers where nothing is said (resolv.conf(5)).
_DEFAULT_SERVER = "127.0.0.1"

Read = TypeVar("Read")


class WatchedFile(Generic[Read]):
    """What a file says now.

    :param path: of the file; one that is missing, or may not be read, counts as empty.
    :param read: takes what is in it apart; may not fail, whatever that is.
    """

    def __init__(self, path: str, read: Callable[[str], Read]) -> None:
        self._path = path
        self._read = read
        self._state: tuple[int, ...] | None = ()
        self._found: Read | None = None
        self._look_after = float("-inf")

    def get(self) -> Read:
        """Return what it says."""
        now = time.monotonic()
        if now >= self._look_after or self._found is None:
            self._look_after = now + _UNCHANGED
            state = self._look()
            if state != self._state or self._found is None:
                self._state = state
                self._found = self._read(self._text())
        return self._found

    def _look(self) -> tuple[int, ...] | None:
        try:
            found = Path(self._path).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev

    def _text(self) -> str:
        try:
            return Path(self._path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


class ResolvConf(NamedTuple):
    """What resolv.conf says (resolv.conf(5))."""

    #: IP addresses, IPv6 ones with a scope where they have one.
    servers: tuple[str, ...]
    #: Domains that hosts of this network are searched in.
    search: tuple[str, ...]
    #: A name of that many dots is looked up as it is before it is searched for.
    ndots: int
    #: Seconds to wait for an answer; None where nothing is said of time.
    timeout: float | None
    #: How often each server is asked.
    attempts: int
    #: Whether every look-up begins with another server.
    rotate: bool
    #: Whether servers are asked over TCP alone.
    tcp: bool


def read_resolv_conf(text: str) -> ResolvConf:
    """Read what is in a resolv.conf; what cannot be understood is passed over."""
    servers: list[str] = []
    search: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        word, *rest = line.split() or ("#",)
        if word == "nameserver" and rest:
            if _is_address(rest[0]):
                servers.append(rest[0])
        elif word in {"search", "domain"}:
            search = rest
        elif word == "options":
            options += rest
    numbers = {
        key: int(value)
        for key, _, value in (option.partition(":") for option in options)
        if value.isascii() and value.isdecimal() and len(value) < 4
    }
    timed = "timeout" in numbers or "attempts" in numbers
    return ResolvConf(
        tuple(servers[:_MOST_SERVERS]) or (_DEFAULT_SERVER,),
        tuple(domain.rstrip(".").lower() for domain in search[:_MOST_DOMAINS]),
        min(numbers.get("ndots", 1), 15),
        float(min(max(numbers.get("timeout", 5), 1), 30)) if timed else None,
        min(max(numbers.get("attempts", 2), 1), 5),
        "rotate" in options,
        "use-vc" in options,
    )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def read_nsswitch_conf(text: str) -> tuple[str, ...]:
    """Return who is asked for the addresses of hosts, by their names there (nsswitch.conf(5)).

    What is said of when to stop, as ``[NOTFOUND=return]``, is passed over.
    """
    for line in text.splitlines():
        key, colon, value = line.partition("#")[0].partition(":")
        if colon and key.strip().lower() == "hosts":
            value = value.replace("[", " [").replace("]", "] ")
            words, inside = [], False
            for word in value.split():
                inside = inside or word.startswith("[")
                if not inside:
                    words.append(word.lower())
                if word.endswith("]"):
                    inside = False
            return tuple(words)
    return ("files", "dns")


def read_hosts(text: str) -> dict[str, tuple[str, ...]]:
    """Return the addresses of each name in a hosts file, in the order of the file (hosts(5))."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        words = line.partition("#")[0].lower().split()
        if len(words) < 2 or not _is_address(words[0]):
            continue
        address = words[0]
        for name in (word.removesuffix(".") for word in words[1:]):
            known = found.get(name, ())
            if address not in known:
                found[name] = (*known, address)
    return found
