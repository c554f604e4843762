"""Readers and builders of single messages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsocks.address import Address
from fastsocks.errors import AddressError, AddressTypeError, ProtocolError, VersionError
from fastsocks.socks import messages as builders
from socks_playbook import READERS

WEB = Address.of("example.com", 443)
LONGEST = Address.of("a" * 255, 80)

GOOD = {
    "one method": ("read_greeting", b"\x05\x01\x00", (b"\x00",)),
    "255 methods": ("read_greeting", b"\x05\xff" + bytes(range(255)), (bytes(range(255)),)),
    "choice": ("read_choice", b"\x05\x02", (2,)),
    "no choice": ("read_choice", b"\x05\xff", (255,)),
    "credentials": ("read_credentials", b"\x01\x04user\x02pw", (b"user", b"pw")),
    "empty password": ("read_credentials", b"\x01\x04user\x00", (b"user", b"")),
    "empty credentials": ("read_credentials", b"\x01\x00\x00", (b"", b"")),
    "longest credentials": (
        "read_credentials",
        b"\x01\xff" + b"u" * 255 + b"\xff" + b"p" * 255,
        (b"u" * 255, b"p" * 255),
    ),
    "credentials with NUL": ("read_credentials", b"\x01\x01\x00\x01\x00", (b"\0", b"\0")),
    "status": ("read_status", b"\x01\x00", (0,)),
    "status, version 5": ("read_status", b"\x05\x00", (0,)),
    "failure": ("read_status", b"\x01\xff", (255,)),
    "request": ("read_request", b"\x05\x01\x00" + WEB.wire, (1, WEB)),
    "request, RSV": ("read_request", b"\x05\x03\xff" + WEB.wire, (3, WEB)),
    "longest request": ("read_request", b"\x05\x01\x00" + LONGEST.wire, (1, LONGEST)),
    "reply": ("read_reply", b"\x05\x05\x00" + WEB.wire, (5, WEB)),
}

BAD = {
    "greeting of SOCKS4": ("read_greeting", b"\x04", VersionError),
    "greeting of HTTP": ("read_greeting", b"C", VersionError),
    "NMETHODS 0": ("read_greeting", b"\x05\x00", ProtocolError),
    "choice of SOCKS4": ("read_choice", b"\x00", VersionError),
    "credentials, version 5": ("read_credentials", b"\x05", VersionError),
    "request, version 1": ("read_request", b"\x01", VersionError),
    "request, ATYP 2": ("read_request", b"\x05\x01\x00\x02", AddressTypeError),
    "request, empty name": ("read_request", b"\x05\x01\x00\x03\x00\x00\x50", AddressError),
    "request, NUL": ("read_request", b"\x05\x01\x00\x03\x02a\x00\x00\x50", AddressError),
    "reply, version 4": ("read_reply", b"\x04", VersionError),
    "reply, ATYP 0": ("read_reply", b"\x05\x00\x00\x00", AddressTypeError),
}

good = pytest.mark.parametrize(("reader", "wire", "value"), GOOD.values(), ids=GOOD.keys())
bad = pytest.mark.parametrize(("reader", "wire", "error"), BAD.values(), ids=BAD.keys())


@good
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_read(messages: Any, kind: Any, reader: str, wire: bytes, value: tuple[Any, ...]) -> None:
    read = getattr(messages, reader)
    assert read(kind(wire)) == (*value, len(wire))
    assert read(kind(b"??" + wire + b"more"), 2) == (*value, 2 + len(wire))


@good
def test_incomplete(messages: Any, reader: str, wire: bytes, value: tuple[Any, ...]) -> None:
    read = getattr(messages, reader)
    for size in range(len(wire)):
        assert read(wire[:size]) is None
        assert read(wire + wire[:size], len(wire)) is None


@bad
def test_refuse(messages: Any, reader: str, wire: bytes, error: type[Exception]) -> None:
    read = getattr(messages, reader)
    for size in range(len(wire)):
        assert read(wire[:size]) is None
    for data in (wire, wire + b"more"):
        with pytest.raises(error) as caught:
            read(data)
        assert type(caught.value) is error


@pytest.mark.parametrize("reader", READERS)
def test_start(messages: Any, reader: str) -> None:
    read = getattr(messages, reader)
    assert read(b"\x05\x00", 2) is None
    assert read(b"\x05\x00", 3) is None
    with pytest.raises(ValueError, match="negative"):
        read(b"\x05\x00", -1)


def test_a_failure_releases_the_buffer(messages: Any) -> None:
    buffer = bytearray(b"\x04")
    with pytest.raises(VersionError):
        messages.read_greeting(buffer)
    buffer.clear()


# First bytes that lead somewhere, then lengths that may or may not fit.
wires = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda head, rest: head + rest,
        st.sampled_from([b"\x05", b"\x01", b"\x05\x01\x00\x01", b"\x05\x01\x00\x03", b"\x05\x00"]),
        st.binary(max_size=40),
    ),
    st.builds(
        lambda head, name, rest: head + bytes([len(name)]) + name + rest,
        st.sampled_from([b"\x05", b"\x01", b"\x05\x01\x00\x03", b"\x05\x00\x00\x03"]),
        st.binary(max_size=255),
        st.binary(max_size=8),
    ),
)


def outcome(read: Any, data: bytes, start: int) -> object:
    try:
        return read(data, start)
    except ProtocolError as error:
        return type(error), str(error)


@pytest.mark.parametrize("reader", READERS)
@given(wires, st.integers(0, 3))
def test_twins_agree(message_twins: tuple[Any, ...], reader: str, data: bytes, start: int) -> None:
    one, other = (getattr(twin, reader) for twin in message_twins)
    padded = bytes(start) + data
    assert outcome(one, padded, start) == outcome(other, padded, start)


addresses = st.builds(
    Address.of,
    st.ip_addresses().map(str) | st.from_regex(r"[a-z0-9.-]{1,255}", fullmatch=True),
    st.integers(0, 65535),
)
bytes_255 = st.binary(max_size=255)
octets = st.integers(0, 255)


@given(st.binary(min_size=1, max_size=255))
def test_greeting_reads_back(messages: Any, methods: bytes) -> None:
    wire = builders.build_greeting(methods)
    assert messages.read_greeting(wire) == (methods, len(wire))


@given(bytes_255, bytes_255)
def test_credentials_read_back(messages: Any, username: bytes, password: bytes) -> None:
    wire = builders.build_credentials(username, password)
    assert messages.read_credentials(wire) == (username, password, len(wire))


@given(octets, addresses)
def test_request_and_reply_read_back(messages: Any, code: int, address: Address) -> None:
    wire = builders.build_request(code, address)
    assert messages.read_request(wire) == (code, address, len(wire))
    wire = builders.build_reply(code, address)
    assert messages.read_reply(wire) == (code, address, len(wire))


@given(octets)
def test_choice_and_status_read_back(messages: Any, code: int) -> None:
    assert messages.read_choice(builders.build_choice(code)) == (code, 2)
    assert messages.read_status(builders.build_status(code)) == (code, 2)


def test_a_reply_without_an_address_has_10_bytes() -> None:
    assert builders.build_reply(4) == bytes.fromhex("05040001000000000000")


def test_builders_refuse_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="range"):
        builders.build_greeting(bytes(256))
    with pytest.raises(OverflowError):
        builders.build_credentials(b"u" * 256, b"p")
