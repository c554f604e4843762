"""Reading ATYP ADDR PORT, on both twins."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastsocks.address import Address
from fastsocks.errors import AddressError, AddressTypeError
from twins import IMPLEMENTATIONS, import_twin

V6 = bytes.fromhex("20010db8000000000000000000000001")
MAPPED = bytes.fromhex("00000000000000000000ffffc0000201")

GOOD = {
    "IPv4": (b"\x01\xc0\x00\x02\x01\x00\x50", "192.0.2.1", 80),
    "IPv6": (b"\x04" + V6 + b"\x01\xbb", "2001:db8::1", 443),
    "IPv4-mapped": (b"\x04" + MAPPED + b"\x00\x50", "192.0.2.1", 80),
    "name": (b"\x03\x0bexample.com\x01\xbb", "example.com", 443),
    "one byte": (b"\x03\x01a\x01\xbb", "a", 443),
    "255 bytes": (b"\x03\xff" + b"a" * 255 + b"\x00\x50", "a" * 255, 80),
    "trailing dot": (b"\x03\x0cexample.com.\x01\xbb", "example.com.", 443),
    "UTF-8": (b"\x03\x0bj\xc3\xb6.example\x00\x50", "jö.example", 80),
    "not UTF-8": (b"\x03\x02\xff\xfe\x00\x50", "\udcff\udcfe", 80),
    "IPv4 in a name": (b"\x03\x09192.0.2.1\x00\x50", "192.0.2.1", 80),
    "IPv6 in a name": (b"\x03\x0b2001:db8::1\x00\x50", "2001:db8::1", 80),
    "bracketed IPv6 in a name": (b"\x03\x0d[2001:db8::1]\x00\x50", "2001:db8::1", 80),
    "IPv4-mapped in a name": (b"\x03\x10::ffff:192.0.2.1\x00\x50", "192.0.2.1", 80),
    "ends in a digit": (b"\x03\x02a1\x00\x50", "a1", 80),
    "port 0": (b"\x01\xc0\x00\x02\x01\x00\x00", "192.0.2.1", 0),
    "port 58 is a colon": (b"\x03\x01a\x00:", "a", 58),
}

BAD = {
    "ATYP 0": (b"\x00", AddressTypeError),
    "ATYP 2": (b"\x02", AddressTypeError),
    "ATYP 5": (b"\x05", AddressTypeError),
    "ATYP 255": (b"\xff", AddressTypeError),
    "one-time authentication": (b"\x11\xc0\x00\x02\x01\x00\x50", AddressTypeError),
    "empty name": (b"\x03\x00\x00\x50", AddressError),
    "NUL first": (b"\x03\x02\x00a\x00\x50", AddressError),
    "NUL last": (b"\x03\x02a\x00\x00\x50", AddressError),
    "NUL behind a literal": (b"\x03\x0a192.0.2.1\x00\x00\x50", AddressError),
}


@pytest.fixture(scope="module", params=IMPLEMENTATIONS)
def header(request: pytest.FixtureRequest) -> Any:
    """The Cython module and the Python one in turn."""
    return import_twin("fastsocks.address", "_header", request.param)


@pytest.fixture(scope="module")
def header_twins() -> tuple[Any, ...]:
    """Both at once, for tests that compare them."""
    return tuple(import_twin("fastsocks.address", "_header", one) for one in IMPLEMENTATIONS)


good = pytest.mark.parametrize(("wire", "host", "port"), GOOD.values(), ids=GOOD.keys())
bad = pytest.mark.parametrize(("wire", "error"), BAD.values(), ids=BAD.keys())


@good
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_read(header: Any, kind: Any, wire: bytes, host: str, port: int) -> None:
    address, end = header.read_address(kind(b"??" + wire + b"early"), 2)
    assert end == 2 + len(wire)
    assert (address.host, address.port) == (host, port)
    assert address == Address.of(host, port)
    assert type(address.wire) is bytes


@good
def test_incomplete(header: Any, wire: bytes, host: str, port: int) -> None:
    for size in range(len(wire)):
        assert header.read_address(wire[:size]) is None
        # Neither does anything before `start` count.
        assert header.read_address(wire + wire[:size], len(wire)) is None


@bad
def test_refuse(header: Any, wire: bytes, error: type[Exception]) -> None:
    # Not before the whole header is there: closing over unread bytes resets the
    # connection, and with it goes the reply.
    for size in range(len(wire) if error is AddressError else 1):
        assert header.read_address(wire[:size]) is None
    for data in (wire, wire + b"more"):
        with pytest.raises(error) as caught:
            header.read_address(data)
        assert type(caught.value) is error


def test_start(header: Any) -> None:
    wire = GOOD["IPv4"][0]
    assert header.read_address(wire, 7) is None
    assert header.read_address(wire, 8) is None
    with pytest.raises(ValueError, match="negative"):
        header.read_address(wire, -1)


def test_the_address_outlives_its_buffer(header: Any) -> None:
    buffer = bytearray(GOOD["name"][0])
    address, _ = header.read_address(buffer)
    buffer[:] = bytes(len(buffer))
    buffer.clear()  # no view of it is left open
    assert address.host == "example.com"


def test_a_failure_releases_the_buffer(header: Any) -> None:
    buffer = bytearray(b"\x02")
    with pytest.raises(AddressTypeError):
        header.read_address(buffer)
    buffer.clear()


# Mostly headers: arbitrary bytes alone seldom get past ATYP.
names = st.binary(max_size=255) | st.ip_addresses().map(lambda ip: str(ip).encode())
headers = st.one_of(
    st.builds(lambda a, p: b"\x01" + a + p, st.binary(max_size=4), st.binary(max_size=2)),
    st.builds(
        lambda n, p: b"\x03" + bytes([len(n)]) + n + p,
        names | names.map(lambda n: (b"[" + n + b"]")[:255]),
        st.binary(max_size=3),
    ),
    st.builds(lambda a, p: b"\x04" + a + p, st.binary(max_size=16), st.binary(max_size=2)),
    st.binary(max_size=300),
)


def outcome(module: Any, data: bytes, start: int) -> object:
    try:
        found = module.read_address(data, start)
    except AddressError as error:
        return type(error), str(error)
    return found and (found[0].wire, found[1])


@given(headers, st.integers(0, 4))
@example(b"\x04" + MAPPED + b"\x00\x50", 0)
def test_twins_agree(header_twins: tuple[Any, ...], data: bytes, start: int) -> None:
    one, other = header_twins
    padded = bytes(start) + data
    assert outcome(one, padded, start) == outcome(other, padded, start)


@given(headers)
def test_what_is_read_reads_back(header: Any, data: bytes) -> None:
    try:
        found = header.read_address(data)
    except AddressError:
        return
    if found is None:
        return
    address, end = found
    assert end <= len(data)
    assert header.read_address(address.wire) == (address, len(address.wire))
    assert Address.of(address.host, address.port) == address
    if address.is_name:
        assert address.wire == data[:end]
