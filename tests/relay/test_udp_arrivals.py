"""Which address of ours an answer leaves from."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from datagram_ends import (
    Engine,
    Far,
    ShadowsocksClient,
    SocksClient,
    UdpTwin,
    address_of,
    bound,
    import_udp,
)
from fastsocks.address import Address
from harness.services import find_program
from packet_ends import new_packet_server

#: With sessions, which may move, and without.
METHODS = ("2022-blake3-aes-128-gcm", "aes-256-gcm")

_CLONE_NEWNET = 0x40000000

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel chooses elsewhere")


@pytest.fixture
def twin(implementation: str) -> UdpTwin:
    return import_udp(implementation)


async def _ask_at(twin: UdpTwin, method: str, everywhere: str, hosts: tuple[str, ...]) -> None:
    async with Engine(twin) as engine:
        port = engine.serve(method, host=everywhere).port
        servers = [Address.of(host, port) for host in hosts]
        with (
            Far(hosts[0]) as target,
            ShadowsocksClient(twin, method, servers[0], host=hosts[0]) as client,
        ):
            target.echo()
            for client.server in (*servers, *reversed(servers)):
                # As many as leave by one call, or by one segmented send.
                for _ in range(8):
                    client.ask(bytes(1200), target.address)
                for _ in range(8):
                    # Checks who has sent it.
                    assert await client.answer() == (bytes(1200), target.address)
            assert engine.counters.associations == 1
            assert not engine.counters.dropped


async def _ask_until_answered(twin: UdpTwin, method: str, hosts: tuple[str, ...]) -> None:
    """Ask each address by a client of its own, again where a young namespace loses datagrams."""
    async with Engine(twin) as engine:
        port = engine.serve(method, host="::").port
        with Far(hosts[0]) as target:
            target.echo()
            for host in hosts:
                server = Address.of(host, port)
                with ShadowsocksClient(twin, method, server, host=hosts[0]) as client:
                    answered = False
                    while not answered:
                        client.ask(b"x", target.address)
                        with contextlib.suppress(TimeoutError):
                            # Checks who has sent it.
                            answer = await asyncio.wait_for(client.answer(), 0.5)
                            answered = answer == (b"x", target.address)


@pytest.mark.parametrize("method", METHODS)
def test_answers_leave_from_the_address_that_was_asked(
    run: Any, twin: UdpTwin, method: str
) -> None:
    run(_ask_at(twin, method, "0.0.0.0", ("127.0.0.1", "127.0.0.2", "127.1.2.3")))


def _in_namespace(addresses: tuple[str, ...], scenario: Callable[[], None]) -> None:
    """Run in a network namespace whose loopback has some more addresses."""
    ip = find_program("ip")

    def inside() -> None:
        # For this thread and its children alone.
        assert ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) == 0, ctypes.get_errno()
        subprocess.run([ip, "link", "set", "lo", "up"], check=True, capture_output=True)
        for address in addresses:
            arguments = ("address", "add", address, "dev", "lo", "nodad")
            subprocess.run([ip, *arguments], check=True, capture_output=True)
        scenario()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(inside).result()


@pytest.mark.root
@pytest.mark.parametrize("method", METHODS)
def test_so_do_those_of_ipv6(run: Any, twin: UdpTwin, method: str) -> None:
    """In a network namespace, because ::1 alone is no choice."""
    others = ("fd00:66:73::2", "fd00:66:73::3")
    _in_namespace(
        tuple(f"{one}/128" for one in others),
        lambda: run(_ask_until_answered(twin, method, ("::1", *others))),
    )


async def _ask_beside_a_stranger(twin: UdpTwin) -> None:
    async with Engine(twin) as engine:
        _, relay = engine.associate("::1")
        with SocksClient(relay, "::1") as client, Far() as target:
            target.echo()
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as stranger:
                stranger.bind(("fe80::1", 0, 0, socket.if_nametoindex("lo")))
                stranger.sendto(b"x", (relay.host, relay.port))
            await engine.dropped("foreign-source")
            client.ask(b"x", target.address)
            assert await client.answer() == (b"x", target.address)
            assert engine.counters.dropped == {"foreign-source": 1}


@pytest.mark.root
def test_a_link_local_stranger_keeps_no_client_out(run: Any, twin: UdpTwin) -> None:
    _in_namespace(("fe80::1/64",), lambda: run(_ask_beside_a_stranger(twin)))


def test_a_session_may_move_to_another_socket_of_ours(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            packets = new_packet_server(twin.shadowsocks, METHODS[0])
            servers = []
            for host in ("127.0.0.1", "0.0.0.0"):
                sock = bound(host)
                servers.append(Address.of("127.0.0.1", address_of(sock).port))
                engine.engine.serve(sock, packets)
            with Far() as target, ShadowsocksClient(twin, METHODS[0], servers[0]) as client:
                target.echo()
                for client.server in (*servers, *servers):
                    client.ask(b"x", target.address)
                    assert await client.answer() == (b"x", target.address)
                assert engine.counters.associations == 1

    run(scenario())
