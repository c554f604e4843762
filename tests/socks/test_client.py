"""The client's side of the handshake, on both twins of the readers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsocks.address import Address
from fastsocks.errors import AddressError, ConfigError, ReplyError, VersionError
from fastsocks.request import BIND
from fastsocks.socks import Reply, SocksClient, SocksServer
from socks_playbook import Outcome, checker, cut, feed, input_of, perform

pytestmark = pytest.mark.usefixtures("messages")

WEB = Address.of("example.com", 443)
LOGIN: Any = {"username": b"user", "password": b"pass"}

OPEN_PLAYS = {
    "IPv4 bound": """
        << 05 01 00
        >> 05 00
        << 05 01 00 03 0b 'example.com' 01bb
        >> 05 00 00 01 c6336407 9c41
        reply 198.51.100.7:40001
    """,
    "IPv6 bound": """
        << 05 01 00
        >> 05 00
        << 05 01 00 03 0b 'example.com' 01bb
        >> 05 00 00 04 20010db8000000000000000000000005 9c40
        reply [2001:db8::5]:40000
    """,
    "name bound": """
        << 05 01 00
        >> 05 00
        << 05 01 00 03 0b 'example.com' 01bb
        >> 05 00 00 03 0a 'proxy.test' 0438
        reply proxy.test:1080
    """,
    "RSV not zero, the target speaks first": """
        << 05 01 00
        >> 05 00 05 00 ff 01 00000000 0000 'SSH-2.0'
        << 05 01 00 03 0b 'example.com' 01bb
        reply 0.0.0.0:0 with b'SSH-2.0'
    """,
    "refused by code": """
        << 05 01 00
        >> 05 00
        << 05 01 00 03 0b 'example.com' 01bb
        >> 05 05 00 01 00000000 0000
        error ReplyError 05
    """,
    "refused by a code of its own": """
        << 05 01 00
        >> 05 00
        << 05 01 00 03 0b 'example.com' 01bb
        >> 05 f1
        error ReplyError f1
    """,
    "refused in 4 bytes, as libev does": """
        << 05 01 00
        >> 05 00
        << 05 01 00 03 0b 'example.com' 01bb
        >> 05 07 00 01
        error ReplyError 07
    """,
    "refused with an ATYP that does not exist": """
        << 05 01 00
        >> 05 00
        << 05 01 00 03 0b 'example.com' 01bb
        >> 05 01 00 00
        error ReplyError 01
    """,
    "success with an ATYP that does not exist": """
        << 05 01 00
        >> 05 00
        << 05 01 00 03 0b 'example.com' 01bb
        >> 05 00 00 00
        error AddressTypeError 08
    """,
    "no acceptable method": """
        << 05 01 00
        >> 05 ff
        error AuthenticationError 02
    """,
    "a login unasked": """
        << 05 01 00
        >> 05 02
        error ProtocolError 01
    """,
    "not SOCKS": """
        << 05 01 00
        >> 'HTTP/1.1 400 Bad Request'
        error VersionError 01
    """,
    "reply of another version": """
        << 05 01 00
        >> 05 00
        << 05 01 00 03 0b 'example.com' 01bb
        >> 00 5a
        error VersionError 01
    """,
    "gone at once": """
        << 05 01 00
        end
        error TruncatedError 01
    """,
    "gone amid the choice": """
        << 05 01 00
        >> 05
        end
        error TruncatedError 01
    """,
    "gone amid the reply": """
        << 05 01 00
        >> 05 00 05 00 00 01 0000
        << 05 01 00 03 0b 'example.com' 01bb
        end
        error TruncatedError 01
    """,
}

LOGIN_PLAYS = {
    "asked for": """
        << 05 02 00 02
        >> 05 02
        << 01 04 'user' 04 'pass'
        >> 01 00
        << 05 01 00 03 0b 'example.com' 01bb
        >> 05 00 00 01 00000000 0000
        reply 0.0.0.0:0
    """,
    "not asked for": """
        << 05 02 00 02
        >> 05 00
        << 05 01 00 03 0b 'example.com' 01bb
    """,
    "accepted with version 5": """
        << 05 02 00 02
        >> 05 02
        << 01 04 'user' 04 'pass'
        >> 05 00
        << 05 01 00 03 0b 'example.com' 01bb
    """,
    "refused": """
        << 05 02 00 02
        >> 05 02
        << 01 04 'user' 04 'pass'
        >> 01 ff
        error AuthenticationError 02
    """,
    "gone instead of refused": """
        << 05 02 00 02
        >> 05 02
        << 01 04 'user' 04 'pass'
        >> 01
        end
        error TruncatedError 01
    """,
    "GSSAPI unasked": """
        << 05 02 00 02
        >> 05 01
        error ProtocolError 01
    """,
}

PLAYS = [
    pytest.param(login, play, id=name)
    for login, plays in (({}, OPEN_PLAYS), (LOGIN, LOGIN_PLAYS))
    for name, play in plays.items()
]


@pytest.mark.parametrize(("login", "play"), PLAYS)
def test_play(login: Any, play: str) -> None:
    perform(SocksClient(WEB, **login), play)


@pytest.mark.parametrize(("login", "play"), PLAYS)
def test_play_at_every_split(login: Any, play: str) -> None:
    data = input_of(play)
    whole = feed(SocksClient(WEB, **login), [data])
    for first in range(1, len(data)):
        assert feed(SocksClient(WEB, **login), cut(data, first)) == whole
    assert feed(SocksClient(WEB, **login), cut(data, *range(len(data)))) == whole


@pytest.mark.parametrize(
    "login",
    [
        {"username": b"user"},
        {"password": b"pass"},
        {"username": b"", "password": b"pass"},
        {"username": b"user", "password": b""},
        {"username": b"u" * 256, "password": b"pass"},
        {"username": b"user", "password": b"p" * 256},
    ],
)
def test_impossible_credentials(login: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        SocksClient(WEB, **login)
    assert "pass'" not in str(caught.value)
    assert "ppp" not in str(caught.value)


def test_longest_credentials() -> None:
    client = SocksClient(WEB, username=b"u" * 255, password=b"p" * 255)
    client.take_outgoing()
    client.receive(b"\x05\x02")
    assert client.take_outgoing() == b"\x01\xff" + b"u" * 255 + b"\xff" + b"p" * 255


def test_a_name_that_does_not_fit_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(AddressError):
        SocksClient(Address.of("a" * 256, 80))


def test_the_cause_is_readable() -> None:
    client = SocksClient(WEB)
    client.receive(b"\x05\x00")
    with pytest.raises(ReplyError, match="host unreachable") as caught:
        client.receive(b"\x05\x04")
    assert caught.value.reply == 4


def test_misuse_is_not_mistaken_for_the_server() -> None:
    client = SocksClient(WEB)
    with pytest.raises(VersionError):
        client.receive(b"\x04")
    with pytest.raises(RuntimeError):
        client.receive(b"\x05")
    with pytest.raises(RuntimeError):
        client.end_of_stream()


names = st.from_regex(r"[a-z][a-z0-9.-]{0,254}", fullmatch=True)
addresses = st.builds(Address.of, st.ip_addresses().map(str) | names, st.integers(0, 65535))
secrets = st.binary(min_size=1, max_size=255)


@given(addresses, addresses, st.none() | st.tuples(secrets, secrets), st.integers(1, 300))
def test_client_and_server_understand_each_other(
    target: Address, bound: Address, login: tuple[bytes, bytes] | None, step: int
) -> None:
    username, password = login or (None, None)
    client = SocksClient(target, username=username, password=password)
    server = SocksServer(checker(None if login is None else dict([login])))
    request = reply = None
    for _ in range(3):
        for piece in pieces(client.take_outgoing(), step):
            request = server.receive(piece)
        answer = server.take_outgoing() if request is None else server.connected(bound)
        for piece in pieces(answer, step):
            reply = client.receive(piece)
        if reply is not None:
            break
    assert request is not None
    assert request.address == target
    user = None if username is None else username.decode("utf-8", "surrogateescape")
    assert request.user == user
    assert reply == Reply(bound, b"")


def pieces(data: bytes, step: int) -> list[bytes]:
    return cut(data, *range(0, len(data), step))


def test_a_refused_login_is_understood() -> None:
    client = SocksClient(WEB, **LOGIN)
    outcome = feed(SocksServer(checker({b"user": b"other"})), [b"\x05\x01\x02\x01\x04user\x04pass"])
    assert feed(client, [outcome.outgoing]).event == "error AuthenticationError 02"


def test_a_refused_command_is_understood() -> None:
    client = SocksClient(WEB, command=BIND)
    server = SocksServer()
    server.receive(client.take_outgoing())
    client.receive(server.take_outgoing())
    outcome = feed(server, [client.take_outgoing()])
    assert feed(client, [outcome.outgoing]) == Outcome(b"", "error ReplyError 07")


@given(
    st.lists(
        st.binary(max_size=8)
        | st.sampled_from(
            [b"\x05\x00", b"\x05\x02\x01\x00", b"\x05\x00\x00\x01" + bytes(6), b"\x05\x00\x00\x03"]
        ),
        max_size=5,
    ).map(b"".join),
    st.booleans(),
    st.data(),
)
def test_any_bytes_at_any_split(data: bytes, login: bool, cuts: st.DataObject) -> None:
    credentials = LOGIN if login else {}
    points = cuts.draw(st.lists(st.integers(0, len(data)), max_size=8).map(sorted))
    in_parts = feed(SocksClient(WEB, **credentials), cut(data, *points))
    assert in_parts == feed(SocksClient(WEB, **credentials), [data])
