"""Clients of every kind at a datagram engine, and servers of every kind on the way onwards."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from typing import Any

from datagram_ends import METHODS, Engine, Far, ShadowsocksClient, SocksClient, UdpTwin
from fastsocks.address import Address
from fastsocks.relay.packet_way import PacketWay
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
        self.packet_way = PacketWay(packets, (socket.AF_INET, self.socket.getsockname()))

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


class Clients:
    """Some clients of one kind, at one engine."""

    def __init__(self, twin: UdpTwin, engine: Engine, kind: str) -> None:
        self._twin = twin
        self._engine = engine
        self._kind = kind
        self._server: Address | None = None

    def new(self, packet_way: PacketWay | None) -> ShadowsocksClient | SocksClient:
        if self._kind == "socks":
            _, relay = self._engine.associate(packet_way=packet_way)
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
