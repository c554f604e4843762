"""SOCKS4 and SOCKS4a, byte by byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsocks.address import Address
from fastsocks.errors import AddressError, DialError, HandshakeTimeoutError, TruncatedError
from fastsocks.request import BIND, CONNECT, UDP_ASSOCIATE, Request
from fastsocks.socks.socks4 import Socks4Server, build_reply
from socks_playbook import Outcome, cut, feed, input_of, perform

PLAYS = {
    "CONNECT": """
        >> 04 01 0050 c0000201 00
        request 01 192.0.2.1:80
        connected 198.51.100.7:40001
        << 00 5a 9c41 c6336407
    """,
    "user id": """
        >> 04 01 0050 c0000201 'Fred' 00
        request 01 192.0.2.1:80
        connected
        << 00 5a 0000 00000000
    """,
    "4a": """
        >> 04 01 01bb 00000001 'me' 00 'example.com' 00
        request 01 example.com:443
        connected [2001:db8::5]:40000
        << 00 5a 0000 00000000
    """,
    "4a with an IPv4 literal": """
        >> 04 01 01bb 000000ff 00 '192.0.2.7' 00
        request 01 192.0.2.7:443
    """,
    "4a with an IPv6 literal": """
        >> 04 01 01bb 000000ff 00 '2001:db8::1' 00
        request 01 [2001:db8::1]:443
    """,
    "early data": """
        >> 04 01 0050 c0000201 00 'GET /'
        request 01 192.0.2.1:80 with b'GET /'
    """,
    "early data behind a name": """
        >> 04 01 0050 00000009 00 'a' 00 00 01
        request 01 a:80 with b'\\x00\\x01'
    """,
    "the dial fails": """
        >> 04 01 0050 c0000201 00
        request 01 192.0.2.1:80
        failed 05
        << 00 5b 0000 00000000
    """,
    "0.0.0.0 is not 4a": """
        >> 04 01 0050 00000000 00
        error AddressError 01
        << 00 5b 0000 00000000
    """,
    "empty name": """
        >> 04 01 0050 00000001 00 00
        error AddressError 01
        << 00 5b 0000 00000000
    """,
    "BIND": """
        >> 04 02 0050 c0000201 00
        error CommandError 07
        << 00 5b 0000 00000000
    """,
    "unknown command, whole request read first": """
        >> 04 f0 0050 00000001 00 'name'
        <<
        >> 00
        error CommandError 07
        << 00 5b 0000 00000000
    """,
    "UDP ASSOCIATE is none of its commands": """
        >> 04 03 0050 c0000201 00
        error CommandError 07
        << 00 5b 0000 00000000
    """,
    "another version": """
        >> 05 01 00
        error VersionError 01
        <<
    """,
}


def server() -> Socks4Server:
    return Socks4Server(commands=(CONNECT, UDP_ASSOCIATE))


@pytest.mark.parametrize("play", PLAYS.values(), ids=PLAYS)
def test_play(play: str) -> None:
    perform(server(), play)


@pytest.mark.parametrize("play", PLAYS.values(), ids=PLAYS)
def test_play_at_every_split(play: str) -> None:
    data = input_of(play)
    whole = feed(server(), [data])
    for first in range(1, len(data)):
        for second in range(first, len(data)):
            assert feed(server(), cut(data, first, second)) == whole
    assert feed(server(), cut(data, *range(len(data)))) == whole


@pytest.mark.parametrize("head", ["04 01 0050 c0000201", "04 01 0050 00000001 00"])
def test_texts_have_255_bytes_at_most(head: str) -> None:
    data = bytes.fromhex(head)
    longest = data + b"a" * 255 + b"\0" + (b"b\0" if data[4] else b"")
    assert feed(server(), cut(longest, *range(len(longest)))).event is not None
    too_long = data + b"a" * 256
    refused = Outcome(build_reply(0x5B), "error ProtocolError 01")
    assert feed(server(), [too_long]) == refused
    assert feed(server(), cut(too_long, *range(len(too_long)))) == refused


def test_bind_for_anybody() -> None:
    """0.0.0.0 is no target, but it is a peer."""
    one = Socks4Server(commands=(CONNECT, BIND))
    request = one.receive(bytes.fromhex("04020000" + "00000000" + "00"))
    assert request is not None
    assert request.address == Address.of("0.0.0.0", 0)
    with pytest.raises(AddressError, match="no target"):
        Socks4Server().receive(bytes.fromhex("04010050" + "00000000" + "00"))


def test_bind_where_it_is_offered() -> None:
    one = Socks4Server(commands=(CONNECT, BIND))
    request = one.receive(bytes.fromhex("04020050c000020100"))
    assert request == Request(Address.of("192.0.2.1", 80), b"", None, BIND, short_reply=True)
    assert one.connected(Address.of("198.51.100.7", 40001)) == bytes.fromhex("005a9c41c6336407")
    assert one.connected(Address.of("192.0.2.1", 20)) == bytes.fromhex("005a0014c0000201")
    with pytest.raises(RuntimeError):
        one.connected(None)


@pytest.mark.parametrize("data", ["04010050c000020100", "0401005000000001006100"])
def test_nobody_can_log_in(data: str) -> None:
    outcome = feed(Socks4Server(authenticated=True), [bytes.fromhex(data)])
    assert outcome == Outcome(build_reply(0x5B), "error AuthenticationError 02")


@pytest.mark.parametrize("error", [HandshakeTimeoutError("late"), TruncatedError("gone")])
def test_an_unfinished_request_is_closed_without_a_word(error: Any) -> None:
    one = server()
    one.receive(b"\x04\x01\x00")
    assert one.failed(error) == b""


def test_what_is_owed_is_owed_once() -> None:
    one = server()
    one.receive(bytes.fromhex("04010050c000020100"))
    assert one.failed(DialError("no")) == build_reply(0x5B)
    assert one.failed(DialError("no")) == b""
    with pytest.raises(RuntimeError):
        one.connected(None)
    with pytest.raises(RuntimeError):
        one.receive(b"\x04")


VECTORS = json.loads(
    (Path(__file__).parent.parent / "vectors" / "socks5.json").read_text(encoding="utf-8")
)["messages"]
EVENTS = {
    "CONNECT": "request 01 192.0.2.1:80",
    "CONNECT with userid": "request 01 192.0.2.1:80",
    "4a CONNECT": "request 01 example.com:443",
    "4a with userid": "request 01 example.com:443",
    "0.0.0.0 is not 4a": "error AddressError 01",
    "BIND": "error CommandError 07",
    "userid never ends": "error ProtocolError 01",
}
REPLIES = {"granted": 0x5A, "rejected": 0x5B, "no identd": 0x5C, "identd mismatch": 0x5D}


@pytest.mark.parametrize(
    "vector",
    [pytest.param(one, id=one["name"]) for one in VECTORS if one["group"] == "socks4"],
)
def test_vector(vector: Any) -> None:
    data = bytes.fromhex(vector["hex"])
    if vector["name"] in REPLIES:
        assert build_reply(REPLIES[vector["name"]]) == data
    else:
        assert feed(server(), [data]).event == EVENTS[vector["name"]]


requests = st.lists(
    st.sampled_from([b"\x04\x01\x00\x50", b"\xc0\x00\x02\x01", b"\0\0\0\1", b"\0", b"name\0"])
    | st.binary(max_size=300),
    max_size=6,
).map(b"".join)


@given(requests, st.data())
def test_any_bytes_at_any_split(data: bytes, cuts: st.DataObject) -> None:
    points = cuts.draw(st.lists(st.integers(0, len(data)), max_size=8).map(sorted))
    assert feed(server(), cut(data, *points)) == feed(server(), [data])
