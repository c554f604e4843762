"""What a request to a Shadowsocks server holds: records, headers and addresses, good and bad."""

from __future__ import annotations

from typing import Any

import pytest

from fastsocks.address import Address
from fastsocks.errors import AddressError, AddressTypeError, HeaderError, ProtocolError
from forged_requests import sealed, sealed_2022
from shadowsocks_ends import AEAD, AEAD_2022, STREAM, halves, new_client, new_server, serve

TARGET = Address.of("127.0.0.1", 18080)
NAME = Address.of("example.com", 443)


@pytest.mark.parametrize("method", AEAD)
def test_address_in_pieces(shadowsocks: Any, method: str) -> None:
    text = NAME.wire + b"payload"
    for sizes in ([1] * len(text), [4, len(text) - 4], [len(NAME.wire), 7], [len(NAME.wire)]):
        parts, start = [], 0
        for size in sizes:
            parts.append(text[start : start + size])
            start += size
        for wire in (
            sealed(shadowsocks, method, parts),
            sealed(shadowsocks, method, [b"", *parts, b""]),
        ):
            for pieces in ((wire,), [wire[i : i + 1] for i in range(len(wire))]):
                server = new_server(shadowsocks, method)
                request, received = serve(server, pieces)
                assert request is not None
                assert request.address == NAME
                assert received == text[len(NAME.wire) : start]


@pytest.mark.parametrize("method", AEAD)
def test_empty_records(shadowsocks: Any, method: str) -> None:
    request, _ = serve(
        new_server(shadowsocks, method), [sealed(shadowsocks, method, [b""] * 16 + [TARGET.wire])]
    )
    assert request is not None
    with pytest.raises(HeaderError, match="empty"):
        serve(new_server(shadowsocks, method), [sealed(shadowsocks, method, [b""] * 17)])
    # Counted over the whole connection, before the request and after.
    server = new_server(shadowsocks, method)
    wire = sealed(shadowsocks, method, [b""] * 8 + [TARGET.wire] + [b""] * 8 + [b"last", b""])
    end = len(wire) - 34
    assert serve(server, [wire[:end]])[1] == b"last"
    with pytest.raises(HeaderError, match="empty"):
        server.open(wire[end:])


@pytest.mark.parametrize("method", AEAD_2022)
def test_no_empty_records_2022(shadowsocks: Any, method: str) -> None:
    for records in ([b""], [b"one", b""]):
        wire = sealed_2022(shadowsocks, method, TARGET.wire + b"\0\0x", records=records)
        with pytest.raises(HeaderError, match="empty"):
            new_server(shadowsocks, method).receive(wire)


@pytest.mark.parametrize("method", AEAD_2022)
def test_a_long_variable_header_byte_by_byte(shadowsocks: Any, method: str) -> None:
    """A header of 64 KB may take as many reads, which must not cost the square of that."""
    payload = bytes(range(256)) * 250
    wire = sealed_2022(shadowsocks, method, TARGET.wire + b"\0\0" + payload, records=[b"more"])
    server = new_server(shadowsocks, method)
    pieces = [wire[:200], *(wire[i : i + 1] for i in range(200, len(wire)))]
    request, received = serve(server, pieces)
    assert request is not None
    assert request.address == TARGET
    assert received == payload + b"more"


BAD_VARIABLE_HEADERS: dict[str, tuple[bytes, type[ProtocolError]]] = {
    "empty": (b"", HeaderError),
    "ATYP alone": (b"\1", HeaderError),
    "address past the end": (TARGET.wire[:-1], HeaderError),
    "name past the end": (b"\3\xff" + b"a" * 200, HeaderError),
    "no padding length": (TARGET.wire, HeaderError),
    "half a padding length": (TARGET.wire + b"\0", HeaderError),
    "neither payload nor padding": (TARGET.wire + b"\0\0", HeaderError),
    "padding past the end": (TARGET.wire + b"\0\5" + bytes(4), HeaderError),
    "all the padding there can be": (TARGET.wire + b"\xff\xff", HeaderError),
    "ATYP 0": (b"\0" + TARGET.wire[1:] + b"\0\0x", AddressTypeError),
    "ATYP of OTA": (b"\x11" + TARGET.wire[1:] + b"\0\0x", AddressTypeError),
    "empty name": (b"\3\0\0\x50\0\0x", AddressError),
    "NUL in a name": (b"\3\2a\0\0\x50\0\0x", AddressError),
}


@pytest.mark.parametrize("method", AEAD_2022)
@pytest.mark.parametrize("name", BAD_VARIABLE_HEADERS)
def test_bad_variable_header(shadowsocks: Any, method: str, name: str) -> None:
    variable, error = BAD_VARIABLE_HEADERS[name]
    # What follows in records cannot complete it.
    wire = sealed_2022(shadowsocks, method, variable, records=[b"\0\0payload"])
    for pieces in halves(wire):
        server = new_server(shadowsocks, method, strict=False)
        with pytest.raises(error) as caught:
            serve(server, pieces)
        assert type(caught.value) is error


@pytest.mark.parametrize("method", AEAD_2022)
def test_odd_but_good_variable_headers(shadowsocks: Any, method: str) -> None:
    most = 0xFFFF - len(NAME.wire) - 2
    for padding, payload in ((0, 1), (901, 0), (901, 5), (most, 0), (0, most), (1, most - 1)):
        variable = NAME.wire + padding.to_bytes(2, "big") + b"\xaa" * padding + b"b" * payload
        wire = sealed_2022(shadowsocks, method, variable, records=[b"more"])
        request = new_server(shadowsocks, method).receive(wire)
        assert (request.address, request.early_data) == (NAME, b"b" * payload + b"more")


@pytest.mark.parametrize("method", [*STREAM, *AEAD, "none"])
@pytest.mark.parametrize(
    ("header", "error"),
    [
        (b"\0", AddressTypeError),
        (b"\2\x7f\0\0\1\0\x50", AddressTypeError),
        (b"\x11\x7f\0\0\1\0\x50", AddressTypeError),
        (b"\3\0\0\x50", AddressError),
        (b"\3\2a\0\0\x50", AddressError),
    ],
)
def test_bad_address(
    shadowsocks: Any, method: str, header: bytes, error: type[ProtocolError]
) -> None:
    wire = new_client(shadowsocks, method).request(Address(header), b"")
    for pieces in halves(wire):
        server = new_server(shadowsocks, method)
        with pytest.raises(error) as caught:
            serve(server, pieces)
        assert type(caught.value) is error
        assert server.take_outgoing() == server.failed(caught.value) == b""
        assert server.silent
