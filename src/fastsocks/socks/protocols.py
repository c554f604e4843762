"""The protocols that clients may speak on one port, told apart by the first byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastsocks.errors import VersionError
from fastsocks.request import HTTP, SOCKS4, SOCKS5

from .server import SocksServer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from .gssapi import ServerNegotiation
    from .http import HttpServer
    from .server import Check
    from .socks4 import Socks4Server


def server_of(
    first: int,
    check: Check | None,
    commands: Collection[int],
    protocols: Collection[str],
    gssapi: Callable[[], ServerNegotiation] | None,
    longest_head: int,
) -> SocksServer | Socks4Server | HttpServer:
    """Make the server that a client needs whose first byte this is.

    The parameters are those of :class:`.first_byte.FirstByteServer`.

    :raises VersionError: it speaks none of the protocols.
    """
    protocol = protocol_of(first)
    if protocol not in protocols:
        what = f"byte {first:#04x}" if protocol is None else protocol
        raise VersionError(f"{what} instead of {' or '.join(protocols)}")
    if protocol == SOCKS5:
        return SocksServer(check, commands, gssapi)
    if check is None and gssapi is not None:
        check = _refuse
    # Imported when the first client speaks them: the start does not wait for it.
    if protocol == SOCKS4:
        from .socks4 import Socks4Server

        return Socks4Server(authenticated=check is not None, commands=commands)
    from .http import HttpServer

    return HttpServer(check, commands, longest_head)


def _refuse(username: bytes, password: bytes) -> None:
    """Let nobody in; see :data:`.server.Check`."""


def protocol_of(first: int) -> str | None:
    """Return the protocol that a client speaks whose first byte this is, if any does."""
    if first == 0x05:
        return SOCKS5
    if first == 0x04:
        return SOCKS4
    if 0x41 <= first <= 0x5A or 0x61 <= first <= 0x7A:
        return HTTP
    return None
