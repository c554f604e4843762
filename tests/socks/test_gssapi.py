"""GSSAPI for SOCKS5 (RFC 1961), byte by byte, with tokens of a toy mechanism."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gssapi_plays
from fastsocks.address import Address
from fastsocks.errors import ContextError, ProtectionError, ProtocolError, VersionError
from fastsocks.request import CONNECT, UDP_ASSOCIATE
from fastsocks.socks import FirstByteServer, SocksClient, SocksServer
from fastsocks.socks.gssapi import (
    ClientNegotiation,
    ProtectedStream,
    Protection,
    ServerNegotiation,
)
from fastsocks.socks.gssapi_messages import build_message, read_message
from socks_playbook import cut, feed, input_of, perform, receive
from toy_security import OVERHEAD, ToyContext

NONE, INTEGRITY, CONFIDENTIALITY = Protection
BOTH = (INTEGRITY, CONFIDENTIALITY)
VECTORS = json.loads(
    (Path(__file__).parent.parent / "vectors" / "socks5.json").read_text(encoding="utf-8")
)["messages"]


def check_password(username: bytes, password: bytes) -> str | None:
    return "user" if (username, password) == (b"user", b"pass") else None


def server(
    levels: Collection[Protection] = BOTH,
    check: Any = None,
    **context: Any,
) -> SocksServer:
    return SocksServer(
        check,
        (CONNECT, UDP_ASSOCIATE),
        lambda: ServerNegotiation(ToyContext(**context), levels),
    )


def client(levels: Collection[Protection] = BOTH, **context: Any) -> SocksClient:
    negotiation = ClientNegotiation(ToyContext(initiator=True, **context), levels)
    return SocksClient(Address.of("192.0.2.1", 80), gssapi=negotiation)


MACHINES: dict[str, Any] = {
    "SERVER": server,
    "SERVER_WITH_ACCOUNTS": lambda: server(check=check_password),
    "UNPROTECTED_SERVER": lambda: server([NONE]),
    "STRICT_SERVER": lambda: server([CONFIDENTIALITY]),
    "SILENT_SERVER": lambda: server(answer=b""),
    "CLIENT": client,
    "UNPROTECTED_CLIENT": lambda: client([NONE]),
    "SELF_SUFFICIENT_CLIENT": lambda: client(answer=b""),
}


@pytest.mark.parametrize(
    ("machine", "name"),
    [(machine, name) for machine in MACHINES for name in getattr(gssapi_plays, machine)],
)
@pytest.mark.usefixtures("messages")
def test_play(machine: str, name: str) -> None:
    perform(MACHINES[machine](), getattr(gssapi_plays, machine)[name])


@given(st.sets(st.integers(1, 60)))
def test_a_server_does_not_mind_where_its_input_is_cut(points: set[int]) -> None:
    data = input_of(gssapi_plays.CONFIDENTIALITY) + b"\x01\x03\x00\x05c2:hi"
    whole = feed(server(), [data])
    assert whole.event == "request 01 192.0.2.1:80 as alice@TOY with b'hi'"
    machine = server()
    outgoing, request, payload = b"", None, b""
    for piece in cut(data, *sorted(point for point in points if point < len(data))):
        if request is None:
            request = receive(machine, piece)
            outgoing += machine.take_outgoing()
            payload = b"" if request is None else request.early_data
        else:
            assert machine.codec is not None
            payload += machine.codec.open(piece)
    assert payload == b"hi"
    assert outgoing + machine.connected(None) == whole.outgoing


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"\x05\x01\x00", b"\x05\xff"),
        (b"\x05\x01\x01", b"\x05\x01"),
        (b"\x04\x01\x00\x50\xc0\x00\x02\x01\x00", b"\x00\x5b" + bytes(6)),
        (b"CONNECT 192.0.2.1:80 HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 407 "),
        (b"GET http://192.0.2.1/ HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 407 "),
    ],
    ids=["socks5 without", "socks5 with", "socks4", "CONNECT", "GET"],
)
def test_no_protocol_lets_anybody_pass_it_by(sent: bytes, answer: bytes) -> None:
    machine = FirstByteServer(gssapi=lambda: ServerNegotiation(ToyContext(), BOTH))
    assert feed(machine, [sent]).outgoing.startswith(answer)


def streams(level: Protection = CONFIDENTIALITY, **context: Any) -> list[ProtectedStream]:
    return [ProtectedStream(ToyContext(**context), level) for _ in range(2)]


@given(
    st.lists(st.binary(max_size=40), max_size=5),
    st.integers(1, 20),
    st.integers(1, 50),
    st.sampled_from(BOTH),
)
def test_a_stream_comes_out_as_it_went_in(
    payloads: list[bytes], limit: int, size: int, level: Protection
) -> None:
    here, there = streams(level, limit=limit)
    wire = b"".join(map(here.seal, payloads))
    pieces = [wire[start : start + size] for start in range(0, len(wire), size)]
    assert b"".join(map(there.open, pieces)) == b"".join(payloads)
    assert not there.incomplete


def test_a_message_is_no_longer_than_its_length_can_say() -> None:
    here, there = streams()
    payload = bytes(range(256)) * 1000
    wire = here.seal(payload)
    assert len(wire) == len(payload) + 4 * (4 + OVERHEAD)
    assert wire[:7] == b"\x01\x03\xff\xffc0:"
    assert there.open(wire) == payload


def test_a_cut_stream_is_incomplete() -> None:
    here, there = streams()
    wire = here.seal(b"hello")
    for end in range(1, len(wire)):
        assert there.open(wire[end - 1 : end]) == b""
        assert there.incomplete
    assert there.open(wire[-1:]) == b"hello"
    assert not there.incomplete


@pytest.mark.parametrize(
    ("wire", "error"),
    [
        (b"\x05", VersionError),
        (b"\x01\x01", ProtocolError),
        (b"\x01\xff", ContextError),
        (b"\x01\x03\x00\x04c1:x", ProtectionError),
        (b"\x01\x03\x00\x04i0:x", ProtectionError),
        (b"\x01\x03\x00\x00", ProtectionError),
    ],
)
def test_what_a_stream_refuses(wire: bytes, error: type[ProtocolError]) -> None:
    _, there = streams()
    with pytest.raises(error):
        there.open(wire)


def test_a_mechanism_that_leaves_no_room() -> None:
    with pytest.raises(ProtectionError, match="no room"):
        streams(limit=0)


@pytest.mark.parametrize(
    "vector", [one for one in VECTORS if one["group"].startswith("gssapi")], ids=lambda v: v["name"]
)
def test_vectors(vector: Any) -> None:
    data = bytes.fromhex(vector["hex"])
    if data[1] == 0xFF:
        with pytest.raises(ContextError):
            read_message(data, 1)
        return
    assert read_message(data, data[1]) == (data[4:], len(data))
    assert build_message(data[1], data[4:]) == data
    assert all(read_message(data[:end], data[1]) is None for end in range(len(data)))


def test_a_token_that_is_too_long() -> None:
    assert len(build_message(1, bytes(0xFFFF))) == 0x10003
    with pytest.raises(ProtocolError, match="65536 bytes"):
        build_message(1, bytes(0x10000))
