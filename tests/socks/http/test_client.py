"""The client's side of HTTP CONNECT, byte by byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsocks.address import Address
from fastsocks.errors import AuthenticationError, ProtocolError, ReplyError, TruncatedError
from fastsocks.socks.http.client import LARGEST_HEAD, HttpClient

TARGET = Address.of("example.com", 443)


def test_request() -> None:
    client = HttpClient(TARGET, username=b"al", password=b"p w")
    sent = client.take_outgoing()
    assert sent.startswith(b"CONNECT example.com:443 HTTP/1.1\r\n")
    assert b"\r\nHost: example.com:443\r\n" in sent
    assert b"\r\nProxy-Authorization: Basic YWw6cCB3\r\n" in sent
    assert sent.endswith(b"\r\n\r\n")
    assert client.take_outgoing() == b""


@pytest.mark.parametrize(
    ("host", "authority"),
    [("2001:db8::1", b"[2001:db8::1]:443"), ("bücher.example", b"xn--bcher-kva.example:443")],
)
def test_authority(host: str, authority: bytes) -> None:
    sent = HttpClient(Address.of(host, 443)).take_outgoing()
    assert sent.startswith(b"CONNECT %s HTTP/1.1\r\n" % authority)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example#.example.com",
        "evil.example/.example.com",
        "evil.example:80?.example.com",
        "evil.example\\.example.com",
        "user@evil.example",
        # IDNA makes / of it.
        "evil.example\N{FULLWIDTH SOLIDUS}.example.com",
        "a%2f",
        "[a",
        "fe80::1%eth0",
        "a b",
        "a\r\nX: y",
        "a\x7f",
        "\udcff",
        "a..b\xff",
    ],
)
def test_names_that_could_be_read_as_others(host: str) -> None:
    with pytest.raises(ProtocolError, match="HTTP cannot ask for"):
        HttpClient(Address.of(host, 443))


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 Connection established\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nVia: x\r\n\r\n",
        # Neither means anything here (RFC 9110 section 9.3.6).
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 Fine\r\n\r\n",
    ],
)
@pytest.mark.parametrize("step", [1, 1000])
def test_the_tunnel_stands(head: bytes, step: int) -> None:
    client = HttpClient(TARGET)
    rest = [head[start : start + step] for start in range(0, len(head), step)]
    assert [client.receive(part) for part in rest[:-1]] == [None] * (len(rest) - 1)
    assert client.receive(rest[-1] + b"\x16early") == b"\x16early"


@pytest.mark.parametrize(
    ("status", "reply"), [(403, 2), (405, 7), (501, 7), (504, 6), (502, 1), (404, 1), (302, 1)]
)
def test_refusals(status: int, reply: int) -> None:
    with pytest.raises(ReplyError, match=str(status)) as caught:
        HttpClient(TARGET).receive(b"HTTP/1.1 %d No\r\nContent-Length: 9\r\n\r\n" % status)
    assert caught.value.reply == reply


def test_login_wanted() -> None:
    with pytest.raises(AuthenticationError):
        HttpClient(TARGET).receive(b"HTTP/1.1 407 Login\r\n\r\n")


@pytest.mark.parametrize("data", [b"\x05\xff", b"HTTP/3 200\r\n\r\n", b"SSH-2.0-x\r\n\r\n"])
def test_what_is_not_http(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        HttpClient(TARGET).receive(data)


def test_a_head_without_end() -> None:
    client = HttpClient(TARGET)
    client.receive(b"HTTP/1.1 200 OK\r\nX: ")
    with pytest.raises(ProtocolError):
        client.receive(b"x" * LARGEST_HEAD)


def test_interim_responses_without_end() -> None:
    client = HttpClient(TARGET)
    assert client.receive(b"HTTP/1.1 100 Continue\r\n\r\n" * 16) is None
    with pytest.raises(ProtocolError, match="for ever"):
        client.receive(b"HTTP/1.1 100 Continue\r\n\r\n")


def test_an_end_too_early() -> None:
    with pytest.raises(TruncatedError):
        HttpClient(TARGET).end_of_stream()


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6))
def test_any_bytes_are_an_answer_or_a_protocol_error(parts: list[bytes]) -> None:
    client = HttpClient(TARGET)
    try:
        for part in parts:
            client.receive(part)
    except ProtocolError:
        return
