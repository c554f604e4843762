"""Responses to plain requests, and bodies that are not what they say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsocks.errors import ProtocolError
from fastsocks.socks.http.exchange import (
    LONGEST_RESPONSE_HEAD,
    Body,
    ChunkedBody,
    Exchange,
)
from socks_playbook import cut

RESPONSES = {
    "ordinary": (
        b"HTTP/1.1 200 Fine\r\nContent-Length: 4\r\n\r\nbody",
        b"HTTP/1.1 200 Fine\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody",
    ),
    "hop by hop": (
        (
            b"HTTP/1.1 407 No\r\nConnection: close, X\r\nX: 1\r\nKeep-Alive: 5\r\nTrailer: T\r\n"
            b"Proxy-Authenticate: Basic realm=x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        ),
        b"HTTP/1.1 407 No\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n",
    ),
    "interim": (
        (
            b"HTTP/1.1 100 Continue\r\nTE: x\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
            b"HTTP/1.0 204 No Content\r\n\r\n"
        ),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
            b"HTTP/1.0 204 No Content\r\nConnection: close\r\n\r\n"
        ),
    ),
    "body that looks like a head": (
        b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ),
    "empty line in front": (
        b"\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\nbody",
    ),
    "bare line feeds": (b"HTTP/1.1 200 OK\nA: b\n\nbody\r\n\r\n",) * 2,
    "no HTTP": (b"SSH-2.0-OpenSSH\r\n",) * 2,
    "Connection drops the length": (
        b"HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 1\r\n\r\nx",
    )
    * 2,
}


@pytest.mark.parametrize(("sent", "received"), RESPONSES.values(), ids=RESPONSES)
def test_response_at_every_split(sent: bytes, received: bytes) -> None:
    for point in range(len(sent)):
        exchange = Exchange(Body())
        assert b"".join(map(exchange.seal, cut(sent, point))) == received
    exchange = Exchange(Body())
    assert b"".join(map(exchange.seal, cut(sent, *range(len(sent))))) == received


def test_a_head_that_is_too_long_passes_as_it_is() -> None:
    sent = b"HTTP/1.1 200 OK\r\nX: " + b"x" * LONGEST_RESPONSE_HEAD + b"\r\n\r\nbody"
    for size in (1000, len(sent)):
        exchange = Exchange(Body())
        pieces = cut(sent, *range(0, len(sent), size))
        assert b"".join(map(exchange.seal, pieces)) == sent


@pytest.mark.parametrize(
    "data",
    [
        b"x\r\n",
        b"-1\r\n",
        b"3\r\nabcd",
        b"3\nabc\n",
        b"10000000000000000\r\n",
        b"0\r\nA B: c\r\n\r\n",
    ],
)
def test_chunks_that_are_none(data: bytes) -> None:
    body = ChunkedBody()
    pieces = cut(data, *range(len(data)))
    with pytest.raises(ProtocolError, match="HTTP: the body of the request"):
        list(map(body.take, pieces))
    assert body.take(b"0\r\n\r\n") == b""


def test_it_adds_less_than_the_relay_has_room_for() -> None:
    field = b"a:\r\n"
    sent = b"HTTP/1.1 200 OK\r\n" + field * (LONGEST_RESPONSE_HEAD // len(field) - 8) + b"\r\n"
    exchange = Exchange(Body())
    assert exchange.seal(sent[:-1]) == b""
    assert 0 < len(exchange.seal(sent[-1:])) < 0x10000


def test_interim_responses_have_no_more_room_together() -> None:
    interim = b"HTTP/1.1 100 C\r\n" + b"a:\r\n" * 8000 + b"\r\n"
    exchange = Exchange(Body())
    assert exchange.seal(interim[:-1]) == b""
    sent = interim[-1:] + interim * 7
    received = exchange.seal(sent)
    assert len(received) - len(sent) < 0x10000
    assert received.endswith(interim)


def test_after_many_interim_responses_the_rest_passes_as_it_is() -> None:
    interim = b"HTTP/1.1 100 C\r\nTE: x\r\n\r\n"
    exchange = Exchange(Body())
    assert exchange.seal(interim * 17) == b"HTTP/1.1 100 C\r\n\r\n" * 16 + interim
    assert exchange.seal(interim) == interim


@given(st.binary(max_size=200), st.data())
def test_any_response_passes_at_any_split(tail: bytes, cuts: st.DataObject) -> None:
    start = cuts.draw(st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 C\r\n\r\n"]))
    data = start + tail
    points = cuts.draw(st.lists(st.integers(0, len(data)), max_size=8).map(sorted))
    whole, parts = Exchange(Body()), Exchange(Body())
    first = b"".join(map(whole.seal, [data] if data else []))
    second = b"".join(map(parts.seal, cut(data, *points)))
    # What is kept while a head is incomplete is all that may differ.
    assert first.startswith(second) or second.startswith(first)
