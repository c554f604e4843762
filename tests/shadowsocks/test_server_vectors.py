"""The server's end against the vectors, at every split, on both twins."""

from __future__ import annotations

from typing import Any

import pytest

from fastsocks.address import Address
from fastsocks.errors import (
    AddressTypeError,
    HeaderError,
    ProtocolError,
    TagError,
    TimestampError,
)
from shadowsocks_ends import (
    AEAD,
    AEAD_2022,
    STREAM,
    WITH_USERS,
    Clock,
    address_of,
    halves,
    new_client,
    new_server,
    plaintext_of,
    psk,
    serve,
)

TARGET = Address.of("127.0.0.1", 18080)

REQUESTS_2022 = (
    "tcp_request_with_payload",
    "tcp_request_with_padding_only",
    "tcp_request_with_padding_and_payload",
)


@pytest.mark.parametrize("method", AEAD)
@pytest.mark.parametrize("name", ["tcp_request", "tcp_request_small"])
def test_aead_request(shadowsocks: Any, aead: Any, method: str, name: str) -> None:
    part, key = aead[method][name], aead[method]["password"]
    first, *chunks = (plaintext_of(chunk) for chunk in part["chunks"])
    client = new_client(shadowsocks, method, key)
    payload = first.removeprefix(TARGET.wire)
    wire = client.request(TARGET, payload, salt=bytes.fromhex(part["salt_hex"]))
    boundary = len(wire)
    wire += b"".join(client.seal(chunk) for chunk in chunks)
    assert len(wire) == part["wire_len"]  # test_client.py compares it with the vector
    for pieces in halves(wire, boundary, len(wire) - 35):
        server = new_server(shadowsocks, method, key)
        request, received = serve(server, pieces)
        assert request is not None
        assert request.address == TARGET
        assert received == payload + b"".join(chunks)
        assert not server.incomplete


@pytest.mark.parametrize("method", AEAD)
def test_aead_response(shadowsocks: Any, aead: Any, method: str) -> None:
    part = aead[method]["tcp_response"]
    salt = bytes.fromhex(part["salt_hex"])
    server = new_server(shadowsocks, method, aead[method]["password"], answer_salt=salt)
    serve(server, [new_client(shadowsocks, method).request(TARGET)])
    wire = b"".join(server.seal(plaintext_of(chunk)) for chunk in part["chunks"])
    assert wire.hex() == part["wire_hex"]


def requests_2022(shadowsocks: Any, vector: Any) -> list[tuple[Any, str, dict[str, str], bytes]]:
    """List the parts of a vector with the server's key, its users and the wire."""
    found: list[tuple[Any, str, dict[str, str], bytes]] = []
    for name in REQUESTS_2022:
        part = vector[name]
        if "wire_hex" in part:
            wire = bytes.fromhex(part["wire_hex"])
        else:
            client = new_client(shadowsocks, vector["method"], vector["psk_b64"])
            wire = client.request(
                address_of(part["target"]),
                bytes.fromhex(part["initial_payload_hex"]),
                salt=bytes.fromhex(part["salt_hex"]),
            )
            wire += b"".join(client.seal(plaintext_of(chunk)) for chunk in part["chunks"])
            assert wire.hex().startswith(part["wire_head_hex"])
        found.append((part, vector["psk_b64"], {}, wire))
    if "eih" in vector:
        one, two = vector["eih"]["one_layer"], vector["eih"]["two_layers"]
        users = {"nobody": psk(vector["method"], 9), "user": vector["eih"]["uPSK_b64"]}
        wire = bytes.fromhex(one["tcp_request"]["wire_hex"])
        found.append((one["tcp_request"], one["server_psk_b64"], users, wire))
        # What a relay leaves of two identity headers is one.
        wire = bytes.fromhex(two["tcp_after_relay_hex"])
        found.append((two["tcp_request"], two["relay_target_psk_b64"], users, wire))
    return found


@pytest.mark.parametrize("method", AEAD_2022)
@pytest.mark.parametrize("which", range(5))
def test_2022_request(shadowsocks: Any, aead_2022: Any, method: str, which: int) -> None:
    requests = requests_2022(shadowsocks, aead_2022[method])
    if which >= len(requests):
        assert method not in WITH_USERS
        return
    part, key, users, wire = requests[which]
    header_end = len(part["salt_hex"]) // 2 + (16 if users else 0) + 27
    payload = bytes.fromhex(part["initial_payload_hex"])
    payload += b"".join(plaintext_of(chunk) for chunk in part["chunks"])
    for pieces in halves(wire, header_end, part["first_write_len"]):
        for strict in (False, True):
            server = new_server(shadowsocks, method, key, users=users, strict=strict)
            if strict and len(pieces[0]) < header_end:
                with pytest.raises(HeaderError, match="in pieces"):
                    server.receive(pieces[0])
                continue
            request, received = serve(server, pieces)
            assert request is not None
            assert request.address == address_of(part["target"])
            assert received == payload
            assert request.user == ("user" if users else None)
            assert not server.incomplete


@pytest.mark.parametrize("method", AEAD_2022)
def test_2022_response(shadowsocks: Any, aead_2022: Any, method: str) -> None:
    vector = aead_2022[method]
    exchanges = [(0, vector["tcp_response_to_request_with_payload"])]
    if method in WITH_USERS:
        exchanges.append((3, vector["eih"]["one_layer"]["tcp_response"]))
    for which, part in exchanges:
        _, key, users, wire = requests_2022(shadowsocks, vector)[which]
        salt, clock = bytes.fromhex(part["salt_hex"]), Clock(part["timestamp"])
        server = new_server(shadowsocks, method, key, users=users, answer_salt=salt, clock=clock)
        serve(server, [wire])
        chunks = (part["first_payload"], *part["chunks"])
        answer = b"".join(server.seal(plaintext_of(chunk)) for chunk in chunks)
        assert answer.hex() == part["wire_hex"]


@pytest.mark.parametrize("method", [*STREAM, "none"])
def test_stream(shadowsocks: Any, stream: Any, method: str) -> None:
    vector = stream[method]
    part, answer = vector["tcp_request"], vector["tcp_response"]
    wire, plaintext = (bytes.fromhex(part[name]) for name in ("wire_hex", "plaintext_hex"))
    for pieces in halves(wire):
        iv = bytes.fromhex(answer["iv_hex"])
        server = new_server(shadowsocks, method, vector["password"], answer_salt=iv)
        request, received = serve(server, pieces)
        assert request is not None
        assert request.address.wire + received == plaintext
        assert not server.incomplete
        assert server.seal(bytes.fromhex(answer["plaintext_hex"])).hex() == answer["wire_hex"]


NEGATIVE_AEAD: dict[str, tuple[type[ProtocolError] | None, bytes | None]] = {
    "zero-length chunk after the address": (None, None),
    "length 0x4000 (reserved bit set)": (HeaderError, None),
    "flipped bit in the length tag": (TagError, None),
    "flipped bit in the payload tag": (TagError, None),
    "truncated after salt+length chunk": (None, b""),
    "bad ATYP 0x02 inside valid chunk": (AddressTypeError, None),
    "address split over two chunks (4+3 bytes)": (None, None),
}


def test_negative_aead_covers_all(aead: Any) -> None:
    assert {case["name"] for case in aead["negative_aes_128_gcm"]["cases"]} == set(NEGATIVE_AEAD)


@pytest.mark.parametrize("name", NEGATIVE_AEAD)
def test_negative_aead(shadowsocks: Any, aead: Any, name: str) -> None:
    (case,) = (c for c in aead["negative_aes_128_gcm"]["cases"] if c["name"] == name)
    error, nothing = NEGATIVE_AEAD[name]
    for pieces in halves(bytes.fromhex(case["wire_hex"])):
        server = new_server(shadowsocks, "aes-128-gcm")
        if error is not None:
            with pytest.raises(error) as caught:
                serve(server, pieces)
            assert type(caught.value) is error
            continue
        request, _ = serve(server, pieces)
        if nothing is not None:
            assert request is None
            assert server.incomplete
        else:
            assert request is not None
            assert request.address == TARGET


@pytest.mark.parametrize("method", AEAD_2022)
@pytest.mark.parametrize("which", range(9))
def test_negative_2022(shadowsocks: Any, aead_2022: Any, method: str, which: int) -> None:
    cases = aead_2022[method]["tcp_negative"]
    assert len(cases) == 9
    case = cases[which]
    wire = bytes.fromhex(case["wire_hex"])
    for strict in (True, False):
        clock, key = Clock(case["now"]), aead_2022[method]["psk_b64"]
        server = new_server(shadowsocks, method, key, strict=strict, clock=clock)
        if case["expect"] == "reject":
            expected = TimestampError if "timestamp" in case["name"] else HeaderError
            with pytest.raises(HeaderError) as caught:
                server.receive(wire)
            assert type(caught.value) is expected
        else:
            assert "accept" in case["expect"]
            assert server.receive(wire) is not None
