"""PROXY headers: read at every split, compared with those of others, built and read again."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from socket import SOCK_STREAM
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proxyprotocol.result import ProxyResultIPv4, ProxyResultIPv6
from proxyprotocol.tlv import ProxyProtocolTLV
from proxyprotocol.v1 import ProxyProtocolV1
from proxyprotocol.v2 import ProxyProtocolV2

from fastsocks.address import Address
from fastsocks.errors import ProtocolError, ProxyHeaderError
from fastsocks.proxy_protocol import (
    LOCAL_HEADER,
    LONGEST_HEADER,
    LONGEST_LINE,
    ProxyHeader,
    build_header,
    read_header,
)

VECTORS = Path(__file__).parent.parent / "vectors"
RECORDED = json.loads((VECTORS / "proxy_protocol.json").read_text(encoding="utf-8"))["recorded"]
WRITTEN = [
    one
    for one in json.loads((VECTORS / "socks5.json").read_text(encoding="utf-8"))["messages"]
    if one["group"] == "proxy-protocol"
]
SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
NOBODY = ProxyHeader(None, None)
FOUR = Address.of("192.0.2.1", 56324)
SIX = Address.of("2001:db8::2", 443)

ports = st.integers(0, 0xFFFF)
ips_4 = st.binary(min_size=4, max_size=4).map(IPv4Address)
ips_6 = st.binary(min_size=16, max_size=16).map(IPv6Address)
addresses = st.builds(Address.of, (ips_4 | ips_6).map(str), ports)


def binary(command: int, kind: int, block: bytes) -> bytes:
    return SIGNATURE + bytes((command, kind)) + len(block).to_bytes(2, "big") + block


def read_by_steps(data: bytes) -> tuple[ProxyHeader, int] | None:
    """Read what has come after each byte, up to the first time that tells more than None."""
    for end in range(len(data) + 1):
        found = read_header(data[:end])
        if found is not None:
            assert found[1] == end
            return found
    return None


@pytest.mark.parametrize("one", [pytest.param(one, id=one["sender"]) for one in RECORDED])
def test_header_of_others(one: Any) -> None:
    data = bytes.fromhex(one["hex"])
    found = read_by_steps(data)
    assert found == read_header(data + b"\x05\x01\0") == (found and found[0], len(data))
    assert [end and str(end) for end in found[0]] == [one["source"], one["destination"]]


@pytest.mark.parametrize("one", [pytest.param(one, id=one["name"]) for one in WRITTEN])
def test_vector(one: Any) -> None:
    data = bytes.fromhex(one["hex"])
    if "reject" in one["expect"]:
        with pytest.raises(ProxyHeaderError):
            read_header(data)
        with pytest.raises(ProxyHeaderError):
            read_by_steps(data)
        return
    found = read_by_steps(data)
    assert found is not None
    assert found[1] == len(data)
    assert (found[0] == NOBODY) == ("LOCAL" in one["name"] or "UNKNOWN" in one["name"])


@pytest.mark.parametrize(
    "line",
    [
        "PROXY  TCP4 1.2.3.4 1.2.3.5 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.5 1  2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.5 1 2 \r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.5 1\r\n",
        "PROXY TCP4\t1.2.3.4 1.2.3.5 1 2\r\n",
        "PROXY tcp4 1.2.3.4 1.2.3.5 1 2\r\n",
        "PROXY UDP4 1.2.3.4 1.2.3.5 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY \r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.5 1 2\n",
        "PROXY TCP4 1.2.3.4 1.2.3.5 1 2\r\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.5 65536 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.5 1 02\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.5 +1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.5 1 -2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.5 1_0 2\r\n",
        "PROXY TCP4 1.2.3.04 1.2.3.5 1 2\r\n",
        "PROXY TCP4 1.2.3 1.2.3.5 1 2\r\n",
        "PROXY TCP4 1.2.3.256 1.2.3.5 1 2\r\n",
        "PROXY TCP4 ::1 1.2.3.5 1 2\r\n",
        "PROXY TCP6 1.2.3.4 ::1 1 2\r\n",
        "PROXY TCP6 [::1] ::1 1 2\r\n",
        "PROXY TCP6 ::1%lo ::1 1 2\r\n",
        "PROXY TCP6 ::1\0 ::1 1 2\r\n",
        "PROXY TCP6 ::\xe9 ::1 1 2\r\n",
        "PROXY TCP6 example.com ::1 1 2\r\n",
    ],
)
def test_malformed_line(line: str) -> None:
    with pytest.raises(ProxyHeaderError, match="malformed PROXY header"):
        read_header(line.encode("latin-1"))


@pytest.mark.parametrize(
    ("command", "kind", "size"),
    [
        (0x31, 0x11, 12),
        (0x22, 0x11, 12),
        (0x21, 0x11, 11),
        (0x21, 0x12, 11),
        (0x21, 0x21, 35),
        (0x21, 0x22, 12),
        (0x21, 0x31, 215),
        (0x21, 0x10, 11),
        (0x21, 0x13, 12),
        (0x21, 0x41, 216),
    ],
)
def test_malformed_header(command: int, kind: int, size: int) -> None:
    data = binary(command, kind, bytes(size))
    for end in (16, len(data)):
        with pytest.raises(ProxyHeaderError, match="malformed PROXY header"):
            read_header(data[:end])


@pytest.mark.parametrize(
    ("command", "kind", "size"),
    [
        (0x20, 0x00, 0),
        (0x20, 0x11, 3),
        (0x20, 0xFF, 12),
        (0x21, 0x00, 0),
        (0x21, 0x00, 50),
        (0x21, 0x01, 0),
        (0x21, 0x10, 12),
        (0x21, 0x12, 12),
        (0x21, 0x22, 40),
        (0x21, 0x31, 216),
        (0x21, 0x32, 300),
    ],
)
def test_header_that_names_no_client(command: int, kind: int, size: int) -> None:
    data = binary(command, kind, b"\x01" * size)
    assert read_by_steps(data) == (NOBODY, len(data))


@pytest.mark.parametrize("rest", ["", " ", " ffff:: x", " \r \xff\0", " " + 91 * "f"])
def test_unknown_is_all_that_is_read_of_an_unknown_line(rest: str) -> None:
    line = f"PROXY UNKNOWN{rest}\r\n".encode("latin-1")
    assert len(line) <= LONGEST_LINE
    assert read_by_steps(line) == (NOBODY, len(line))


@pytest.mark.parametrize(
    "data",
    [b"\x05\x01\0", b"GET / HTTP/1.1\r\n", b"PROXYTCP4", b"proxy ", b"\r\n\r\n\r\n", b"\0" * 32],
)
def test_missing_header_is_told_at_once(data: bytes) -> None:
    starts = (b"PROXY ", SIGNATURE)
    first = next(end for end in range(17) if not any(one.startswith(data[:end]) for one in starts))
    assert read_header(data[: first - 1]) is None
    for end in (first, len(data)):
        with pytest.raises(ProxyHeaderError, match="have the proxy in front send one"):
            read_header(data[:end])


def test_a_line_has_107_bytes_at_most() -> None:
    longest = b"PROXY UNKNOWN ".ljust(LONGEST_LINE - 2, b"f") + b"\r\n"
    assert read_header(longest) == (NOBODY, 107)
    with pytest.raises(ProxyHeaderError, match="107"):
        read_header(b"PROXY UNKNOWN ".ljust(LONGEST_LINE - 1, b"f") + b"\r\n")
    # CR could still be followed by LF, but beyond the limit.
    with pytest.raises(ProxyHeaderError, match="107"):
        read_header(b"PROXY UNKNOWN ".ljust(LONGEST_LINE - 1, b"f") + b"\r")


@pytest.mark.parametrize("command", [0x20, 0x21])
def test_a_header_has_4096_bytes_at_most(command: int) -> None:
    block = FOUR.wire[1:-2] * 2 + bytes(4)
    longest = binary(command, 0x11, block.ljust(LONGEST_HEADER - 16, b"\x04"))
    assert read_header(longest[:-1]) is None
    found = read_header(longest + b"more")
    assert found is not None
    assert found[1] == LONGEST_HEADER == 4096
    with pytest.raises(ProxyHeaderError, match="fewer TLVs"):
        read_header(binary(command, 0x11, block.ljust(LONGEST_HEADER - 15, b"\x04"))[:16])


@pytest.mark.parametrize("text", ["::ffff:192.0.2.1", "::ffff:c000:201"])
def test_mapped_address_is_of_ipv4(text: str) -> None:
    mapped, other = IPv6Address(text).packed, IPv6Address("2001:db8::2").packed
    header = ProxyHeader(FOUR, SIX)
    block = mapped + other + FOUR.wire[-2:] + SIX.wire[-2:]
    assert read_header(binary(0x21, 0x21, block)) == (header, 52)
    assert build_header(FOUR, SIX) == binary(0x21, 0x21, block)
    found = read_header(f"PROXY TCP6 {text} 2001:db8::2 56324 443\r\n".encode())
    assert found is not None
    assert found[0] == header


def test_local_header() -> None:
    assert read_by_steps(LOCAL_HEADER) == (NOBODY, 16)
    assert not ProxyProtocolV2().unpack(LOCAL_HEADER).proxied


def test_names_cannot_be_sent() -> None:
    name = Address.of("example.com", 443)
    for ends in ((FOUR, name), (name, FOUR)):
        with pytest.raises(ValueError, match="resolve"):
            build_header(*ends)


def test_a_user_that_does_not_fit_is_refused() -> None:
    size = LONGEST_HEADER - 28 - 3
    assert len(build_header(FOUR, FOUR, "u" * size)) == LONGEST_HEADER
    with pytest.raises(ProxyHeaderError, match="shorter"):
        build_header(FOUR, FOUR, "u" * (size + 1))


@given(addresses, addresses, st.none() | st.text(max_size=40), st.binary(max_size=40))
def test_what_is_built_is_read_again(
    source: Address, destination: Address, user: str | None, payload: bytes
) -> None:
    data = build_header(source, destination, user)
    found = (ProxyHeader(source, destination), len(data))
    assert read_by_steps(data) == found
    assert read_header(data + payload) == found


@given(addresses, addresses, st.none() | st.text(max_size=40))
def test_what_is_built_is_read_by_another(
    source: Address, destination: Address, user: str | None
) -> None:
    result = ProxyProtocolV2().unpack(build_header(source, destination, user))
    assert result.proxied
    assert of_another(result) == ProxyHeader(source, destination)
    assert result.tlv.get(0xE0) == (None if user is None else user.encode())


ends_4 = st.tuples(ips_4, ports)
ends_6 = st.tuples(ips_6, ports)


@given(
    st.builds(ProxyResultIPv4, ends_4, ends_4) | st.builds(ProxyResultIPv6, ends_6, ends_6),
    st.binary(max_size=40),
)
def test_what_another_builds_is_read(result: Any, payload: bytes) -> None:
    line = ProxyProtocolV1().pack(result)
    assert read_header(line + payload) == (of_another(result), len(line))
    kind = type(result)
    tlv = ProxyProtocolTLV(unique_id=b"id", authority="example.com")
    data = ProxyProtocolV2().pack(kind(result.source, result.dest, protocol=SOCK_STREAM, tlv=tlv))
    assert read_header(data + payload) == (of_another(result), len(data))


def of_another(result: Any) -> ProxyHeader:
    return ProxyHeader(*(Address.of(str(ip), port) for ip, port in (result.source, result.dest)))


headers = st.sampled_from([bytes.fromhex(one["hex"]) for one in (*RECORDED, *WRITTEN)]) | st.builds(
    build_header, addresses, addresses, st.none() | st.text(max_size=8)
)


@given(headers, st.data())
def test_any_change_is_read_or_refused_in_the_same_way_at_every_split(
    header: bytes, chosen: st.DataObject
) -> None:
    data = bytearray(header + b"payload")
    for _ in range(chosen.draw(st.integers(0, 3))):
        at = chosen.draw(st.integers(0, len(data) - 1))
        data[at : at + chosen.draw(st.integers(0, 2))] = chosen.draw(st.binary(max_size=2))
    at_once: Any
    by_steps: Any
    try:
        at_once = read_header(bytes(data))
    except ProtocolError as error:
        at_once = str(error)
    try:
        by_steps = read_by_steps(bytes(data))
    except ProtocolError as error:
        by_steps = str(error)
    assert by_steps == at_once
