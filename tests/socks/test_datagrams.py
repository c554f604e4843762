"""Datagrams of UDP ASSOCIATE, and their reassembly, on both twins of the reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastsocks.socks.datagrams
from fastsocks.address import Address
from fastsocks.errors import AddressError, AddressTypeError, ProtocolError, TruncatedError
from fastsocks.socks.datagrams import LARGEST_PAYLOAD, Reassembler, build_datagram
from twins import IMPLEMENTATIONS, import_twin

DNS = Address.of("192.0.2.1", 53)
WEB = Address.of("example.com", 443)
_VECTORS = Path(__file__).parent.parent / "vectors" / "socks5.json"

ERRORS = {
    "truncated address": TruncatedError,
    "unknown ATYP": AddressTypeError,
    "domain length past the end": TruncatedError,
}


@pytest.fixture(params=IMPLEMENTATIONS)
def read_datagram(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The Cython reader and the Python one in turn, also put into the reassembler."""
    twin = import_twin("fastsocks.socks", "_datagrams", request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fastsocks.socks.datagrams, "read_datagram", twin.read_datagram)
        yield twin.read_datagram


def vectors() -> list[Any]:
    messages = json.loads(_VECTORS.read_text())["messages"]
    found = [message for message in messages if message["group"] == "udp"]
    assert len(found) >= 10
    return found


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: str(vector["name"]))
def test_vectors(read_datagram: Any, vector: Any) -> None:
    data = bytes.fromhex(vector["hex"])
    if vector["name"] in ERRORS:
        assert vector["expect"] == "drop"
        with pytest.raises(ERRORS[vector["name"]]):
            read_datagram(data)
        return
    fragment, address, payload = read_datagram(data)
    assert fragment == vector.get("frag", 0)
    if "host" in vector:
        assert (address.host, address.port) == (vector["host"], vector["port"])
        assert payload.hex() == vector["payload_hex"]
    if "RSV" not in vector["name"]:
        assert build_datagram(address, payload, fragment) == data


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("size", [0, 1, 1400, LARGEST_PAYLOAD])
@pytest.mark.parametrize(
    "address", [DNS, WEB, Address.of("2001:db8::1", 1), Address.of("a" * 255, 65535)]
)
def test_round_trip(read_datagram: Any, address: Address, size: int, kind: Any) -> None:
    payload = bytes(size)
    datagram = build_datagram(address, kind(payload))
    assert len(datagram) == 3 + len(address.wire) + size
    assert read_datagram(kind(datagram)) == (0, address, payload)


@pytest.mark.parametrize("address", [DNS, WEB, Address.of("2001:db8::1", 1)])
def test_truncated_anywhere(read_datagram: Any, address: Address) -> None:
    datagram = build_datagram(address, b"")
    for size in range(len(datagram)):
        with pytest.raises(TruncatedError):
            read_datagram(datagram[:size])
    assert read_datagram(datagram) == (0, address, b"")


@pytest.mark.parametrize(
    ("header", "error"),
    [
        (b"\x00", AddressTypeError),
        (b"\x11" + bytes(20), AddressTypeError),
        (b"\x03\x00\x00\x35", AddressError),
        (b"\x03\x02a\x00\x00\x35", AddressError),
    ],
)
def test_bad_addresses(read_datagram: Any, header: bytes, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        read_datagram(bytes(3) + header)
    assert type(caught.value) is error


def outcome(read: Any, data: bytes) -> object:
    try:
        result: object = read(data)
    except ProtocolError as error:
        return type(error)
    return result


@given(
    head=st.binary(max_size=3),
    kind=st.sampled_from([b"", b"\x01", b"\x03", b"\x03\x04", b"\x04", b"\x00"]),
    rest=st.binary(max_size=40),
)
def test_the_twins_agree(head: bytes, kind: bytes, rest: bytes) -> None:
    cython, python = (
        import_twin("fastsocks.socks", "_datagrams", one).read_datagram for one in IMPLEMENTATIONS
    )
    data = head + kind + rest
    assert outcome(cython, data) == outcome(python, data)


def feed(
    made: Reassembler, *fragments: tuple[int, bytes], address: Address = DNS, now: float = 100.0
) -> list[bytes | None]:
    """Add fragments; returns what each completed, b"!" for an error."""
    found: list[bytes | None] = []
    for fragment, payload in fragments:
        try:
            whole = made.add(build_datagram(address, payload, fragment), now)
        except ProtocolError:
            found.append(b"!")
            continue
        assert whole is None or whole[0] == address
        found.append(whole and whole[1])
    return found


@pytest.mark.usefixtures("read_datagram")
class TestReassembler:
    def test_in_order(self) -> None:
        made = Reassembler()
        assert feed(made, (1, b"a"), (2, b"b"), (0x83, b"c")) == [None, None, b"abc"]
        assert not made.pending
        assert feed(made, (1, b"d"), (0x82, b"e")) == [None, b"de"]

    def test_a_single_fragment(self) -> None:
        assert feed(Reassembler(), (0x81, b"all")) == [b"all"]

    def test_empty_fragments(self) -> None:
        made = Reassembler()
        assert feed(made, (1, b"")) == [None]
        assert made.pending
        assert feed(made, (0x82, b"")) == [b""]

    def test_all_127(self) -> None:
        made = Reassembler()
        pieces = [(number, bytes((number,))) for number in range(1, 127)]
        assert feed(made, *pieces) == [None] * 126
        assert feed(made, (0xFF, b"\x7f")) == [bytes(range(1, 128))]

    def test_a_whole_datagram_passes_and_abandons(self) -> None:
        made = Reassembler()
        assert feed(made, (1, b"a"), (0, b"whole"), (0x82, b"b")) == [None, b"whole", b"!"]

    def test_a_lower_fragment_abandons(self) -> None:
        made = Reassembler()
        found = feed(made, (1, b"a"), (2, b"b"), (3, b"c"), (2, b"B"), (0x84, b"d"))
        assert found == [None, None, None, b"!", b"!"]
        assert not made.pending

    def test_the_first_fragment_begins_anew(self) -> None:
        found = feed(Reassembler(), (1, b"a"), (2, b"b"), (1, b"x"), (0x82, b"y"))
        assert found == [None, None, None, b"xy"]

    def test_duplicates_are_dropped(self) -> None:
        found = feed(Reassembler(), (1, b"a"), (1, b"a"), (2, b"b"), (2, b"b"), (0x83, b"c"))
        assert found == [None, None, None, b"!", b"abc"]

    def test_a_missing_fragment_abandons(self) -> None:
        made = Reassembler()
        assert feed(made, (1, b"a"), (3, b"c"), (0x84, b"d")) == [None, b"!", b"!"]
        assert not made.pending
        assert feed(made, (2, b"b"), (0x83, b"c"), (0xFF, b"")) == [b"!", b"!", b"!"]

    def test_position_0_is_none(self) -> None:
        made = Reassembler()
        assert feed(made, (0x80, b"a")) == [b"!"]
        assert feed(made, (1, b"a"), (0x80, b"b"), (0x82, b"c")) == [None, b"!", b"!"]

    def test_another_address_abandons(self) -> None:
        made = Reassembler()
        assert feed(made, (1, b"a")) == [None]
        assert feed(made, (0x82, b"b"), address=WEB) == [b"!"]
        assert feed(made, (0x82, b"b")) == [b"!"]

    def test_a_malformed_datagram_leaves_the_queue(self) -> None:
        made = Reassembler()
        assert feed(made, (1, b"a")) == [None]
        with pytest.raises(TruncatedError):
            made.add(b"\0\0\x02\x01", 100.0)
        assert feed(made, (0x82, b"b")) == [b"ab"]

    def test_the_timer(self) -> None:
        made = Reassembler()
        assert feed(made, (1, b"a"), now=100.0) == [None]
        assert feed(made, (2, b"b"), now=104.9) == [None]
        assert not made.expire(104.9)
        # It runs from the first fragment on.
        assert feed(made, (0x83, b"c"), now=105.0) == [b"!"]
        assert feed(made, (1, b"a"), now=200.0) == [None]
        assert made.expire(205.0)
        assert (made.pending, len(made)) == (False, 0)
        assert not made.expire(1000.0)

    def test_bytes_are_bounded(self) -> None:
        made = Reassembler(limit=10)
        assert feed(made, (1, bytes(6)), (2, bytes(4))) == [None, None]
        assert len(made) == 10
        assert feed(made, (0x83, b"x")) == [b"!"]
        assert (made.pending, len(made)) == (False, 0)
        assert feed(made, (0x81, bytes(11)), (0x81, bytes(10))) == [b"!", bytes(10)]

    def test_the_largest_datagram(self) -> None:
        made = Reassembler()
        half = bytes(LARGEST_PAYLOAD // 2)
        assert feed(made, (1, half), (0x82, half + b"x")) == [None, bytes(65_506) + b"x"]
        assert feed(made, (1, half), (0x82, half + b"xy")) == [None, b"!"]

    def test_the_timer_is_not_too_short(self) -> None:
        with pytest.raises(ValueError, match="5 seconds"):
            Reassembler(4.9)


@given(st.binary(max_size=40) | st.builds(lambda rest: bytes(3) + rest, st.binary(max_size=30)))
def test_both_twins_say_the_same(data: bytes) -> None:
    told: list[object] = []
    for implementation in IMPLEMENTATIONS:
        twin = import_twin("fastsocks.socks", "_datagrams", implementation)
        try:
            told.append(twin.read_datagram(data))
        except ProtocolError as error:
            told.append((type(error), str(error)))
    assert told[0] == told[1]
