"""The headers of the 2022 edition, byte by byte."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsocks.address import Address
from fastsocks.errors import HeaderError, ProtocolError, TimestampError
from shadowsocks_ends import AEAD_2022, NOW, WITH_USERS, address_of

TARGET = Address.of("127.0.0.1", 18080)

PARTS = (
    "tcp_request_with_payload",
    "tcp_request_with_padding_only",
    "tcp_request_with_padding_and_payload",
)


@pytest.mark.parametrize("method", AEAD_2022)
@pytest.mark.parametrize("name", PARTS)
def test_request_headers(shadowsocks: Any, aead_2022: Any, method: str, name: str) -> None:
    part, headers = aead_2022[method][name], shadowsocks.headers
    payload = bytes.fromhex(part["initial_payload_hex"])
    fixed, variable, taken = headers.build_request_headers(
        address_of(part["target"]), memoryview(payload), NOW, bytes.fromhex(part["padding_hex"])
    )
    assert fixed.hex() == part["fixed_header_hex"]
    assert variable.hex() == part["variable_header_hex"]
    assert taken == len(payload)
    assert headers.read_fixed_request_header(fixed, NOW) == len(variable)
    read = headers.read_variable_request_header(variable)
    assert read == (address_of(part["target"]), payload)


@pytest.mark.parametrize("method", AEAD_2022)
def test_response_header(shadowsocks: Any, aead_2022: Any, method: str) -> None:
    part, headers = aead_2022[method]["tcp_response_to_request_with_payload"], shadowsocks.headers
    salt, size = bytes.fromhex(part["request_salt_hex"]), len(part["first_payload"]["hex"]) // 2
    header = headers.build_response_header(part["timestamp"], salt, size)
    assert header.hex() == part["fixed_header_hex"]
    assert headers.read_response_header(header, NOW, salt) == size
    for place in range(9, 9 + len(salt)):
        other = bytearray(salt)
        other[place - 9] ^= 1
        with pytest.raises(HeaderError, match="another request"):
            headers.read_response_header(header, NOW, bytes(other))


@pytest.mark.parametrize("method", WITH_USERS)
@pytest.mark.parametrize("layers", ["one_layer", "two_layers"])
def test_identity_headers(shadowsocks: Any, aead_2022: Any, method: str, layers: str) -> None:
    vector, headers = aead_2022[method]["eih"][layers], shadowsocks.headers
    part = vector["tcp_request"]
    salt = bytes.fromhex(part["salt_hex"])
    key = shadowsocks.client_key(method, vector["client_password"])
    known = [bytes.fromhex(header["header_hex"]) for header in part["identity_headers"]]
    hashes = [bytes.fromhex(h["next_psk_hash16_hex"]) for h in part["identity_headers"]]
    assert key.identity_hashes == tuple(hashes)
    built = headers.build_identity_headers(key.identity_keys, key.identity_hashes, salt)
    assert built == b"".join(known)
    for own, header, following in zip(key.identity_keys, known, hashes, strict=True):
        assert headers.open_identity_header(own, salt, header) == following


def test_session_subkey(shadowsocks: Any) -> None:
    """PROTOCOLS 5.2 and every session of the vectors."""
    subkey = shadowsocks.headers.session_subkey(bytes(range(16)), bytes(range(0x64, 0x74)))
    assert subkey.hex() == "7e504e78da28b14d4fb48f08430baf79"


@pytest.mark.parametrize("method", AEAD_2022)
@pytest.mark.parametrize("name", PARTS)
def test_session_subkeys(shadowsocks: Any, aead_2022: Any, method: str, name: str) -> None:
    vector = aead_2022[method]
    key, salt = (bytes.fromhex(h) for h in (vector["psk_hex"], vector[name]["salt_hex"]))
    subkey = shadowsocks.headers.session_subkey(key, salt)
    assert subkey.hex() == vector[name]["session_subkey_hex"]


def test_clock_skew_is_told(shadowsocks: Any) -> None:
    headers = shadowsocks.headers
    for skew, words in ((31, "31 s ahead of"), (-3600, "3600 s behind")):
        header = b"\0" + (NOW + skew).to_bytes(8, "big") + b"\0\x10"
        with pytest.raises(TimestampError, match=words):
            headers.read_fixed_request_header(header, NOW)


def test_a_full_header(shadowsocks: Any) -> None:
    """As much of a long payload goes into the header as it holds."""
    for padding in (b"", bytes(900)):
        payload = bytes(100_000)
        fixed, variable, taken = shadowsocks.headers.build_request_headers(
            TARGET, memoryview(payload), NOW, padding
        )
        assert fixed[-2:] == b"\xff\xff"
        assert len(variable) == 0xFFFF
        assert taken == 0xFFFF - len(TARGET.wire) - 2 - len(padding)


@given(header=st.binary(max_size=80) | st.binary(max_size=40).map(lambda b: TARGET.wire + b))
def test_any_variable_header(shadowsocks_twins: Any, header: bytes) -> None:
    told = []
    for twin in shadowsocks_twins:
        try:
            told.append(tuple(twin.headers.read_variable_request_header(header)))
        except ProtocolError as error:
            told.append((type(error), str(error)))
    assert told[0] == told[1]
    if isinstance(told[0][0], Address) and header.startswith(TARGET.wire):
        padding = int.from_bytes(header[7:9], "big")
        assert told[0][1] == header[9 + padding :]
        assert padding or told[0][1]
