"""Answers that come together: every kind of client, by every way onwards."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from datagram_ends import (
    METHODS,
    Engine,
    Far,
    ShadowsocksClient,
    SocksClient,
    UdpTwin,
    import_udp,
    settle,
)
from fastsocks.address import Address
from fastsocks.relay.tunnel import Tunnel
from fastsocks.socks import datagrams
from packet_ends import new_packet_client, new_packet_server
from shadowsocks_ends import psk
from twins import import_twin

USERS = "2022-blake3-aes-256-gcm"
#: Methods of clients; with users, and SOCKS.
INBOUND = (*METHODS, "users", "socks")
#: Servers on the way, the nearest first; none for targets themselves.
WAYS: tuple[tuple[str, ...], ...] = (
    (),
    *((method,) for method in METHODS),
    ("socks",),
    ("aes-256-gcm", "2022-blake3-aes-128-gcm"),
    ("2022-blake3-chacha20-poly1305", "aes-256-gcm"),
    ("socks", "aes-256-gcm"),
    ("aes-256-gcm", "socks"),
    ("2022-blake3-aes-128-gcm", "aes-256-gcm", "none", "2022-blake3-chacha20-poly1305"),
)
#: Who answers through servers: SIP022 pads what concerns port 53.
SOURCES = (
    Address.of("192.0.2.1", 53),
    Address.of("2001:db8::1", 53),
    Address.of("192.0.2.2", 443),
)
#: Where each server but the last sends on to, as far as packets tell.
BETWEEN = Address.of("192.0.2.9", 8388)
CLIENTS = 2
ANSWERS = 20


@pytest.fixture
def twin(implementation: str) -> UdpTwin:
    return import_udp(implementation)


class Hop:
    """One server on the way, as far as its codec goes."""

    def __init__(self, twin: UdpTwin, kind: str) -> None:
        self._packets: Any = None
        self._session: Any = None
        if kind == "socks":
            self.client = import_twin(
                "fastsocks.relay", "_socks_packets", twin.implementation
            ).SocksPackets()
        else:
            self._packets = new_packet_server(twin.shadowsocks, kind)
            self.client = new_packet_client(twin.shadowsocks, kind)

    def open(self, packet: bytes) -> bytes:
        """Open what a client sent."""
        if self._packets is None:
            _, _, payload = datagrams.read_datagram(packet)
        else:
            self._session, _, payload = self._packets.open(packet, time.time())
        return bytes(payload)

    def seal(self, source: Address, payload: bytes) -> bytes:
        """Seal an answer to the client of the last packet."""
        if self._packets is None:
            return datagrams.build_datagram(source, payload)
        return bytes(self._packets.seal(source, payload, time.time(), self._session))


class Servers(Far):
    """Servers in a chain, of which the first one has this socket; for one client."""

    def __init__(self, twin: UdpTwin, kinds: Sequence[str]) -> None:
        super().__init__()
        self._hops = [Hop(twin, kind) for kind in kinds]
        self._near = Address.of("127.0.0.1", 9)
        layered = import_twin(
            "fastsocks.shadowsocks", "_packet_layers", twin.implementation
        ).LayeredPackets
        packets, *inner = (hop.client for hop in self._hops)
        for one in inner:
            packets = layered(packets, one, BETWEEN)
        self.tunnel = Tunnel(packets, (socket.AF_INET, self.socket.getsockname()))

    async def asked(self) -> bytes:
        """Return the payload of the client's next datagram."""
        packet, self._near = await self.receive()
        for hop in self._hops:
            packet = hop.open(packet)
        return packet

    def answer(self, source: Address, payload: bytes) -> None:
        """Send an answer of `source`."""
        *others, last = self._hops
        packet = last.seal(source, payload)
        for hop in reversed(others):
            packet = hop.seal(BETWEEN, packet)
        self.send(packet, self._near)


def answers_of(number: int) -> list[bytes]:
    """Make the answers to one client, in sizes that the kernel does not send as one message."""
    return [b"%d of %d " % (i, number) + bytes(37 * i) for i in range(ANSWERS)]


class Clients:
    """Some clients of one kind, at one engine."""

    def __init__(self, twin: UdpTwin, engine: Engine, kind: str) -> None:
        self._twin = twin
        self._engine = engine
        self._kind = kind
        self._server: Address | None = None

    def new(self, tunnel: Tunnel | None) -> ShadowsocksClient | SocksClient:
        if self._kind == "socks":
            _, relay = self._engine.associate(tunnel=tunnel)
            return SocksClient(relay)
        if self._kind == "users":
            if self._server is None:
                self._server = self._engine.serve(
                    USERS, psk(USERS), users={"a": psk(USERS, 1), "b": psk(USERS, 2)}
                )
            key = f"{psk(USERS)}:{psk(USERS, 1)}"
            return ShadowsocksClient(self._twin, USERS, self._server, key)
        if self._server is None:
            self._server = self._engine.serve(self._kind)
        return ShadowsocksClient(self._twin, self._kind, self._server)


@pytest.mark.parametrize("way", WAYS[1:], ids="-".join)
@pytest.mark.parametrize("kind", INBOUND)
def test_a_burst_through_servers(run: Any, twin: UdpTwin, kind: str, way: tuple[str, ...]) -> None:
    async def scenario() -> None:
        tunnels: list[Tunnel] = []

        async def find(_: str) -> Tunnel:
            return tunnels[-1]

        async with Engine(twin, find_tunnel=None if kind == "socks" else find) as engine:
            clients = Clients(twin, engine, kind)
            with ExitStack() as stack:
                pairs = []
                for _ in range(CLIENTS):
                    servers = stack.enter_context(Servers(twin, way))
                    tunnels.append(servers.tunnel)
                    client = clients.new(servers.tunnel if kind == "socks" else None)
                    stack.enter_context(client)
                    client.ask(b"question", SOURCES[0])
                    assert await servers.asked() == b"question"
                    pairs.append((client, servers))
                for source in SOURCES:
                    sent = [answers_of(number) for number in range(CLIENTS)]
                    for together in zip(*sent, strict=True):
                        for (_, servers), payload in zip(pairs, together, strict=True):
                            servers.answer(source, payload)
                    for (client, _), payloads in zip(pairs, sent, strict=True):
                        got = [await client.answer() for _ in payloads]
                        assert got == [(payload, source) for payload in payloads]
                assert not engine.counters.dropped

    run(scenario())


@pytest.mark.parametrize("port", [0, 53])
@pytest.mark.parametrize("kind", INBOUND)
def test_a_burst_of_targets_themselves(run: Any, twin: UdpTwin, kind: str, port: int) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            clients = Clients(twin, engine, kind)
            with ExitStack() as stack:
                target = stack.enter_context(_far(port))
                pairs = []
                for number in range(CLIENTS):
                    client = clients.new(None)
                    stack.enter_context(client)
                    client.ask(b"question", target.address)
                    question, outgoing = await target.receive()
                    assert question == b"question"
                    pairs.append((client, outgoing, answers_of(number)))
                for together in zip(*(payloads for _, _, payloads in pairs), strict=True):
                    for (_, outgoing, _), payload in zip(pairs, together, strict=True):
                        target.send(payload, outgoing)
                for client, _, payloads in pairs:
                    got = [await client.answer() for _ in payloads]
                    assert got == [(payload, target.address) for payload in payloads]
                assert not engine.counters.dropped

    run(scenario())


@pytest.mark.parametrize("way", [WAYS[1], WAYS[3], WAYS[6]], ids="-".join)
@pytest.mark.parametrize("kind", INBOUND)
def test_a_burst_of_questions(run: Any, twin: UdpTwin, kind: str, way: tuple[str, ...]) -> None:
    async def scenario() -> None:
        tunnels: list[Tunnel] = []

        async def find(_: str) -> Tunnel:
            return tunnels[-1]

        async with Engine(twin, find_tunnel=None if kind == "socks" else find) as engine:
            clients = Clients(twin, engine, kind)
            with Servers(twin, way) as servers, ExitStack() as stack:
                tunnels.append(servers.tunnel)
                client = clients.new(servers.tunnel if kind == "socks" else None)
                stack.enter_context(client)
                client.ask(b"first", SOURCES[0])
                assert await servers.asked() == b"first"
                for source in SOURCES:
                    payloads = answers_of(0)
                    for payload in payloads:
                        client.ask(payload, source)
                    assert [await servers.asked() for _ in payloads] == payloads
                await settle(
                    lambda: engine.counters.packets_up == 1 + len(SOURCES) * ANSWERS, "not counted"
                )
                assert not engine.counters.dropped

    run(scenario())


def _far(port: int) -> Far:
    if not port:
        return Far()
    try:
        # Tests that run beside this one have the same port of other addresses.
        return Far(f"127.53.{os.getpid() >> 8 & 0xFF}.{os.getpid() & 0xFF}", port)
    except OSError as error:
        pytest.skip(f"port {port} cannot be had: {error}")
