"""Shadowsocks, field by field, with its key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fastsocks.crypto import TAG_SIZE, Aead, BlockCipher
from fastsocks.errors import ProtocolError, TagError
from fastsocks.shadowsocks.headers import (
    IDENTITY_HEADER_SIZE,
    read_fixed_request_header,
    read_response_header,
    session_subkey,
)
from fastsocks.shadowsocks.session_ciphers import session_aead, session_stream

from .socks import take_address

if TYPE_CHECKING:
    from fastsocks.shadowsocks import ClientKey

    from .walk import Walk

_ADDRESS = "RFC 1928 5"
#: How many records of a direction are looked at.
_RECORDS = 64
_MISMATCH = "password or method mismatch, or the bytes were tampered with"


def read_stream(walk: Walk, key: ClientKey, now: int, *, request_salt: bytes | None) -> None:
    """Go through one direction of a connection.

    :param now: Unix time in seconds at which it came.
    :param request_salt: None for what the client sends; for what the server sends the salt of
        the client, empty where it is not known.
    """
    method = key.method
    response = request_salt is not None
    if not method.cipher:
        _read_plaintext(walk, response=response)
        return
    salt = walk.take(method.salt_size, *_salt(key))
    if not method.authenticated:
        at = walk.position
        opened = session_stream(method, key.key, salt, encrypt=False).update(walk.peek(walk.left))
        _decrypted(walk, bytes(opened), at, response=response)
        return
    aead = session_aead(method, key.key, salt)
    records = _Records(walk, aead, method.nonce_size)
    if not method.family.timed:
        at, plaintext = walk.position, bytearray()
        try:
            records.take_records("SIP004", plaintext)
        finally:
            if plaintext:
                _read_plaintext(walk.inner(bytes(plaintext), at), response=response)
        return
    if response:
        _take_response_header(walk, records, now, request_salt or b"", method.salt_size)
    else:
        _take_request_headers(walk, records, key, now)
    records.take_records("SIP022", bytearray())


def read_packet(walk: Walk, key: ClientKey, now: int, *, response: bool) -> None:
    """Go through one datagram between a Shadowsocks client and its server.

    :param now: Unix time in seconds at which it came.
    """
    method = key.method
    if method.family.sessions:
        _read_packet_2022(walk, key, now, response=response)
        return
    if not method.cipher:
        _read_contents(walk)
        return
    salt = walk.take(method.salt_size, *_salt(key))
    at, sealed = walk.position, walk.peek(walk.left)
    if not method.authenticated:
        plaintext = bytes(session_stream(method, key.key, salt, encrypt=False).update(sealed))
    else:
        plaintext = _open(session_aead(method, key.key, salt), bytes(method.nonce_size), sealed)
    walk.take_rest("sealed", f"{len(plaintext)} bytes of plaintext", "SIP004")
    _read_contents(walk.inner(plaintext, at))


class _Records:
    """Takes sealed pieces, of which each has the next nonce."""

    def __init__(self, walk: Walk, aead: Aead, nonce_size: int) -> None:
        self._walk = walk
        self._aead = aead
        self._nonce_size = nonce_size
        self._counter = 0

    def take(self, size: int, name: str, source: str) -> tuple[bytes, int]:
        """Take `size` bytes and their tag; return the plaintext and where it stands."""
        walk, at = self._walk, self._walk.position
        nonce = self._counter.to_bytes(self._nonce_size, "little")
        sealed = walk.take(size + TAG_SIZE, name, f"{size} bytes and a tag", source)
        self._counter += 1
        return _open(self._aead, nonce, sealed), at

    def take_records(self, source: str, plaintext: bytearray) -> None:
        """Take lengths and the payloads that have them, and gather what was sealed."""
        walk = self._walk
        for _ in range(_RECORDS):
            if not walk.left:
                return
            length, at = self.take(2, "length, sealed", source)
            size = walk.inner(length, at).number(2, "length", lambda size: f"{size} bytes", source)
            plaintext += self.take(size, "payload, sealed", source)[0]
        walk.take_rest("records", "further ones, not looked at", source)


def _salt(key: ClientKey) -> tuple[str, str, str]:
    method = key.method
    return "salt" if method.authenticated else "IV", f"of {method.name}", method.family.source


def _open(aead: Aead, nonce: bytes, sealed: bytes) -> bytes:
    try:
        return bytes(aead.open(nonce, sealed))
    except TagError:
        raise TagError(_MISMATCH) from None


def _decrypted(walk: Walk, plaintext: bytes, at: int, *, response: bool) -> None:
    walk.take_rest("encrypted", f"{len(plaintext)} bytes", "stream ciphers")
    try:
        _read_plaintext(walk.inner(plaintext, at), response=response)
    except ProtocolError as error:
        raise ProtocolError(f"{error}: password or method mismatch, perhaps") from None


def _read_plaintext(walk: Walk, *, response: bool) -> None:
    if not response:
        take_address(walk, _ADDRESS)
    walk.take_rest("data", "from the target" if response else "for the target")


def _read_contents(walk: Walk) -> None:
    take_address(walk, _ADDRESS)
    walk.take_rest("data", "payload")


def _time(stamp: int, now: int) -> str:
    try:
        text = datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        text = "no time that there is"
    skew = stamp - now
    if not skew:
        return text
    return f"{text}, clock {abs(skew)} s {'ahead' if skew > 0 else 'behind'}"


def _take_request_headers(walk: Walk, records: _Records, key: ClientKey, now: int) -> None:
    for number in range(len(key.identity_keys)):
        walk.take(IDENTITY_HEADER_SIZE, "identity header", f"of iPSK {number + 1}", "SIP023")
    fixed, at = records.take(11, "fixed header, sealed", "SIP022 3.1.3")
    inner = walk.inner(fixed, at)
    inner.take(1, "type", lambda data: "response" if data[0] else "request", "SIP022 3.1.3")
    inner.number(8, "timestamp", lambda stamp: _time(stamp, now), "SIP022 3.1.3")
    size = inner.number(2, "length", lambda size: f"{size} bytes", "SIP022 3.1.3")
    read_fixed_request_header(fixed, now)
    variable, at = records.take(size, "variable header, sealed", "SIP022 3.1.3")
    inner = walk.inner(variable, at)
    take_address(inner, _ADDRESS)
    padding = inner.number(2, "padding length", lambda size: f"{size} bytes", "SIP022 3.1.3")
    inner.take(padding, "padding", "of no meaning", "SIP022 3.1.3")
    inner.take_rest("data", "first payload", "SIP022 3.1.3")


def _take_response_header(
    walk: Walk, records: _Records, now: int, request_salt: bytes, salt_size: int
) -> None:
    header, at = records.take(11 + salt_size, "fixed header, sealed", "SIP022 3.1.4")
    inner = walk.inner(header, at)
    inner.take(1, "type", lambda data: "response" if data[0] else "request", "SIP022 3.1.4")
    inner.number(8, "timestamp", lambda stamp: _time(stamp, now), "SIP022 3.1.4")
    echo = inner.take(salt_size, "request salt", "of the client's request", "SIP022 3.1.4")
    size = inner.number(2, "length", lambda size: f"{size} bytes", "SIP022 3.1.4")
    read_response_header(header, now, request_salt or echo)
    records.take(size, "payload, sealed", "SIP022 3.1.4")


def _read_packet_2022(walk: Walk, key: ClientKey, now: int, *, response: bool) -> None:
    method = key.method
    source = "SIP022 3.2"
    if method.identity_headers:
        # An answer has no identity headers, and the user's own key.
        layers = () if response else key.identity_keys
        outer = layers[0] if layers else key.key
        ids = BlockCipher(outer).decrypt(walk.take(16, "separate header", "encrypted", source))
        _take_ids(walk.inner(ids, 0), source)
        for number in range(len(layers)):
            walk.take(16, "identity header", f"of iPSK {number + 1}", "SIP023")
        aead = Aead(method.cipher, session_subkey(key.key, ids[:8]))
        nonce = ids[4:]
    else:
        nonce = walk.take(24, "nonce", "at random", source)
        aead = Aead("X" + method.cipher, key.key)
    at = walk.position
    body = _open(aead, nonce, walk.peek(walk.left))
    walk.take_rest("body, sealed", f"{len(body)} bytes and a tag", source)
    inner = walk.inner(body, at)
    if not method.identity_headers:
        _take_ids(inner, source)
    (kind,) = inner.take(1, "type", lambda data: "response" if data[0] else "request", source)
    stamp = inner.number(8, "timestamp", lambda stamp: _time(stamp, now), source)
    if kind != response:
        raise ProtocolError("a packet of the wrong direction")
    if response:
        inner.take(8, "client session ID", "whom it answers", source)
    padding = inner.number(2, "padding length", lambda size: f"{size} bytes", source)
    inner.take(padding, "padding", "of no meaning", source)
    _read_contents(inner)
    if abs(stamp - now) > 30:
        where = "ahead of" if stamp > now else "behind"
        raise ProtocolError(f"the peer's clock is {abs(stamp - now)} s {where} ours")


def _take_ids(walk: Walk, source: str) -> None:
    walk.take(8, "session ID", "at random", source)
    walk.number(8, "packet ID", str, source)
