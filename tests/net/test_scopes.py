"""Link-local addresses are one with their interface."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from fastsocks.net.scopes import connect_in_scope, host_of


@pytest.mark.parametrize(
    ("sockaddr", "host"),
    [
        (("192.0.2.1", 1), "192.0.2.1"),
        (("2001:db8::1", 1, 0, 0), "2001:db8::1"),
        (("fe80::1", 1, 0, 2), "fe80::1%2"),
        (("fe80::1%eth0", 1, 0, 2), "fe80::1%eth0"),
    ],
)
def test_hosts(sockaddr: tuple[Any, ...], host: str) -> None:
    assert host_of(sockaddr) == host


def test_connects_and_says_why_not(run: Any) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
            address = server.getsockname()
            with socket.socket(socket.AF_INET6) as sock:
                sock.setblocking(False)
                await connect_in_scope(loop, sock, address)
                assert sock.getpeername() == address
        with socket.socket(socket.AF_INET6) as sock:
            sock.setblocking(False)
            with pytest.raises(ConnectionRefusedError):
                await connect_in_scope(loop, sock, address)

    run(scenario())
