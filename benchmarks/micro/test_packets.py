"""Packets of UDP, sealed by a client and opened by a server, through the Python interface.

The relay calls the same code on raw pointers; what is beside it here are the objects.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from fastsocks.address import Address
from fastsocks.shadowsocks.keys import client_key, generate_key, server_key
from fastsocks.shadowsocks.methods import METHODS, Family
from twins import import_twin

NOW = 1_700_000_000
TARGET = Address.of("192.0.2.1", 443)
SIZES = [64, 1400]
NAMES = [
    "2022-blake3-aes-128-gcm",
    "2022-blake3-aes-256-gcm",
    "2022-blake3-chacha20-poly1305",
    "aes-256-gcm",
    "chacha20-ietf-poly1305",
    "aes-256-ctr",
]
# A server opens no packet twice: each round opens this many.
OPENED = 64


def make_ends(implementation: str, name: str) -> tuple[Any, Any]:
    """Make a client and a server with one key."""
    method, password = METHODS[name], generate_key(name)
    client, server = client_key(method, password), server_key(method, password)
    if method.family is Family.AEAD_2022:
        packets = import_twin("fastsocks.shadowsocks", "_packets_2022", implementation)
        return packets.Aead2022PacketClient(client), packets.Aead2022PacketServer(server)
    packets = import_twin("fastsocks.shadowsocks", "_packets", implementation)
    made = packets.AeadPackets if method.family is Family.AEAD else packets.StreamPackets
    return made(method, client.key), made(method, server.key, 100_000)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_seal(benchmark: BenchmarkFixture, implementation: str, name: str, size: int) -> None:
    benchmark.group = f"seal a packet of {size} B, {name}"
    client, server = make_ends(implementation, name)
    payload = random.Random(2).randbytes(size)
    packet = benchmark(client.seal, TARGET, payload, NOW)
    assert server.open(packet, NOW)[2] == payload


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_open(benchmark: BenchmarkFixture, implementation: str, name: str, size: int) -> None:
    benchmark.group = f"open {OPENED} packets of {size} B, {name}"
    client, server = make_ends(implementation, name)
    payload = random.Random(2).randbytes(size)

    def fresh() -> tuple[tuple[Any], dict[str, Any]]:
        return ([client.seal(TARGET, payload, NOW) for _ in range(OPENED)],), {}

    def open_all(packets: list[bytes]) -> bytes:
        for packet in packets:
            _, _, opened = server.open(packet, NOW)
        return bytes(opened)

    last = benchmark.pedantic(  # type: ignore[no-untyped-call]
        open_all, setup=fresh, rounds=100, warmup_rounds=5
    )
    assert last == payload
