"""Address: text in and out, one form for equal targets, over both twins of what it holds."""

from __future__ import annotations

import importlib.util
import pickle
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastsocks.implementation
from fastsocks.address import Address, _address
from fastsocks.errors import AddressError, AddressTypeError, ProtocolError
from twins import IMPLEMENTATIONS, import_twin


@pytest.fixture(scope="module", autouse=True, params=IMPLEMENTATIONS)
def either_twin(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have the tests of this module use the class Address over each twin in turn."""
    twin = import_twin("fastsocks.address", "_fields", request.param)
    spec = importlib.util.spec_from_file_location(_address.__name__, _address.__file__)
    assert spec is not None
    assert spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fastsocks.implementation, "IMPLEMENTATION", request.param)
        spec.loader.exec_module(copy)
        assert issubclass(copy.Address, twin.Fields)
        patch.setattr(sys.modules[__name__], "Address", copy.Address)
        patch.setitem(sys.modules, _address.__name__, copy)
        yield


V6 = bytes.fromhex("20010db8000000000000000000000001")


@pytest.mark.parametrize(
    ("host", "port", "wire", "text"),
    [
        ("192.0.2.1", 80, b"\x01\xc0\x00\x02\x01\x00\x50", "192.0.2.1:80"),
        ("2001:db8::1", 443, b"\x04" + V6 + b"\x01\xbb", "[2001:db8::1]:443"),
        ("[2001:DB8::1]", 443, b"\x04" + V6 + b"\x01\xbb", "[2001:db8::1]:443"),
        ("::ffff:192.0.2.1", 1, b"\x01\xc0\x00\x02\x01\x00\x01", "192.0.2.1:1"),
        ("[::ffff:c000:201]", 1, b"\x01\xc0\x00\x02\x01\x00\x01", "192.0.2.1:1"),
        ("example.com", 65535, b"\x03\x0bexample.com\xff\xff", "example.com:65535"),
        ("Example.COM.", 0, b"\x03\x0cExample.COM.\x00\x00", "Example.COM.:0"),
        ("jö.example", 1, b"\x03\x0bj\xc3\xb6.example\x00\x01", "jö.example:1"),
        # What only looks like a literal stays a name, as it came.
        ("192.0.2", 1, b"\x03\x07192.0.2\x00\x01", "192.0.2:1"),
        ("192.0.02.1", 1, b"\x03\x0a192.0.02.1\x00\x01", "192.0.02.1:1"),
        ("192.0.2.256", 1, b"\x03\x0b192.0.2.256\x00\x01", "192.0.2.256:1"),
        ("192.0.2.1.", 1, b"\x03\x0a192.0.2.1.\x00\x01", "192.0.2.1.:1"),
        ("[192.0.2.1]", 1, b"\x03\x0b[192.0.2.1]\x00\x01", "[192.0.2.1]:1"),
        ("2001:db8::1]", 1, b"\x03\x0c2001:db8::1]\x00\x01", "2001:db8::1]:1"),
        ("fe80::1%eth0", 1, b"\x03\x0cfe80::1%eth0\x00\x01", "fe80::1%eth0:1"),
        ("::٣", 1, b"\x03\x04::\xd9\xa3\x00\x01", "::٣:1"),
        (":", 1, b"\x03\x01:\x00\x01", "::1"),
        ("[]", 1, b"\x03\x02[]\x00\x01", "[]:1"),
        ("[:]", 1, b"\x03\x03[:]\x00\x01", "[:]:1"),
    ],
)
def test_of(host: str, port: int, wire: bytes, text: str) -> None:
    address = Address.of(host, port)
    assert address.wire == wire
    assert str(address) == text
    assert address.port == port
    assert address.is_name == (wire[0] == 3)
    assert (address.ip is None) == address.is_name


def test_ip_is_typed_and_unmapped() -> None:
    assert Address.of("::ffff:192.0.2.1", 1).ip == IPv4Address("192.0.2.1")
    assert Address.of("2001:db8::1", 1).ip == IPv6Address("2001:db8::1")


@pytest.mark.parametrize(
    ("host", "port"),
    [(b"a.example", 80), (None, 80), ("a.example", "80"), ("a.example", None), ("a.example", True)],
)
def test_of_refuses_other_types(host: Any, port: Any) -> None:
    with pytest.raises(AddressError, match=type(port).__name__):
        Address.of(host, port)


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("", 1),
        ("a\0b", 1),
        ("a" * 256, 1),
        ("ö" * 128, 1),
        ("\ud800", 1),
        ("example.com", -1),
        ("example.com", 65536),
    ],
)
def test_of_refuses(host: str, port: int) -> None:
    with pytest.raises(AddressError):
        Address.of(host, port)


def test_longest_name() -> None:
    assert len(Address.of("a" * 255, 1).wire) == 259


def test_errors_are_protocol_errors_with_replies() -> None:
    assert issubclass(AddressError, ProtocolError)
    assert AddressError.reply == 1
    assert AddressTypeError.reply == 8


def test_equal_targets_are_equal() -> None:
    a, b = Address.of("192.0.2.1", 80), Address.of("::ffff:192.0.2.1", 80)
    assert a == b
    assert len({a, b}) == 1
    assert a != Address.of("192.0.2.1", 81)
    assert Address.of("a.example", 1) != Address.of("A.example", 1)
    assert a != a.wire


@pytest.mark.parametrize("name", ["wire", "host", "port", "ip", "is_name", "other"])
def test_immutable(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(Address.of("192.0.2.1", 80), name, 1)


def test_survives_pickling() -> None:
    address = Address.of("192.0.2.1", 80)
    assert address.ip is not None
    assert pickle.loads(pickle.dumps(address)) == address  # noqa: S301


def test_a_name_cannot_forge_log_lines() -> None:
    address = Address.of("a\n\x1b[31m\udcff.example", 80)
    assert str(address) == r"a\n\x1b[31m\udcff.example:80"
    assert repr(address) == r"<Address a\n\x1b[31m\udcff.example:80>"


@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1),
    st.integers(0, 65535),
)
def test_any_text_goes_through(host: str, port: int) -> None:
    if len(host.encode()) > 255:
        host = host[:63]
    address = Address.of(host, port)
    assert address.port == port
    if address.is_name:
        assert address.host == host
    assert Address.of(address.host, port) == address


@given(st.ip_addresses(), st.integers(0, 65535))
def test_any_ip_goes_through(ip: IPv4Address | IPv6Address, port: int) -> None:
    address = Address.of(str(ip), port)
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    assert address.ip == (mapped or ip)
    assert address.host == str(mapped or ip)
