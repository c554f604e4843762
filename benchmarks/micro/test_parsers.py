"""Header parsing: addresses and SOCKS5 messages."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from twins import import_twin

ADDRESSES = {
    "IPv4": bytes.fromhex("01 cb007107 01bb"),
    "IPv6": bytes.fromhex("04 20010db8000000000000000000000001 01bb"),
    "name": b"\x03\x0fwww.example.com\x01\xbb",
}


@pytest.mark.parametrize("kind", ADDRESSES)
def test_read_address(benchmark: BenchmarkFixture, implementation: str, kind: str) -> None:
    benchmark.group = f"read_address, {kind}"
    header = import_twin("fastsocks.address", "_header", implementation)
    wire = ADDRESSES[kind]
    address, end = benchmark(header.read_address, wire)
    assert (address.wire, end) == (wire, len(wire))


@pytest.mark.parametrize("kind", ADDRESSES)
def test_read_request(benchmark: BenchmarkFixture, implementation: str, kind: str) -> None:
    benchmark.group = f"SOCKS5 read_request, {kind}"
    messages = import_twin("fastsocks.socks", "_messages", implementation)
    wire = b"\x05\x01\x00" + ADDRESSES[kind]
    command, address, end = benchmark(messages.read_request, wire)
    assert (command, address.wire, end) == (1, ADDRESSES[kind], len(wire))


def test_read_greeting(benchmark: BenchmarkFixture, implementation: str) -> None:
    benchmark.group = "SOCKS5 read_greeting"
    messages = import_twin("fastsocks.socks", "_messages", implementation)
    assert benchmark(messages.read_greeting, b"\x05\x02\x00\x02") == (b"\x00\x02", 4)
