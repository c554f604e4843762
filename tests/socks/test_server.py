"""The server's side of the handshake, on both twins of the readers."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Awaitable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsocks.address import Address
from fastsocks.errors import (
    AddressTypeError,
    AuthenticationError,
    BusyError,
    DialError,
    HandshakeTimeoutError,
    PolicyError,
    TruncatedError,
    VersionError,
)
from fastsocks.request import BIND, CONNECT, Request
from fastsocks.socks import SocksServer
from socks_playbook import Outcome, checker, cut, feed, input_of, perform
from socks_plays import ACCOUNTS, BIND_PLAYS, LOGIN_PLAYS, OPEN_PLAYS

pytestmark = pytest.mark.usefixtures("messages")

PLAYS = [
    pytest.param(accounts, play, id=name)
    for accounts, plays in ((None, OPEN_PLAYS), (ACCOUNTS, LOGIN_PLAYS))
    for name, play in plays.items()
]


@pytest.mark.parametrize(("accounts", "play"), PLAYS)
def test_play(accounts: Any, play: str) -> None:
    perform(SocksServer(checker(accounts)), play)


@pytest.mark.parametrize("play", BIND_PLAYS.values(), ids=BIND_PLAYS)
def test_bind(play: str) -> None:
    perform(SocksServer(None, (CONNECT, BIND)), play)


@pytest.mark.parametrize(("accounts", "play"), PLAYS)
def test_play_at_every_split(accounts: Any, play: str) -> None:
    data = input_of(play)
    whole = feed(SocksServer(checker(accounts)), [data])
    for first in range(1, len(data)):
        assert feed(SocksServer(checker(accounts)), cut(data, first)) == whole
        for second in range(first + 1, len(data)):
            assert feed(SocksServer(checker(accounts)), cut(data, first, second)) == whole
    assert feed(SocksServer(checker(accounts)), cut(data, *range(len(data)))) == whole


@pytest.mark.parametrize("code", range(1, 9))
def test_a_failed_dial_gives_its_code(code: int) -> None:
    error = DialError("no")
    error.reply = code
    assert outcome_of_request(error) == bytes((5, code, 0, 1)) + bytes(6)


def test_a_refusal_by_policy_gives_2() -> None:
    assert outcome_of_request(PolicyError("no")) == bytes.fromhex("05020001000000000000")


def outcome_of_request(error: Any) -> bytes:
    server = SocksServer()
    assert server.receive(b"\x05\x01\x00\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50")
    assert server.take_outgoing() == b"\x05\x00"
    return server.failed(error)


@pytest.mark.parametrize("error", [HandshakeTimeoutError("late"), TruncatedError("gone")])
@pytest.mark.parametrize("sent", ["", "05", "0502", "050100", "0501000501000301"])
def test_an_unfinished_handshake_is_closed_without_a_word(error: Any, sent: str) -> None:
    server = SocksServer()
    server.receive(bytes.fromhex(sent))
    server.take_outgoing()
    assert server.failed(error) == b""


def test_what_is_owed_is_owed_once() -> None:
    server = SocksServer()
    with pytest.raises(AddressTypeError) as caught:
        server.receive(b"\x05\x01\x00\x05\x01\x00\x09")
    assert server.failed(caught.value) == bytes.fromhex("0500 05080001000000000000")
    assert server.failed(caught.value) == b""
    assert server.take_outgoing() == b""


def test_after_success_a_failure_adds_nothing() -> None:
    server = SocksServer()
    server.receive(b"\x05\x01\x00\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50")
    server.connected(None)
    assert server.failed(DialError("late")) == b""


def test_misuse_is_not_mistaken_for_the_client() -> None:
    server = SocksServer()
    with pytest.raises(RuntimeError):
        server.connected(None)
    with pytest.raises(VersionError):
        server.receive(b"\x04")
    with pytest.raises(RuntimeError):
        server.receive(b"\x05")
    with pytest.raises(RuntimeError):
        server.connected(None)


def test_no_accounts_at_all_let_nobody_in() -> None:
    outcome = feed(SocksServer(checker({})), [b"\x05\x02\x00\x02\x01\x00\x00"])
    assert outcome == Outcome(b"\x05\x02\x01\x01", "error AuthenticationError 02")


def test_longest_messages() -> None:
    greeting = b"\x05\xff" + bytes(255)
    assert feed(SocksServer(), cut(greeting, 256)).outgoing == b"\x05\x00"
    login = b"\x01\xff" + b"u" * 255 + b"\xff" + b"p" * 255
    request = b"\x05\x01\x00\x03\xff" + b"a" * 255 + b"\x00\x50"
    data = b"\x05\x01\x02" + login + request
    event = f"request 01 {'a' * 255}:80 as {'u' * 255}"
    assert feed(SocksServer(checker(ACCOUNTS)), cut(data, *range(len(data)))).event == event


def test_other_commands_on_request() -> None:
    server = SocksServer(commands=(CONNECT, BIND))
    request = server.receive(b"\x05\x01\x00\x05\x02\x00\x01\xc0\x00\x02\x01\x00\x50")
    assert request == Request(Address.of("192.0.2.1", 80), b"", None, BIND)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_nothing_refers_to_the_buffer(kind: Any) -> None:
    server = SocksServer(checker(ACCOUNTS))
    memory = bytearray(600)
    data = input_of(LOGIN_PLAYS["all at once"])
    request = None
    for piece in cut(data, 2, 7, 20):
        memory[: len(piece)] = piece
        view = memoryview(memory)[: len(piece)]
        request = server.receive(view if kind is memoryview else kind(view))
        view.release()
        memory[:] = bytes(600)
    memory.clear()
    assert request == Request(Address.of("192.0.2.1", 80), b"early", "user", CONNECT)
    assert type(request.early_data) is bytes


def test_memory_is_bounded_by_one_message() -> None:
    login = b"\x01\xff" + b"u" * 255 + b"\xff" + b"q" * 254
    # What the interpreter keeps for itself the first one pays for.
    first, server = SocksServer(checker(ACCOUNTS)), SocksServer(checker(ACCOUNTS))
    for each in (first, server):
        each.receive(b"\x05\x01\x02")
    tracemalloc.start()
    try:
        for piece in cut(login, *range(len(login))):
            assert first.receive(piece) is None
        before = tracemalloc.get_traced_memory()[0]
        for piece in cut(login, *range(len(login))):
            assert server.receive(piece) is None
        assert tracemalloc.get_traced_memory()[0] - before < 2048
    finally:
        tracemalloc.stop()


def test_secrets_stay_out_of_text() -> None:
    server = SocksServer(checker({b"user": b"hunter2"}))
    server.receive(b"\x05\x01\x02")
    with pytest.raises(Exception, match="wrong") as caught:
        server.receive(b"\x01\x04user\x07hunter1")
    for text in (repr(server), str(server), repr(caught.value)):
        assert "hunter" not in text


pieces = st.sampled_from(
    [
        b"\x05\x01\x00",
        b"\x05\x02\x00\x02",
        b"\x01\x04user\x04pass",
        b"\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50",
        b"\x05\x01\x00\x03\x0bexample.com\x01\xbb",
        b"\x05\x01\x00\x03",
    ]
)
conversations = st.lists(pieces | st.binary(max_size=12), max_size=5).map(b"".join)


@given(conversations, st.booleans(), st.data())
def test_any_bytes_at_any_split(data: bytes, login: bool, cuts: st.DataObject) -> None:
    accounts = ACCOUNTS if login else None
    points = cuts.draw(st.lists(st.integers(0, len(data)), max_size=8).map(sorted))
    whole = feed(SocksServer(checker(accounts)), [data])
    assert feed(SocksServer(checker(accounts)), cut(data, *points)) == whole


class LaterVerdict:
    """Answers when it is awaited."""

    def __init__(self, user: str | None = None) -> None:
        self.asked: list[tuple[bytes, bytes]] = []
        self._user = user

    def __call__(self, username: bytes, password: bytes) -> Awaitable[str | None]:
        self.asked.append((username, password))
        return self._wait()

    async def _wait(self) -> str | None:
        return self._user


def wait_for(server: SocksServer) -> Request | None:
    """Await what the handshake waits for."""

    async def wait() -> Request | None:
        assert server.pending is not None
        return await server.pending

    return asyncio.run(wait())


LOGIN = b"\x05\x01\x02\x01\x04user\x04pass"
REQUEST = b"\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50"


@pytest.mark.parametrize("ahead", [b"", REQUEST[:3], REQUEST, REQUEST + b"early"])
def test_a_check_that_takes_its_time(ahead: bytes) -> None:
    check = LaterVerdict("somebody")
    server = SocksServer(check)
    assert server.receive(LOGIN + ahead) is None
    assert check.asked == [(b"user", b"pass")]
    assert server.take_outgoing() == b"\x05\x02"
    with pytest.raises(RuntimeError):
        server.receive(b"more")
    request = wait_for(server)
    assert server.pending is None
    assert server.take_outgoing() == b"\x01\x00"
    if len(ahead) < len(REQUEST):
        assert request is None
        request = server.receive(REQUEST[len(ahead) :])
    early = ahead[len(REQUEST) :]
    assert request == Request(Address.of("192.0.2.1", 80), early, "somebody", CONNECT)


def test_a_check_that_refuses_later() -> None:
    server = SocksServer(LaterVerdict())
    assert server.receive(LOGIN + REQUEST) is None
    with pytest.raises(AuthenticationError) as caught:
        wait_for(server)
    assert server.failed(caught.value) == b"\x05\x02\x01\x01"


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("ahead", [b"", REQUEST[:3], REQUEST])
def test_a_check_that_comes_too_late(later: bool, ahead: bytes) -> None:
    """It is no wrong password: the request gets a general failure, whatever it is."""

    async def wait() -> str | None:
        raise BusyError("a login waited too long")

    def check(*_: bytes) -> Awaitable[str | None]:
        if later:
            return wait()
        raise BusyError("too many logins wait")

    server = SocksServer(check)

    def play() -> None:
        server.receive(LOGIN + ahead)
        if later:
            wait_for(server)
        assert server.take_outgoing() == b"\x05\x02\x01\x00"
        server.receive(REQUEST[len(ahead) :])

    with pytest.raises(BusyError) as caught:
        play()
    wanted = bytes.fromhex("0501 0001000000000000")
    assert server.failed(caught.value).removeprefix(b"\x05\x02\x01\x00") == wanted


def test_a_bad_request_behind_a_check() -> None:
    server = SocksServer(LaterVerdict("somebody"))
    assert server.receive(LOGIN + b"\x05\x01\x00\x09") is None
    with pytest.raises(AddressTypeError) as caught:
        wait_for(server)
    assert server.failed(caught.value) == bytes.fromhex("0502 0100 05080001000000000000")


def test_a_check_that_takes_too_long() -> None:
    verdict = asyncio.Future[str | None](loop=asyncio.new_event_loop())
    server = SocksServer(lambda *_: verdict)
    assert server.receive(LOGIN) is None
    assert server.take_outgoing() == b"\x05\x02"
    assert server.failed(HandshakeTimeoutError("late")) == b""
    verdict.get_loop().close()
