"""Malformed handshakes: each has the right answer, and its reason in the log, once."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from end_to_end.entrances import Entrance
from harness.deadline import DEADLINE
from harness.listener import SocketAddress
from harness.services import Implementation, Service, start_proxy
from harness.socks import Socks5Client
from harness.targets import ServingTarget, echo

REFUSED_4 = bytes.fromhex("005b000000000000")


class Row(NamedTuple):
    """A handshake, what it is answered, and what the log says of it."""

    sent: bytes
    answer: bytes
    reason: str


def after_greeting(request: str, code: int, reason: str) -> Row:
    answer = b"\5\0" + bytes((5, code, 0, 1)) + bytes(6)
    return Row(b"\5\1\0" + bytes.fromhex(request), answer, reason)


def four(request: str, reason: str) -> Row:
    return Row(bytes.fromhex(request), REFUSED_4, reason)


ROWS = {
    "no methods": Row(b"\5\0", b"\5\xff", "a greeting without methods"),
    "no acceptable method": Row(b"\5\2\1\x80", b"\5\xff", "does not offer method 0x00"),
    "method FF": Row(b"\5\1\xff", b"\5\xff", "does not offer method 0x00"),
    "request of version 4": after_greeting("04", 1, "version 0x04 instead of 0x05"),
    "credentials nobody asked for": after_greeting("0104", 1, "version 0x01 instead of 0x05"),
    "unknown command": after_greeting("05f000017f0000010050", 7, "command 0xf0 is not offered"),
    "unknown address type": after_greeting("05010005", 8, "unknown address type 0x05"),
    "empty name": after_greeting("05010003000050", 1, "the host name is empty"),
    "NUL in a name": after_greeting("0501000302610000 50", 1, "the host name contains NUL"),
    "neither": Row(b"\x16\3\1", b"", "byte 0x16 instead of socks5 or socks4 or http"),
    "SOCKS4, no address": four("04010050 00000000 00", "SOCKS4 names 0.0.0.0"),
    "SOCKS4, empty name": four("04010050 00000001 00 00", "the host name is empty"),
    "SOCKS4, unknown command": four("04090050 7f000001 00", "SOCKS4 command 0x09 is not offered"),
    "SOCKS4, endless user id": four("04010050 7f000001" + "61" * 256, "a user id of more than 255"),
    "SOCKS4, endless name": four("04010050 00000001 00" + "61" * 256, "a host name of more than"),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("bytewise", [False, True])
def test_malformed(proxy: Entrance, row: Row, bytewise: bool) -> None:
    with Socks5Client(proxy.address) as client:
        peer = SocketAddress(*client.connection.getsockname())
        proxy.socks.process.mark_start()
        (client.send_bytewise if bytewise else client.send)(row.sent)
        assert client.read_to_end() == row.answer
        proxy.socks.process.wait_for_line(f"{peer}.*{row.reason}")
        lines = [line for line in proxy.socks.process.lines_of_test if str(peer) in line]
        assert len(lines) == 1, lines


ODD = {
    "RSV not zero": b"\5\1\0\5\1\xff",
    "methods twice and unknown": b"\5\4\x80\0\0\7\5\1\0",
}


@pytest.mark.parametrize("start", ODD.values(), ids=ODD)
@pytest.mark.parametrize("literal", [False, True])
def test_odd_but_well(proxy: Entrance, start: bytes, literal: bool) -> None:
    """An IP address as a name is one, and data that comes early is kept."""
    with ServingTarget(echo) as target, Socks5Client(proxy.address) as client:
        host = b"\3\x09127.0.0.1" if literal else b"\1\x7f\0\0\1"
        client.send(start + host + struct.pack("!H", target.address.port) + b"early")
        assert client.read_choice() == 0
        assert client.read_reply().code == 0
        assert client.read(5) == b"early"


@pytest.fixture(scope="module")
def guarded(implementation: Implementation) -> Iterator[Service]:
    """A proxy for users with the longest names and passwords."""
    long = f"{'u' * 255}:{'p' * 255}"
    with start_proxy("--user", long, implementation=implementation) as service:
        yield service


@pytest.mark.parametrize(
    ("credentials", "answer"),
    [
        (b"\1\xff" + b"u" * 255 + b"\xff" + b"p" * 255, b"\1\0"),
        (b"\1\xff" + b"u" * 255 + b"\xff" + b"p" * 254 + b"q", b"\1\1"),
        (b"\1\0\0", b"\1\1"),
        (b"\5\1\0\1", b"\1\1"),
    ],
    ids=["longest", "one byte wrong", "empty", "version 5"],
)
@pytest.mark.parametrize("bytewise", [False, True])
def test_credentials(guarded: Service, credentials: bytes, answer: bytes, bytewise: bool) -> None:
    with Socks5Client(guarded.address) as client:
        client.send(b"\5\1\2")
        assert client.read(2) == b"\5\2"
        (client.send_bytewise if bytewise else client.send)(credentials)
        assert client.read(2) == answer
        if answer[1]:
            assert client.read_to_end() == b""


def test_bind_of_socks4(proxy: Entrance) -> None:
    with Socks5Client(proxy.address) as client:
        client.send(bytes.fromhex("04020000 7f000001 00"))
        first = client.read(8)
        assert first[:2] == b"\x00\x5a"
        assert first[4:] == socket.inet_aton("127.0.0.1")
        (port,) = struct.unpack("!H", first[2:4])
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as peer:
            own = peer.getsockname()[1]
            assert client.read(8) == b"\x00\x5a" + struct.pack("!H", own) + first[4:]
            peer.sendall(b"from the peer")
            assert client.read(13) == b"from the peer"
