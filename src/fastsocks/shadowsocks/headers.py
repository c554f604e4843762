"""The headers of the 2022 edition over TCP (SIP022) and its identity headers (SIP023)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..address import Address, read_address
from ..crypto import BlockCipher, blake3_derive, random_bytes
from ..errors import HeaderError, TimestampError

REQUEST_TYPE = 0
RESPONSE_TYPE = 1

#: Type, timestamp and length of the variable header, in bytes.
REQUEST_HEADER_SIZE = 1 + 8 + 2
IDENTITY_HEADER_SIZE = 16
LARGEST_PADDING = 900
#: Seconds that a peer's clock may be off, either way.
LARGEST_SKEW = 30

SESSION_CONTEXT = "shadowsocks 2022 session subkey"
_IDENTITY_CONTEXT = "shadowsocks 2022 identity subkey"


class RequestHeader(NamedTuple):
    """What the variable header of a request holds."""

    address: Address
    payload: bytes


def session_subkey(key: bytes, salt: bytes) -> bytes:
    """Derive a session's subkey, as long as `key`, from a PSK and a salt (SIP022)."""
    return blake3_derive(SESSION_CONTEXT, key + salt, len(key))


def _identity_cipher(key: bytes, salt: bytes) -> BlockCipher:
    return BlockCipher(blake3_derive(_IDENTITY_CONTEXT, key + salt, len(key)))


def build_identity_headers(keys: Sequence[bytes], hashes: Sequence[bytes], salt: bytes) -> bytes:
    """Build a request's identity headers, 16 bytes each.

    :param keys: the iPSKs, in order.
    :param hashes: for each of them the 16-byte hash of the PSK that comes after it.
    :param salt: the request's salt.
    """
    return b"".join(
        _identity_cipher(key, salt).encrypt(following)
        for key, following in zip(keys, hashes, strict=True)
    )


def open_identity_header(key: bytes, salt: bytes, header: bytes) -> bytes:
    """Recover the 16-byte hash of the next PSK from an identity header.

    :param key: this server's own iPSK.
    """
    return _identity_cipher(key, salt).decrypt(header)


def build_request_headers(
    address: Address, payload: memoryview, now: int, padding: bytes | None = None
) -> tuple[bytes, bytes, int]:
    """Build the fixed and the variable header of a request, still to be sealed.

    :param payload: the first payload; as much of it as fits goes into the header.
    :param now: Unix time in seconds.
    :param padding: bytes of padding; None for what the edition wants: none beside a payload,
        else 1 to 900 at random (SIP022 3.1.3).
    :return: the fixed header (11 bytes), the variable header, and how many bytes of `payload`
        went into it.
    :raises ValueError: more padding than 900 bytes.
    """
    padding = padding_of(payload, padding)
    head = address.wire + len(padding).to_bytes(2, "big") + padding
    taken = min(len(payload), 0xFFFF - len(head))
    variable = head + payload[:taken]
    fixed = bytes((REQUEST_TYPE,)) + now.to_bytes(8, "big") + len(variable).to_bytes(2, "big")
    return fixed, variable, taken


def padding_of(payload: bytes | memoryview, padding: bytes | None) -> bytes:
    """Return the padding of a request, by default that of :func:`build_request_headers`.

    :raises ValueError: more than 900 bytes.
    """
    if padding is None:
        return b"" if payload else bytes(_padding_size())
    if len(padding) > LARGEST_PADDING:
        raise ValueError(f"{len(padding)} bytes of padding, more than {LARGEST_PADDING}")
    return padding


def _padding_size() -> int:
    # Not of `secrets`, which brings OpenSSL's hashes along for the sake of an even draw.
    return 1 + (int.from_bytes(random_bytes(2), "big") * LARGEST_PADDING >> 16)


def _check(header: bytes, expected_type: int, now: int) -> None:
    if header[0] != expected_type:
        raise HeaderError(f"header type {header[0]} where {expected_type} belongs")
    skew = int.from_bytes(header[1:9], "big") - now
    if abs(skew) > LARGEST_SKEW:
        where = "ahead of" if skew > 0 else "behind"
        raise TimestampError(f"the peer's clock is {abs(skew)} s {where} ours: check NTP on both")


def read_fixed_request_header(header: bytes, now: int) -> int:
    """Check the 11 bytes of a request's fixed header.

    :return: the size in bytes of the variable header.
    :raises HeaderError: another type than a request's.
    :raises TimestampError: the peer's clock is more than 30 s off.
    """
    _check(header, REQUEST_TYPE, now)
    return int.from_bytes(header[9:11], "big")


def read_variable_request_header(header: bytes) -> RequestHeader:
    """Take a request's variable header apart.

    :raises AddressError: the address is none.
    :raises HeaderError: something reaches past the end, or there is neither payload nor padding.
    """
    found = read_address(header)
    if found is None or found[1] + 2 > len(header):
        raise HeaderError("the address reaches past its header")
    address, end = found
    padding = int.from_bytes(header[end : end + 2], "big")
    start = end + 2 + padding
    if start > len(header):
        raise HeaderError("the padding reaches past its header")
    if not padding and start == len(header):
        raise HeaderError("a header with neither payload nor padding")
    return RequestHeader(address, header[start:])


def build_response_header(now: int, request_salt: bytes, length: int) -> bytes:
    """Build a response's fixed header, still to be sealed: 11 bytes and the request's salt.

    :param length: size in bytes of the first payload, 1 to 65535.
    """
    return (
        bytes((RESPONSE_TYPE,)) + now.to_bytes(8, "big") + request_salt + length.to_bytes(2, "big")
    )


def read_response_header(header: bytes, now: int, request_salt: bytes) -> int:
    """Check a response's fixed header.

    :return: the size in bytes of the first payload.
    :raises HeaderError: another type, another request's salt, or an empty payload.
    :raises TimestampError: the peer's clock is more than 30 s off.
    """
    _check(header, RESPONSE_TYPE, now)
    if header[9:-2] != request_salt:
        raise HeaderError("a response to another request")
    length = int.from_bytes(header[-2:], "big")
    if not length:
        raise HeaderError("a response header without payload")
    return length
