"""Texts that stand for an address by themselves."""

from __future__ import annotations

import socket

from .order import AddrInfo, info_of


def address_of(host: str) -> AddrInfo | None:
    """Return an IPv4 address, or an IPv6 one with its scope (``fe80::1%eth0``); None for a name."""
    if ":" in host:
        return _with_scope(host)
    if host[-1:].isdecimal() and host.count(".") == 3:
        try:
            socket.inet_pton(socket.AF_INET, host)
        except (OSError, UnicodeError):
            return None
        return info_of(host)
    return None


def _with_scope(host: str) -> AddrInfo | None:
    try:
        found = socket.getaddrinfo(
            host,
            0,
            family=socket.AF_INET6,
            type=socket.SOCK_STREAM,
            proto=socket.IPPROTO_TCP,
            flags=socket.AI_NUMERICHOST,
        )
    except (OSError, UnicodeError):
        return None
    return found[0]
