"""In which order to try the addresses of a name (RFC 6724), and which families this host uses."""

from __future__ import annotations

import socket
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple, TypeAlias

#: family, type, proto, canonname, sockaddr as getaddrinfo returns them.
AddrInfo: TypeAlias = tuple[int, int, int, str, tuple[Any, ...]]

#: The policy table (RFC 6724 section 2.1): prefix, its length, precedence, label.
_POLICY = tuple(
    (int(IPv6Address(prefix)) >> (128 - length), length, precedence, label)
    for prefix, length, precedence, label in (
        ("::1", 128, 50, 0),
        ("::ffff:0:0", 96, 35, 4),
        ("2002::", 16, 30, 2),
        ("2001::", 32, 5, 5),
        ("fc00::", 7, 3, 13),
        ("::", 96, 1, 3),
        ("fec0::", 10, 1, 11),
        ("3ffe::", 16, 1, 12),
        ("::", 0, 40, 1),
    )
)

#: Scopes (RFC 6724 section 3.1, RFC 4291 section 2.7).
_LINK_LOCAL, _SITE_LOCAL, _GLOBAL = 0x2, 0x5, 0xE

_IF_INET6 = Path("/proc/net/if_inet6")

#: Seconds for which the addresses of this host are taken to be as they were.
_UNCHANGED = 5.0


class _Place(NamedTuple):
    """What the rules look at of an address."""

    number: int
    scope: int
    precedence: int
    label: int
    is_ipv6: bool


def info_of(host: str) -> AddrInfo:
    """Return what getaddrinfo gives for an IP address, with the port 0."""
    if ":" in host:
        return (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, 0, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, 0))


def in_order(infos: list[AddrInfo]) -> list[AddrInfo]:
    """Sort addresses of one name by the rules of RFC 6724 section 6 that a host can know of.

    Those that no route leads to come last (rule 1). Of rules 3, 4 and 7 nothing is known here, and
    addresses of one family stay in the order of the answer, by which name servers share out load.
    """
    if len({info[0] for info in infos}) < 2:
        return infos
    return sorted(infos, key=_key)


def _key(info: AddrInfo) -> tuple[Any, ...]:
    target = _place(info[4][0])
    source = _source(info)
    if source is None:
        return (True, True, True, -target.precedence, target.scope, 0)
    common = 0
    if target.is_ipv6 and source.is_ipv6:
        common = min(128 - (target.number ^ source.number).bit_length(), 64)
    return (
        False,
        source.scope != target.scope,
        source.label != target.label,
        -target.precedence,
        target.scope,
        -common,
    )


def _source(info: AddrInfo) -> _Place | None:
    """Return the address that this host would send from; None where there is no way."""
    host, _, *rest = info[4]
    try:
        with socket.socket(info[0], socket.SOCK_DGRAM) as probe:
            # Sends nothing: asks for a route.
            probe.connect((host, 9, *rest))
            return _place(probe.getsockname()[0])
    except OSError:
        return None


def _place(text: str) -> _Place:
    address = ip_address(text.partition("%")[0])
    is_ipv6 = isinstance(address, IPv6Address)
    number = int(address) if is_ipv6 else 0xFFFF << 32 | int(address)
    precedence, label = next(
        (precedence, label)
        for prefix, length, precedence, label in _POLICY
        if number >> (128 - length) == prefix
    )
    scope = _GLOBAL
    if address.is_link_local or address.is_loopback:
        scope = _LINK_LOCAL
    elif isinstance(address, IPv6Address) and address.is_site_local:
        scope = _SITE_LOCAL
    return _Place(number, scope, precedence, label, is_ipv6)


#: Both families.
FAMILIES = (socket.AF_INET, socket.AF_INET6)


class HostFamilies:
    """The families of addresses that this host has use for; looked up every few seconds."""

    def __init__(self) -> None:
        self._families: tuple[int, ...] = FAMILIES
        self._look_after = float("-inf")

    def get(self) -> tuple[int, ...]:
        """Return AF_INET, and AF_INET6 where it has an address that leads beyond its links.

        A host that has but loopback, as in a namespace, is given both families.
        """
        now = monotonic()
        if now >= self._look_after:
            self._look_after = now + _UNCHANGED
            self._families = FAMILIES if _has_ipv6() else (socket.AF_INET,)
        return self._families


def _has_ipv6() -> bool:
    if not socket.has_ipv6:
        return False
    try:
        lines = _IF_INET6.read_text(encoding="ascii").splitlines()
    except OSError:
        # Not Linux, or a kernel without IPv6.
        return not Path("/proc/net").exists()
    scopes = [words[3] for words in (line.split() for line in lines) if len(words) > 3]
    # Global (unique local ones too), 0x00; link-local, 0x20; this host, 0x10.
    return "00" in scopes or (scopes == ["10"] and _source(info_of("192.0.2.1")) is None)
