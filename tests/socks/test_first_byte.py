"""Which server takes a connection, by its first byte, on both twins."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsocks.errors import DialError, HandshakeTimeoutError, ProtocolError, VersionError
from fastsocks.request import BIND, CONNECT, PROTOCOLS
from fastsocks.socks import SocksServer
from fastsocks.socks.protocols import protocol_of
from socks_playbook import Outcome, checker, cut, feed, input_of, perform
from socks_plays import ACCOUNTS as LOGINS
from socks_plays import BIND_PLAYS, LOGIN_PLAYS, OPEN_PLAYS

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
def test_each_is_answered_in_its_own_way(server_class: Any, protocol: str) -> None:
    data = REQUESTS[protocol] + b"early"
    for pieces in ([data], cut(data, *range(len(data)))):
        assert feed(server_class(), pieces) == Outcome(
            ANSWERS[protocol], "request 01 192.0.2.1:80 with b'early'"
        )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_one_that_is_not_spoken_gets_no_answer(server_class: Any, protocol: str) -> None:
    others = tuple(one for one in PROTOCOLS if one != protocol)
    server = server_class(protocols=others)
    with pytest.raises(VersionError, match=f"{protocol} instead of {others[0]} or {others[1]}"):
        server.receive(REQUESTS[protocol])
    assert server.failed(VersionError("no")) == b""


@pytest.mark.parametrize("first", [0x00, 0x01, 0x06, 0x0D, 0x16, 0x40, 0x5B, 0x80, 0xFF])
def test_a_byte_that_begins_nothing_gets_no_answer(server_class: Any, first: int) -> None:
    assert protocol_of(first) is None
    assert feed(server_class(), [bytes((first, 1, 0))]) == Outcome(b"", "error VersionError 01")


@pytest.mark.parametrize(
    ("protocol", "answer"),
    [("socks5", b"\x05\xff"), ("socks4", b"\x00\x5b" + bytes(6)), ("http", b"HTTP/1.1 407 ")],
)
def test_who_does_not_log_in_is_refused(server_class: Any, protocol: str, answer: bytes) -> None:
    outcome = feed(server_class(checker(ACCOUNTS)), [REQUESTS[protocol]])
    assert outcome.outgoing.startswith(answer)
    assert outcome.event == "error AuthenticationError 02"


@pytest.mark.parametrize(
    "request_of",
    [
        bytes.fromhex("050102 0104757365720470617373 05090001c00002010050"),
        b"CONNECT nowhere HTTP/1.1\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n",
    ],
    ids=["socks5", "http"],
)
def test_who_has_logged_in_is_known_where_the_request_is_none(
    server_class: Any, request_of: bytes
) -> None:
    server = server_class(checker(ACCOUNTS))
    assert server.user is None
    with pytest.raises(ProtocolError):
        server.receive(request_of)
    assert server.user == "user"


def test_a_client_that_says_nothing_is_told_nothing(server_class: Any) -> None:
    server = server_class()
    assert (server.take_outgoing(), server.codec, server.pending) == (b"", None, None)
    assert server.failed(HandshakeTimeoutError("late")) == b""
    with pytest.raises(RuntimeError):
        server.connected(None)


@given(st.binary(min_size=1, max_size=60), st.booleans(), st.data())
def test_any_bytes_are_a_request_or_a_protocol_error(
    server_class: Any, data: bytes, login: bool, cuts: st.DataObject
) -> None:
    points = cuts.draw(st.lists(st.integers(0, len(data)), max_size=8).map(sorted))
    server = server_class(checker(ACCOUNTS if login else None))
    request = None
    try:
        for piece in cut(data, *points):
            if request is None:
                request = server.receive(piece)
    except ProtocolError as error:
        server.failed(error)


@given(st.binary(max_size=40))
def test_socks5_is_answered_as_by_its_own_server(server_class: Any, rest: bytes) -> None:
    data = b"\x05" + rest
    assert feed(server_class(), [data]) == feed(SocksServer(), [data])


PLAYS = [
    pytest.param(accounts, commands, play, id=name)
    for accounts, commands, plays in (
        (None, (CONNECT,), OPEN_PLAYS),
        (None, (CONNECT, BIND), BIND_PLAYS),
        (LOGINS, (CONNECT,), LOGIN_PLAYS),
    )
    for name, play in plays.items()
]


@pytest.mark.parametrize(("accounts", "commands", "play"), PLAYS)
def test_socks5_goes_as_in_every_play(
    server_class: Any, accounts: Any, commands: tuple[int, ...], play: str
) -> None:
    def make() -> Any:
        return server_class(checker(accounts), commands, ("socks5",))

    perform(make(), play)
    data = input_of(play)
    whole = feed(SocksServer(checker(accounts), commands), [data])
    for first in range(1, len(data) + 1):
        assert feed(make(), cut(data, first)) == whole


MESSAGES = (
    st.sampled_from(
        [bytes.fromhex(text) for text in ("050100", "05020200", "0501000501000103", "0500")]
    ),
    st.sampled_from([bytes.fromhex(text) for text in ("050100", "050200", "050300", "060100")]),
    st.sampled_from([bytes.fromhex(text) for text in ("01c00002010050", "0301610050", "030000")]),
    st.binary(max_size=8),
)


@given(
    st.tuples(*MESSAGES).map(b"".join),
    st.lists(st.integers(0, 24), max_size=4).map(sorted),
    st.sampled_from([(CONNECT,), (CONNECT, BIND), (BIND,)]),
    st.sampled_from([PROTOCOLS, ("socks5",), ("socks4", "http")]),
)
def test_both_twins_say_the_same(
    server_classes: tuple[Any, ...],
    data: bytes,
    points: list[int],
    commands: tuple[int, ...],
    protocols: tuple[str, ...],
) -> None:
    outcomes = [feed(one(None, commands, protocols), cut(data, *points)) for one in server_classes]
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("error", [HandshakeTimeoutError("late"), DialError("no")])
@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("sent", ["050100", "05010005", "05010005010001c00002010050"])
def test_both_twins_fail_alike(
    server_classes: tuple[Any, ...], sent: str, taken: bool, error: Any
) -> None:
    answers = []
    for one in server_classes:
        server = one()
        server.receive(bytes.fromhex(sent))
        if taken:
            server.take_outgoing()
        answers.append((server.failed(error), server.failed(error), server.take_outgoing()))
    assert answers[0] == answers[1]


def test_misuse_is_not_mistaken_for_the_client(server_class: Any) -> None:
    server = server_class()
    server.receive(b"\x05\x01\x00")
    with pytest.raises(RuntimeError):
        server.connected(None)
    server.receive(REQUESTS["socks5"][3:])
    with pytest.raises(RuntimeError):
        server.receive(b"\x05")
    server.connected(None)
    with pytest.raises(RuntimeError):
        server.connected(None)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_data_may_be_of_any_kind(server_class: Any, kind: Any) -> None:
    outcome = feed(server_class(), map(kind, cut(REQUESTS["socks5"], 3)))
    assert outcome == Outcome(ANSWERS["socks5"], "request 01 192.0.2.1:80")


def test_the_longest_head_is_chosen(server_class: Any) -> None:
    data = REQUESTS["http"][:-2] + b"X: " + b"x" * 100_000 + b"\r\n\r\n"
    assert server_class(longest_head=len(data)).receive(data) is not None
    for machine in (server_class(), server_class(longest_head=len(data) - 1)):
        with pytest.raises(ProtocolError, match="a head of more than"):
            machine.receive(data)
