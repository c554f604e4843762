"""What explanations say of good bytes and of bad ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsocks.address import Address
from fastsocks.explain import Explanation, explain_datagram, explain_stream, format_table
from fastsocks.shadowsocks import (
    METHODS,
    ClientCodec,
    ClientKey,
    ReplayGuard,
    client_key,
    generate_key,
    packet_client,
    packet_server,
    server_codec,
    server_key,
)
from shadowsocks_ends import AEAD_2022

NOW = 1_700_000_000
VECTORS = json.loads(
    (Path(__file__).parent.parent / "vectors" / "socks5.json").read_text(encoding="utf-8")
)["messages"]
TARGET = Address.of("example.com", 443)


def meanings(explanation: Explanation) -> dict[str, str]:
    return {field.name: field.meaning for field in explanation.fields}


def client(data: bytes) -> Explanation:
    (found,) = explain_stream(data, b"")
    return found


def server(data: bytes) -> Explanation:
    (found,) = explain_stream(b"", data)
    return found


def test_socks5_from_the_client() -> None:
    found = client(
        bytes.fromhex("05020002 0104")
        + b"user\x04pass"
        + bytes.fromhex("05010003 0b")
        + b"example.com\x01\xbbGET"
    )
    assert found.fault is None
    assert found.title == "SOCKS5, from the client"
    said = meanings(found)
    assert said["METHODS"] == "no authentication, user name and password"
    assert (said["UNAME"], said["CMD"], said["ADDR"], said["PORT"]) == (
        "user", "CONNECT", "example.com", "443",
    )  # fmt: skip
    assert found.fields[-1].data == b"GET"
    assert b"".join(field.data for field in found.fields).endswith(b"\x01\xbbGET")
    table = format_table(found)
    assert b"pass".hex(" ") not in table
    assert "(not shown)" in table
    assert "RFC 1929 2" in table


def test_socks5_from_the_server() -> None:
    found = server(bytes.fromhex("0502 0100 05000001c63364079c41") + b"data")
    assert found.fault is None
    assert meanings(found)["ADDR"] == "198.51.100.7"
    refused = server(bytes.fromhex("0500 05050001000000000000"))
    assert refused.fault == "the server refuses: connection refused"


def test_two_replies_to_a_bind() -> None:
    reply = bytes.fromhex("05000001c63364079c41")
    found = server(b"\x05\x00" + reply + reply)
    assert [field.name for field in found.fields].count("REP") == 2


def test_more_replies_are_data() -> None:
    reply = bytes.fromhex("05000001c63364079c41")
    found = server(b"\x05\x00" + reply * 1000)
    assert found.fields[-1].data == reply * 998


def test_socks4() -> None:
    data = bytes.fromhex("040101bb000000ff6d65006578616d706c652e636f6d00") + b"early"
    request, reply = explain_stream(data, bytes.fromhex("005b000000000000"))
    assert (request.fault, meanings(request)["name"]) == (None, "example.com")
    assert reply.title == "SOCKS4, from the server"
    assert reply.fault == "the server refuses: rejected or failed"
    alone = server(bytes.fromhex("005a000000000000"))
    assert (alone.title, alone.fault) == ("SOCKS4, from the server", None)


def test_http() -> None:
    request, response = explain_stream(
        b"CONNECT a:1 HTTP/1.1\r\nProxy-Authorization: Basic c2VjcmV0\r\n\r\nmore",
        b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
    )
    assert (request.fault, response.fault) == (None, None)
    assert meanings(request)["request line"] == "CONNECT a:1 HTTP/1.1"
    assert "c2Vj" not in format_table(request)
    assert b"c2Vj".hex(" ") not in format_table(request)
    assert client(b"GET / HTTP/1.1\nHost: a\n\n").fault is not None


def test_credentials_in_a_folded_field() -> None:
    found = client(b"CONNECT a:1 HTTP/1.1\r\nProxy-Authorization:\r\n Basic c2VjcmV0\r\n\r\n")
    assert found.fault is not None
    assert "c2Vj" not in format_table(found)


def test_of_a_long_head_the_front_is_looked_at() -> None:
    found = client(b"GET http://a/ HTTP/1.1\r\n" + b"a:b\r\n" * 40_000)
    assert found.fault == "a head of more than 65536 bytes"
    assert len(found.fields) < 20_000
    assert sum(len(field.data) for field in found.fields) == 24 + 5 * 40_000


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ("0500", "a greeting without methods"),
        ("050100 04", "version 4 where 5 belongs"),
        ("050100 05010005", "unknown address type 0x05"),
        ("050100 050100030000", "truncated: 1 more bytes of PORT are missing"),
        ("050100 05010003000050", "the host name is empty"),
        ("050100 0501000301000050", "the host name contains NUL"),
        ("0501", "truncated: 1 more bytes of METHODS are missing"),
        ("04010050000000000000", "SOCKS4 names 0.0.0.0, which is no target"),
        ("160301", "neither SOCKS nor HTTP begins with 16; of Shadowsocks the key is needed"),
    ],
)
def test_faults(data: str, fault: str) -> None:
    assert client(bytes.fromhex(data)).fault == fault


def test_what_a_peer_chose_cannot_write_to_the_terminal() -> None:
    found = client(bytes.fromhex("05010003 07") + b"a\x1b[2J\nb" + b"\0\x50")
    assert format_table(found).count("\n") == 1 + len(found.fields)
    assert "\x1b" not in format_table(found)


@pytest.mark.parametrize("vector", [pytest.param(one, id=one["name"]) for one in VECTORS])
def test_no_message_is_too_much_for_it(vector: Any) -> None:
    data = bytes.fromhex(vector["hex"])
    for size in range(1, len(data) + 1):
        for found in (client(data[:size]), server(data[:size]), explain_datagram(data[:size])):
            assert format_table(found)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_nor_any_bytes(one: bytes, other: bytes) -> None:
    for found in (*explain_stream(one, other), explain_datagram(one)):
        assert format_table(found)


KEYS = {method: generate_key(method) for method in METHODS}
SECRET = [method for method in METHODS if method != "none"]


def exchange(method: str) -> tuple[bytes, bytes, ClientKey]:
    """Return both directions of a Shadowsocks connection, and its key."""
    key = client_key(method, KEYS[method])
    codec = ClientCodec(key, clock=lambda: NOW)
    up = codec.request(TARGET, b"first") + codec.seal(b"second")
    own = server_key(method, KEYS[method])
    guard = ReplayGuard(own)
    answering: Any = server_codec(own, guard)
    if method in AEAD_2022:
        answering = type(answering)(own, guard, clock=lambda: NOW)
    assert answering.receive(up) is not None
    return up, bytes(answering.seal(b"answer")), key


@pytest.mark.parametrize("method", METHODS)
def test_shadowsocks_with_its_key(method: str) -> None:
    up, down, key = exchange(method)
    request, response = explain_stream(up, down, key, NOW)
    assert (request.fault, response.fault) == (None, None)
    assert meanings(request)["ADDR"] == "example.com"
    assert meanings(request)["PORT"] == "443"
    for direction, data in ((request, up), (response, down)):
        outer = [field for field in direction.fields if "+" not in field.offset]
        assert b"".join(field.data for field in outer) == data or method == "none"


def test_tampering_behind_the_address() -> None:
    up, _, key = exchange("aes-128-gcm")
    (found,) = explain_stream(up[:-1] + bytes((up[-1] ^ 1,)), b"", key, NOW)
    assert found.fault is not None
    assert found.fault.startswith("password or method mismatch")
    assert meanings(found)["ADDR"] == "example.com"


def test_of_many_records_the_first_are_looked_at() -> None:
    key = client_key("aes-128-gcm", "password")
    codec = ClientCodec(key)
    up = codec.request(TARGET) + b"".join(bytes(codec.seal(b"x")) for _ in range(200))
    (found,) = explain_stream(up, b"", key, NOW)
    assert found.fault is None
    assert len(found.fields) < 300
    assert meanings(found)["records"] == "further ones, not looked at"


@pytest.mark.parametrize("method", METHODS)
def test_shadowsocks_cut_anywhere(method: str) -> None:
    up, down, key = exchange(method)
    for size in range(1, len(up)):
        assert format_table(explain_stream(up[:size], b"", key, NOW)[0])
    for size in range(1, len(down)):
        assert format_table(explain_stream(up, down[:size], key, NOW)[1])


@pytest.mark.parametrize("method", [m for m in SECRET if METHODS[m].authenticated])
def test_another_password(method: str) -> None:
    up, down, _ = exchange(method)
    other = client_key(method, generate_key(method))
    for found in explain_stream(up, down, other, NOW):
        assert found.fault is not None
        assert found.fault.startswith("password or method mismatch")


def test_clocks_that_differ() -> None:
    for skew, said in ((-38, "clock 38 s behind"), (45, "clock 45 s ahead")):
        method = "2022-blake3-aes-128-gcm"
        key = client_key(method, KEYS[method])
        up = ClientCodec(key, clock=lambda skew=skew: NOW + skew).request(TARGET)  # type: ignore[misc]
        (found,) = explain_stream(up, b"", key, NOW)
        assert said in meanings(found)["timestamp"]
        assert found.fault is not None
        assert f"{abs(skew)} s" in found.fault


def test_identity_headers() -> None:
    method = "2022-blake3-aes-256-gcm"
    psk, user = generate_key(method), generate_key(method)
    key = client_key(method, f"{psk}:{user}")
    up = ClientCodec(key, clock=lambda: NOW).request(TARGET, b"x")
    (found,) = explain_stream(up, b"", key, NOW)
    assert (found.fault, meanings(found)["identity header"]) == (None, "of iPSK 1")
    packet = packet_client(key).seal(TARGET, b"payload", NOW)
    one = explain_datagram(packet, key, NOW)
    assert (one.fault, one.fields[-1].data) == (None, b"payload")


def _seal(method: str, key: ClientKey) -> tuple[bytes, bytes]:
    up = packet_client(key).seal(TARGET, b"question", NOW)
    there = packet_server(server_key(method, KEYS[method]))
    session, _, _ = there.open(up, NOW)
    return up, there.seal(Address.of("192.0.2.1", 53), b"answer", NOW, session)


@pytest.mark.parametrize("method", METHODS)
def test_datagrams(method: str) -> None:
    key = client_key(method, KEYS[method])
    up, down = _seal(method, key)
    for data, from_server, host, payload in (
        (up, False, "example.com", b"question"),
        (down, True, "192.0.2.1", b"answer"),
    ):
        found = explain_datagram(data, key, NOW, from_server=from_server)
        assert found.fault is None
        assert meanings(found)["ADDR"] == host
        assert found.fields[-1].data == payload
        for size in range(1, len(data)):
            assert format_table(explain_datagram(data[:size], key, NOW, from_server=from_server))
