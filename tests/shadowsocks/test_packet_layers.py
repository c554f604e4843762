"""Packets within packets: what each server of a chain takes off."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsocks.address import Address
from fastsocks.errors import HeaderError, ProtocolError, TagError
from packet_ends import new_packet_client, new_packet_server
from shadowsocks_ends import NOW, import_shadowsocks
from twins import import_twin

METHODS = ("2022-blake3-aes-128-gcm", "2022-blake3-chacha20-poly1305", "aes-256-gcm", "none")
TARGET = Address.of("example.com", 443)
NEXT = Address.of("192.0.2.2", 8388)


class Ends:
    """Codecs and servers of one twin."""

    def __init__(self, implementation: str) -> None:
        self.shadowsocks = import_shadowsocks(implementation)
        self.layered: Any = import_twin(
            "fastsocks.shadowsocks", "_packet_layers", implementation
        ).LayeredPackets

    def client(self, method: str) -> Any:
        return new_packet_client(self.shadowsocks, method)

    def server(self, method: str) -> Any:
        return new_packet_server(self.shadowsocks, method)


@pytest.fixture(scope="module", params=["cython", "python"])
def ends(request: pytest.FixtureRequest) -> Ends:
    return Ends(request.param)


@pytest.mark.parametrize("outer", METHODS)
@pytest.mark.parametrize("inner", METHODS)
def test_two_servers(ends: Ends, outer: str, inner: str) -> None:
    codec = ends.layered(ends.client(outer), ends.client(inner), NEXT)
    first, second = ends.server(outer), ends.server(inner)
    for size in (0, 1, 1400, 60000):
        payload = bytes(range(251)) * (size // 251) + bytes(size % 251)
        packet = codec.seal(TARGET, payload, NOW)
        assert len(packet) <= size + codec.overhead
        one, address, data = first.open(packet, NOW)
        assert address == NEXT
        other, address, data = second.open(data, NOW)
        assert (address, data) == (TARGET, payload)
        answer = second.seal(TARGET, payload, NOW, other)
        answer = first.seal(NEXT, answer, NOW, one)
        assert codec.open(answer, NOW) == (None, TARGET, payload)


def test_three_servers(ends: Ends) -> None:
    third = Address.of("c.example", 1)
    codec = ends.layered(
        ends.layered(ends.client(METHODS[0]), ends.client(METHODS[2]), NEXT),
        ends.client(METHODS[1]),
        third,
    )
    data = codec.seal(TARGET, b"x", NOW)
    addresses = []
    for method in (METHODS[0], METHODS[2], METHODS[1]):
        _, address, data = ends.server(method).open(data, NOW)
        addresses.append(address)
    assert (addresses, data) == ([NEXT, third, TARGET], b"x")


@pytest.mark.parametrize(
    ("following", "source", "taken"),
    [
        ("192.0.2.2", "192.0.2.2", True),
        ("192.0.2.2", "::ffff:192.0.2.2", True),
        ("192.0.2.2", "192.0.2.3", False),
        ("2001:db8::1", "2001:db8::1", True),
        ("2001:db8::1", "2001:db8::2", False),
        ("a.example", "198.51.100.1", True),
    ],
)
def test_only_the_next_server_is_heard(
    ends: Ends, following: str, source: str, taken: bool
) -> None:
    codec = ends.layered(ends.client("none"), ends.client("none"), Address.of(following, 5))
    inner = ends.server("none").seal(TARGET, b"x", NOW)
    # As some servers write it: IPv4 within IPv6.
    wire = Address.of(source, 5).wire
    if source.startswith("::ffff:"):
        wire = b"\x04" + bytes(10) + b"\xff\xff" + wire[1:]
    if taken:
        assert codec.open(wire + inner, NOW) == (None, TARGET, b"x")
    else:
        with pytest.raises(HeaderError):
            codec.open(wire + inner, NOW)
    with pytest.raises(HeaderError):
        codec.open(Address.of(source, 6).wire + inner, NOW)


def test_faults_of_both_layers(ends: Ends) -> None:
    codec = ends.layered(ends.client("aes-256-gcm"), ends.client("aes-256-gcm"), NEXT)
    with pytest.raises(TagError):
        codec.open(bytes(200), NOW)
    with pytest.raises(TagError):
        codec.open(ends.server("aes-256-gcm").seal(NEXT, bytes(200), NOW), NOW)


@settings(max_examples=60)
@given(st.binary(max_size=60))
def test_both_twins_on_the_same_bytes(data: bytes) -> None:
    outcomes = []
    for implementation in ("cython", "python"):
        ends = Ends(implementation)
        codec = ends.layered(ends.client("none"), ends.client("none"), NEXT)
        for packet in (data, NEXT.wire + data):
            try:
                outcomes.append((packet, codec.open(packet, NOW)))
            except ProtocolError as error:
                outcomes.append((packet, error.status))
    assert outcomes[:2] == outcomes[2:]
