"""Link-local addresses of IPv6, which are one with their interface only (RFC 4007)."""

from __future__ import annotations

import asyncio
import socket
from typing import Any


def host_of(sockaddr: tuple[Any, ...]) -> str:
    """Return the host of a socket address, with its scope where it has one: ``fe80::1%2``."""
    host = str(sockaddr[0])
    if len(sockaddr) == 4 and sockaddr[3] and "%" not in host:
        return f"{host}%{sockaddr[3]}"
    return host


async def connect_in_scope(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, sockaddr: tuple[Any, ...]
) -> None:
    """Connect as ``loop.sock_connect`` does, which on uvloop forgets the scope.

    :param sock: non-blocking.
    :raises OSError: it cannot be.
    """
    try:
        sock.connect(sockaddr)
    except BlockingIOError:
        connected = loop.create_future()
        loop.add_writer(sock, _resolve, connected)
        try:
            await connected
        finally:
            loop.remove_writer(sock)
        if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, f"connect to {host_of(sockaddr)} failed") from None


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
