"""Clients do not reach this host by its own public addresses, in a network namespace."""

from __future__ import annotations

import asyncio
import ctypes
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from fastsocks.config import ProxyOptions
from fastsocks.service import Proxy
from harness import socks
from harness.deadline import wait_until
from harness.listener import SocketAddress
from harness.services import (
    Implementation,
    Service,
    find_program,
    require_implementation,
    start_fastsocks,
)
from harness.socks import ReplyError, open_connection
from harness.udp import UdpAssociation

FIRST, SECOND, WIDE = "8.8.4.4", "9.9.9.9", "1.1.1.0/24"

_CLONE_NEWNET = 0x40000000

pytestmark = pytest.mark.root


def _ip(*arguments: str) -> None:
    subprocess.run([find_program("ip"), *arguments], check=True, capture_output=True)


def in_namespace(scenario: Callable[[], None]) -> None:
    """Run in a thread that is in a network of its own, with the processes that it starts."""

    def run() -> None:
        assert ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) == 0, ctypes.get_errno()
        _ip("link", "set", "lo", "up")
        _ip("address", "add", FIRST, "dev", "lo")
        scenario()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(run).result()


def code_of(service: Service, address: SocketAddress) -> int:
    try:
        with open_connection(SocketAddress("127.0.0.1", service.address.port), address):
            return socks.SUCCEEDED
    except ReplyError as error:
        return error.code


def is_refused(service: Service, address: SocketAddress) -> bool:
    return code_of(service, address) == socks.NOT_ALLOWED


def test_a_proxy_refuses_them(implementation: Implementation) -> None:
    require_implementation(implementation)

    def scenario() -> None:
        with (
            socket.create_server(("0.0.0.0", 0)) as target,
            start_fastsocks(
                "proxy", "-b", "0.0.0.0", "-l", "0", implementation=implementation
            ) as service,
        ):
            port = target.getsockname()[1]
            assert is_refused(service, SocketAddress(FIRST, port))
            # There is no way to it before it is ours.
            assert code_of(service, SocketAddress(SECOND, port)) != socks.SUCCEEDED
            _ip("address", "add", SECOND, "dev", "lo")
            _ip("route", "add", "local", WIDE, "dev", "lo")
            for host in (SECOND, "1.1.1.77"):
                refused = partial(is_refused, service, SocketAddress(host, port))
                wait_until(refused, f"{host} is refused")

    in_namespace(scenario)


def test_datagrams_do_not_reach_them() -> None:
    async def relay(target: socket.socket) -> None:
        address = SocketAddress(FIRST, target.getsockname()[1])
        async with Proxy(ProxyOptions(addresses=("0.0.0.0",), port=0)) as proxy:
            entrance = SocketAddress("127.0.0.1", proxy.addresses[0][1])

            def send() -> None:
                with UdpAssociation(entrance) as client:
                    client.send(b"x", address)
                    wait_until(lambda: dropped() == {"not-allowed": 1}, "it is dropped")

            def dropped() -> dict[str, int]:
                assert proxy.datagrams is not None
                return dict(proxy.datagrams.dropped)

            await asyncio.to_thread(send)
        with pytest.raises(BlockingIOError):
            target.recv(1, socket.MSG_DONTWAIT)

    def scenario() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
            target.bind(("0.0.0.0", 0))
            asyncio.run(relay(target))

    in_namespace(scenario)
