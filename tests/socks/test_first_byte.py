"""Which server takes a connection, by its first byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsocks.errors import HandshakeTimeoutError, ProtocolError, VersionError
from fastsocks.request import PROTOCOLS
from fastsocks.socks import FirstByteServer, SocksServer
from fastsocks.socks.first_byte import protocol_of
from socks_playbook import Outcome, checker, cut, feed

pytestmark = pytest.mark.usefixtures("messages")

ACCOUNTS = {b"user": b"pass"}
REQUESTS = {
    "socks5": bytes.fromhex("050100 05010001c00002010050"),
    "socks4": bytes.fromhex("04010050c000020100"),
    "http": b"CONNECT 192.0.2.1:80 HTTP/1.1\r\nHost: 192.0.2.1:80\r\n\r\n",
}
ANSWERS = {
    "socks5": bytes.fromhex("0500 05000001000000000000"),
    "socks4": bytes.fromhex("005a000000000000"),
    "http": b"HTTP/1.1 200 Connection established\r\n\r\n",
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_each_is_answered_in_its_own_way(protocol: str) -> None:
    data = REQUESTS[protocol] + b"early"
    for pieces in ([data], cut(data, *range(len(data)))):
        assert feed(FirstByteServer(), pieces) == Outcome(
            ANSWERS[protocol], "request 01 192.0.2.1:80 with b'early'"
        )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_one_that_is_not_spoken_gets_no_answer(protocol: str) -> None:
    others = tuple(one for one in PROTOCOLS if one != protocol)
    server = FirstByteServer(protocols=others)
    with pytest.raises(VersionError, match=f"{protocol} instead of {others[0]} or {others[1]}"):
        server.receive(REQUESTS[protocol])
    assert server.failed(VersionError("no")) == b""


@pytest.mark.parametrize("first", [0x00, 0x01, 0x06, 0x0D, 0x16, 0x40, 0x5B, 0x80, 0xFF])
def test_a_byte_that_begins_nothing_gets_no_answer(first: int) -> None:
    assert protocol_of(first) is None
    assert feed(FirstByteServer(), [bytes((first, 1, 0))]) == Outcome(b"", "error VersionError 01")


@pytest.mark.parametrize(
    ("protocol", "answer"),
    [("socks5", b"\x05\xff"), ("socks4", b"\x00\x5b" + bytes(6)), ("http", b"HTTP/1.1 407 ")],
)
def test_who_does_not_log_in_is_refused(protocol: str, answer: bytes) -> None:
    outcome = feed(FirstByteServer(checker(ACCOUNTS)), [REQUESTS[protocol]])
    assert outcome.outgoing.startswith(answer)
    assert outcome.event == "error AuthenticationError 02"


def test_a_client_that_says_nothing_is_told_nothing() -> None:
    server = FirstByteServer()
    assert (server.take_outgoing(), server.codec, server.pending) == (b"", None, None)
    assert server.failed(HandshakeTimeoutError("late")) == b""
    with pytest.raises(RuntimeError):
        server.connected(None)


@given(st.binary(min_size=1, max_size=60), st.booleans(), st.data())
def test_any_bytes_are_a_request_or_a_protocol_error(
    data: bytes, login: bool, cuts: st.DataObject
) -> None:
    points = cuts.draw(st.lists(st.integers(0, len(data)), max_size=8).map(sorted))
    server = FirstByteServer(checker(ACCOUNTS if login else None))
    request = None
    try:
        for piece in cut(data, *points):
            if request is None:
                request = server.receive(piece)
    except ProtocolError as error:
        server.failed(error)


@given(st.binary(max_size=40))
def test_socks5_is_answered_as_by_its_own_server(rest: bytes) -> None:
    data = b"\x05" + rest
    assert feed(FirstByteServer(), [data]) == feed(SocksServer(), [data])
