"""A tunnel within a program: what is told of it, what it is made with, and what changes."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from typing import Any

import pytest

from fastsocks import Connection, LocalOptions, Observer, ServerOptions, TunnelOptions
from fastsocks.address import Address
from fastsocks.errors import ConfigError
from fastsocks.proxy_protocol import build_header
from fastsocks.service import Running, Server, Tunnel
from fastsocks.service.local import LocalService
from fastsocks.service.tunnel import TunnelService
from harness.listener import SocketAddress
from harness.pattern import read_exactly
from harness.shadowsocks import generate_key
from harness.targets import ServingTarget, Target, echo
from harness.udp import Echo, open_socket

METHOD = "2022-blake3-aes-128-gcm"
KEYS = [generate_key(METHOD) for _ in range(2)]


class Told(Observer):
    """Notes what comes."""

    def __init__(self) -> None:
        self.closed_ones: list[tuple[str, str, int, int]] = []

    def closed(self, connection: Connection) -> None:
        self.closed_ones.append(
            (
                connection.network,
                str(connection.target),
                connection.bytes_up,
                connection.bytes_down,
            )
        )


def tunnel_options(target: SocketAddress, **changes: Any) -> TunnelOptions:
    given = {"addresses": ("127.0.0.1",), "port": 0, "target": str(target)}
    return TunnelOptions(**{**given, **changes})


def server(number: int) -> Server:
    return Server(
        ServerOptions(
            addresses=("127.0.0.1",),
            port=0,
            method=METHOD,
            password=KEYS[number],
            allow_private=True,
        )
    )


def through(running: Server, number: int) -> dict[str, Any]:
    host, port = running.addresses[0]
    return {"server": host, "server_port": port, "method": METHOD, "password": KEYS[number]}


async def echoed(service: Running) -> bool:
    reader, writer = await asyncio.open_connection(*service.addresses[0])
    writer.write(b"ping")
    writer.write_eof()
    try:
        return await reader.read() == b"ping"
    except ConnectionResetError:
        return False
    finally:
        writer.close()


async def echoed_datagram(service: Running) -> None:
    with open_socket() as client:
        client.sendto(b"pong", service.addresses[0])
        assert await asyncio.to_thread(client.recv, 16) == b"pong"


def test_observers_and_counts(run: Any) -> None:
    async def scenario(target: SocketAddress) -> None:
        told = Told()
        async with Tunnel(tunnel_options(target), observers=[told]) as tunnel:
            assert await echoed(tunnel)
            while tunnel.active:
                await asyncio.sleep(0.01)
            assert tunnel.stats().accepted == 1
            assert told.closed_ones == [("tcp", str(target), 4, 4)]

    with ServingTarget(echo) as target:
        run(scenario(target.address))


def test_servers_change_while_it_runs(run: Any) -> None:
    """For connections that begin, and for clients of UDP that come; the target stays."""

    async def scenario(target: SocketAddress, udp_target: SocketAddress) -> None:
        async with server(0) as first, server(1) as second:
            one = tunnel_options(target, **through(first, 0))
            other = tunnel_options(udp_target, **through(first, 0))
            async with Tunnel(one) as tunnel, Tunnel(other) as datagrams:
                assert await echoed(tunnel)
                await echoed_datagram(datagrams)
                changed = through(second, 1)
                found = await tunnel.reload(dataclasses.replace(one, target="h:1", **changed))
                assert set(found.changed) == {"server_port", "password"}
                assert found.needs_restart == ("target",)
                await datagrams.reload(dataclasses.replace(other, **changed))
                await first.close()
                assert await echoed(tunnel)
                await echoed_datagram(datagrams)
                assert second.stats().accepted == 1
                assert second.stats().datagrams.packets_up == 1
                await datagrams.reload(tunnel_options(udp_target))
                await echoed_datagram(datagrams)
                assert second.stats().datagrams.packets_up == 1

    with ServingTarget(echo) as target, Echo() as udp_target:
        run(scenario(target.address, udp_target.address))


def test_sockets_of_others_are_taken(run: Any) -> None:
    """As systemd passes them: one of TCP, and one of UDP."""

    async def scenario(target: SocketAddress) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        datagrams = open_socket()
        tunnel = Tunnel(tunnel_options(target))
        (listening,) = tunnel.bind(1, [listener, datagrams])
        await tunnel.start(listening)
        try:
            assert tunnel.addresses == [listener.getsockname()]
            assert await echoed(tunnel)
        finally:
            await tunnel.close()

    with ServingTarget(echo) as target:
        run(scenario(target.address))


def test_a_front_names_the_client_whom_the_target_is_told(run: Any) -> None:
    """What comes behind the header that came is behind the one that goes."""

    async def scenario(target: Target) -> None:
        client, here = Address.of("192.0.2.7", 4711), Address.of("192.0.2.1", 5353)
        options = tunnel_options(
            target.address, accept_proxy_protocol=["127.0.0.1"], send_proxy_protocol=True
        )
        async with Tunnel(options) as tunnel:
            _, writer = await asyncio.open_connection(*tunnel.addresses[0])
            writer.write(build_header(client, here) + b"first")
            with await asyncio.to_thread(target.accept) as accepted:
                expected = build_header(client, Address.of(*target.address)) + b"first"
                found = await asyncio.to_thread(read_exactly, accepted, len(expected))
                assert found == expected
            writer.close()

    with Target() as target:
        run(scenario(target))


def test_a_target_and_servers_have_to_be_some() -> None:
    with pytest.raises(ConfigError, match=r"^target: "):
        Tunnel(TunnelOptions(target="a..b:1"))
    with pytest.raises(ConfigError, match=r"^server: "):
        Tunnel(TunnelOptions(target="h:1", server="a..b", method=METHOD, password=KEYS[0]))
    with pytest.raises(ConfigError, match=r"^mode: UDP cannot go through"):
        Tunnel(TunnelOptions(target="h:1", upstream=["http://h:1"], mode="udp_only"))


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [((), True), (["deny to 192.0.2.1"], True), (["direct to 192.0.2.1"], False)],
)
def test_fast_open_is_for_what_begins_with_a_request(rules: list[str], wanted: bool) -> None:
    """To a target, nothing is sent before it or the client speaks."""
    given: dict[str, Any] = {"server": "192.0.2.9", "method": METHOD, "password": KEYS[0]}
    options = tunnel_options(SocketAddress("192.0.2.1", 1), fast_open=True, rules=rules, **given)
    assert TunnelService(options).speaks_first is wanted
    local = LocalOptions(fast_open=True, rules=rules, **given)
    assert LocalService(local).speaks_first is wanted
    straight = tunnel_options(SocketAddress("192.0.2.1", 1), fast_open=True, rules=rules)
    assert not TunnelService(straight).speaks_first
