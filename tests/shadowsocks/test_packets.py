"""Packets of every method: what is carried, and what is dropped."""

from __future__ import annotations

import copy
import pickle
import random
import traceback
from typing import Any

import pytest

from fastsocks.address import Address
from fastsocks.errors import (
    AddressError,
    AddressTypeError,
    HeaderError,
    ProtocolError,
    ReplayError,
    TagError,
    TruncatedError,
)
from fastsocks.shadowsocks.methods import METHODS
from packet_ends import new_packet_client, new_packet_server
from shadowsocks_ends import AEAD, AEAD_2022, AUTHENTICATED, NAMES, NOW, STREAM, password

WEB = Address.of("192.0.2.1", 443)
ADDRESSES = [
    WEB,
    Address.of("2001:db8::1", 8080),
    Address.of("a", 1),
    Address.of("example.com", 53),
    Address.of("a" * 255, 65535),
]
SIZES = [0, 1, 64, 1400, 8192, 65_000]
REMEMBERED = [*AEAD, *STREAM]


@pytest.mark.parametrize("client_twin", [0, 1])
@pytest.mark.parametrize("server_twin", [0, 1])
@pytest.mark.parametrize("method", NAMES)
def test_conversation(
    shadowsocks_twins: Any, client_twin: int, server_twin: int, method: str
) -> None:
    source = random.Random(f"{method} {client_twin} {server_twin}")
    client = new_packet_client(shadowsocks_twins[client_twin], method)
    server = new_packet_server(shadowsocks_twins[server_twin], method)
    for address in ADDRESSES:
        for size in SIZES:
            sent, answered = source.randbytes(size), source.randbytes(size)
            packet = client.seal(address, sent, NOW)
            assert len(packet) - size <= client.overhead
            session, found, received = server.open(packet, NOW + 0.5)
            assert (found, received) == (address, sent)
            assert (session is not None) == server.has_sessions == (method in AEAD_2022)
            packet = server.seal(address, answered, NOW, session)
            assert len(packet) - size <= server.overhead
            assert client.open(packet, NOW) == (None, address, answered)


def test_the_twins_are_two(shadowsocks_twins: Any) -> None:
    for method in ("none", "aes-256-ctr", "aes-256-gcm", "2022-blake3-aes-256-gcm"):
        for make in (new_packet_server, new_packet_client):
            cython, python = (type(make(twin, method)).__module__ for twin in shadowsocks_twins)
            assert python == f"{cython}_py"


@pytest.mark.parametrize("method", AUTHENTICATED)
def test_overhead_is_what_it_says(shadowsocks: Any, method: str) -> None:
    longest = Address.of("a" * 255, 53)
    client, server = new_packet_client(shadowsocks, method), new_packet_server(shadowsocks, method)
    packet = client.seal(longest, b"", NOW, padding=bytes(900))
    assert len(packet) == client.overhead
    session, _, _ = server.open(packet, NOW)
    assert len(server.seal(longest, b"", NOW, session, padding=bytes(900))) == server.overhead


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("method", NAMES)
def test_kinds_of_buffers(shadowsocks: Any, method: str, kind: Any) -> None:
    client, server = new_packet_client(shadowsocks, method), new_packet_server(shadowsocks, method)
    packet = client.seal(WEB, kind(b"payload"), NOW)
    assert type(packet) is bytes
    _, address, payload = server.open(kind(packet), NOW)
    assert (address, payload) == (WEB, b"payload")
    assert type(payload) is bytes


@pytest.mark.parametrize("method", NAMES)
def test_truncated_anywhere(shadowsocks: Any, method: str) -> None:
    client, server = new_packet_client(shadowsocks, method), new_packet_server(shadowsocks, method)
    packet = client.seal(Address.of("example.com", 53), b"payload", NOW, padding=bytes(3))
    for size in range(len(packet)):
        if method in AUTHENTICATED:
            with pytest.raises((TruncatedError, TagError)):
                server.open(packet[:size], NOW)
        elif size < METHODS[method].salt_size + len(b"\x03\x0bexample.com\0\x35"):
            with pytest.raises((TruncatedError, HeaderError)):
                server.open(packet[:size], NOW)
    with pytest.raises(TruncatedError):
        server.open(b"", NOW)
    if method in AEAD_2022:
        assert len(server) == 0
    assert server.open(packet, NOW)[2] == b"payload"


@pytest.mark.parametrize("method", AUTHENTICATED)
def test_tampered_anywhere(shadowsocks: Any, method: str) -> None:
    client, server = new_packet_client(shadowsocks, method), new_packet_server(shadowsocks, method)
    packet = client.seal(WEB, b"payload", NOW)
    for place in range(len(packet)):
        for bit in (1, 0x80):
            forged = bytearray(packet)
            forged[place] ^= bit
            with pytest.raises(TagError):
                server.open(forged, NOW)
    # What was not opened is not remembered either.
    session, _, payload = server.open(packet, NOW)
    assert payload == b"payload"
    answer = server.seal(WEB, b"answer", NOW, session)
    for place in range(len(answer)):
        forged = bytearray(answer)
        forged[place] ^= 1
        with pytest.raises(TagError):
            client.open(forged, NOW)
    assert client.open(answer, NOW)[2] == b"answer"


@pytest.mark.parametrize("method", NAMES)
def test_garbage(shadowsocks: Any, method: str) -> None:
    source = random.Random(method)
    client, server = new_packet_client(shadowsocks, method), new_packet_server(shadowsocks, method)
    for size in [*range(120), 1500, 65_535]:
        for codec in (client, server):
            garbage = source.randbytes(size)
            if method in AUTHENTICATED:
                with pytest.raises(ProtocolError):
                    codec.open(garbage, NOW)
            else:
                try:
                    codec.open(garbage, NOW)
                except ProtocolError:
                    continue


@pytest.mark.parametrize("method", AUTHENTICATED)
def test_another_key(shadowsocks: Any, method: str) -> None:
    client = new_packet_client(shadowsocks, method)
    other = bytes(METHODS[method].key_size).hex()
    if method in AEAD_2022:
        other = "A" * (len(password(method)) - password(method).count("="))
    with pytest.raises(TagError):
        new_packet_server(shadowsocks, method, other).open(client.seal(WEB, b"", NOW), NOW)


@pytest.mark.parametrize(
    ("contents", "error"),
    [
        (b"", HeaderError),
        (b"\x01\x7f\x00\x00\x01\x00", HeaderError),
        (b"\x04" + bytes(17), HeaderError),
        (b"\x03\x05abcd\x00\x50", HeaderError),
        (b"\x03", HeaderError),
        (b"\x03\x00\x00\x50", AddressError),
        (b"\x03\x02a\x00\x00\x50", AddressError),
        (b"\x00", AddressTypeError),
        (b"\x11" + bytes(200), AddressTypeError),
    ],
)
@pytest.mark.parametrize("method", ["none", "aes-256-ctr", "aes-256-gcm"])
def test_bad_contents(
    shadowsocks: Any, method: str, contents: bytes, error: type[Exception]
) -> None:
    server, client = new_packet_server(shadowsocks, method), new_packet_client(shadowsocks, method)
    packet = client.seal(Address(contents), b"", NOW)
    with pytest.raises((error, TruncatedError) if not packet else error) as caught:
        server.open(packet, NOW)
    if packet:
        assert type(caught.value) is error


@pytest.mark.parametrize("method", REMEMBERED)
def test_a_salt_comes_once(shadowsocks: Any, method: str) -> None:
    client, server = new_packet_client(shadowsocks, method), new_packet_server(shadowsocks, method)
    packets = [client.seal(WEB, b"payload", NOW) for _ in range(3)]
    assert len(set(packets)) == 3
    for packet in packets:
        server.open(packet, NOW)
    for packet in packets:
        with pytest.raises(ReplayError):
            server.open(packet, NOW)


@pytest.mark.parametrize("method", REMEMBERED)
def test_our_own_packets_are_no_requests(shadowsocks: Any, method: str) -> None:
    server = new_packet_server(shadowsocks, method)
    with pytest.raises(ReplayError):
        server.open(server.seal(WEB, b"answer", NOW), NOW)


@pytest.mark.parametrize("method", REMEMBERED)
def test_without_a_filter(shadowsocks: Any, method: str) -> None:
    packet = new_packet_client(shadowsocks, method).seal(WEB, b"", NOW)
    for _ in range(2):
        assert new_packet_client(shadowsocks, method).open(packet, NOW)[1] == WEB
    client = new_packet_client(shadowsocks, method, salt_capacity=10)
    client.open(packet, NOW)
    with pytest.raises(ReplayError):
        client.open(packet, NOW)


@pytest.mark.parametrize("method", NAMES)
def test_expiry_without_sessions(shadowsocks: Any, method: str) -> None:
    for make in (new_packet_server, new_packet_client):
        assert make(shadowsocks, method).expire(NOW) == 0


@pytest.mark.parametrize("method", REMEMBERED)
def test_the_filter_forgets_the_oldest(shadowsocks: Any, method: str) -> None:
    client = new_packet_client(shadowsocks, method)
    server = new_packet_server(shadowsocks, method, memory=shadowsocks.ReplayMemory(64, 63))
    first, *others = [client.seal(WEB, b"", NOW) for _ in range(65)]
    for packet in (first, *others):
        server.open(packet, NOW)
    server.open(first, NOW)
    with pytest.raises(ReplayError):
        server.open(others[-1], NOW)


@pytest.mark.parametrize("method", NAMES)
def test_salts_differ(shadowsocks: Any, method: str) -> None:
    client = new_packet_client(shadowsocks, method)
    packets = {client.seal(WEB, b"payload", NOW) for _ in range(20)}
    assert len(packets) == (1 if method == "none" else 20)


@pytest.mark.parametrize("method", NAMES)
def test_wrong_options(shadowsocks: Any, method: str) -> None:
    client = new_packet_client(shadowsocks, method)
    with pytest.raises(ValueError, match="salt"):
        client.seal(WEB, b"", NOW, salt=bytes(33))
    with pytest.raises(ValueError, match="padding"):
        client.seal(WEB, b"", NOW, padding=bytes(901))
    with pytest.raises(ValueError, match="address"):
        client.seal(Address(bytes(260)), b"", NOW)


@pytest.mark.parametrize("method", NAMES)
def test_secrets_stay_inside(shadowsocks: Any, method: str) -> None:
    client, server = new_packet_client(shadowsocks, method), new_packet_server(shadowsocks, method)
    session, _, _ = server.open(client.seal(WEB, b"", NOW), NOW)
    shown = f"{client!r} {server!r} {session!r}"
    if method in AUTHENTICATED:
        with pytest.raises(TagError) as caught:
            server.open(bytes(200), NOW)
        shown += "".join(traceback.format_exception(caught.value))
    key = server_secret(shadowsocks, method)
    assert key.hex() not in shown
    assert repr(key)[2:-1] not in shown or not key
    assert password(method) not in shown


def server_secret(shadowsocks: Any, method: str) -> bytes:
    key: bytes = shadowsocks.server_key(method, password(method)).key
    return key or b"none has no key"


@pytest.mark.parametrize("method", NAMES)
def test_no_copies(shadowsocks: Any, method: str) -> None:
    client, server = new_packet_client(shadowsocks, method), new_packet_server(shadowsocks, method)
    session, _, _ = server.open(client.seal(WEB, b"", NOW), NOW)
    for one in (client, server, *([session] if session else [])):
        for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError):
                duplicate(one)
