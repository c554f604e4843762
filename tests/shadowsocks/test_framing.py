"""The classes that seal and open one direction, on both twins."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest

from fastsocks.errors import HeaderError, TagError
from record_ends import new_aead, new_codec, new_opener, new_sealer, records
from shadowsocks_ends import (
    AEAD,
    AUTHENTICATED,
    STREAM,
    check_wire,
    halves,
    open_all,
    pieces_of,
    plaintext_of,
)


@pytest.mark.parametrize("method", AEAD)
def test_nonces_carry(shadowsocks: Any, aead: Any, method: str) -> None:
    vector = aead[method]
    part = vector["nonce_carry"]
    key, salt = bytes.fromhex(vector["key_hex"]), bytes.fromhex(part["salt_hex"])
    own, ciphers = shadowsocks.METHODS[method], shadowsocks.session_ciphers
    sealer = ciphers.record_sealer(own, ciphers.session_aead(own, key, salt), preamble=salt)
    chunks = [bytes([i & 255]) for i in range(part["chunk_count"])]
    wire = check_wire(b"".join(sealer.seal(chunk) for chunk in chunks), part)
    for i in (127, 128):
        at = len(salt) + 35 * i
        known = part[f"chunk_{i}"]
        assert wire[at : at + 35].hex() == known["length_ct_hex"] + known["payload_ct_hex"]
    for pieces in halves(wire[len(salt) :], 35 * 127, 35 * 128):
        codec = new_codec(
            shadowsocks, ciphers.record_opener(own, ciphers.session_aead(own, key, salt))
        )
        assert open_all(codec, pieces) == b"".join(chunks)
        assert codec.opener.counter == 2 * len(chunks)


@pytest.mark.parametrize("method", STREAM)
def test_long_stream(shadowsocks: Any, stream: Any, method: str) -> None:
    vector = stream[method]
    key, iv = bytes.fromhex(vector["key_hex"]), bytes.fromhex(vector["long"]["iv_hex"])
    own, ciphers = shadowsocks.METHODS[method], shadowsocks.session_ciphers
    plaintext = plaintext_of(vector["long"])
    for pieces in halves(plaintext, 8192):
        sealer = ciphers.stream_sealer(own, key, iv)
        wire = b"".join(sealer.seal(piece) for piece in pieces)
        assert wire[: len(iv)] == iv
        assert hashlib.sha256(wire[len(iv) :]).hexdigest() == vector["long"]["ciphertext_sha256"]
    for pieces in halves(wire[len(iv) :], 8192):
        codec = new_codec(shadowsocks, ciphers.stream_opener(own, key, iv))
        assert open_all(codec, pieces) == plaintext
        assert not codec.incomplete


def test_ctr_counts_in_128_bits(shadowsocks: Any, stream: Any) -> None:
    carry = stream["ctr_carry"]
    own = shadowsocks.METHODS[carry["method"]]
    key, iv = bytes.fromhex(carry["key_hex"]), bytes.fromhex(carry["iv_hex"])
    sealer = shadowsocks.session_ciphers.stream_sealer(own, key, iv)
    wire = sealer.seal(bytes.fromhex(carry["plaintext_hex"]))
    assert wire.hex() == carry["iv_hex"] + carry["ciphertext_hex"]


@pytest.mark.parametrize("method", AUTHENTICATED)
def test_long_payloads_fill_records(shadowsocks: Any, method: str) -> None:
    limit = 0x3FFF if method in AEAD else 0xFFFF
    for size, count in ((1, 1), (limit, 1), (limit + 1, 2), (3 * limit, 3), (3 * limit + 1, 4)):
        wire = new_sealer(shadowsocks, method, preamble=b"salt").seal(bytes(size))
        assert wire[:4] == b"salt"
        assert len(wire) == 4 + size + 34 * count
        assert new_opener(shadowsocks, method).open(memoryview(wire)[4:])[0] == bytes(size)


def test_nothing_comes_of_nothing(shadowsocks: Any) -> None:
    """Neither a preamble nor an opening is spent on an empty payload, nor a nonce."""
    asked = []

    def opening(size: int) -> bytes:
        asked.append(size)
        return b"header"

    for options in ({"preamble": b"salt"}, {"opening": opening}):
        sealer = new_sealer(shadowsocks, "aes-128-gcm", **options)
        assert sealer.seal(b"") == b""
        assert not asked
        wire = sealer.seal(b"payload")
        head = b"salt" if "preamble" in options else b"header"
        assert wire.startswith(head)
        again = new_sealer(shadowsocks, "aes-128-gcm", **options)
        assert again.seal(b"payload") == wire
        assert sealer.seal(b"") == b""
        assert not sealer.seal(b"more").startswith(head)
    stream = shadowsocks.session_ciphers.stream_sealer(
        shadowsocks.METHODS["aes-128-ctr"], bytes(16), bytes(16)
    )
    assert stream.seal(b"") == b""
    assert stream.seal(b"x")[:16] == bytes(16)


@pytest.mark.parametrize("method", AUTHENTICATED)
def test_opening_announces_the_first_payload(shadowsocks: Any, method: str) -> None:
    limit = 0x3FFF if method in AEAD else 0xFFFF
    for size in (1, limit, limit + 1, 2 * limit + 7):
        asked: list[int] = []

        def opening(length: int, asked: list[int] = asked) -> bytes:
            asked.append(length)
            return b"header"

        sealer = new_sealer(shadowsocks, method, opening=opening)
        payload = random.Random(size).randbytes(size)
        wire = sealer.seal(payload) + sealer.seal(b"more")
        assert asked == [min(size, limit)]
        opener = new_opener(shadowsocks, method, length=asked[0])
        assert opener.inside
        assert opener.wanted == asked[0] + 16
        assert opener.open(memoryview(wire)[6:]) == (payload + b"more", len(wire) - 6)


@pytest.mark.parametrize("method", AEAD)
def test_too_long_a_record(shadowsocks: Any, method: str) -> None:
    wire = records(shadowsocks, method, [bytes(0x3FFF), bytes(0x4000)])
    codec = new_codec(shadowsocks, new_opener(shadowsocks, method))
    cut = len(wire) - 0x4000 - 16
    assert codec.open(wire[: cut - 1]) == bytes(0x3FFF)
    # Refused as soon as the length is there.
    with pytest.raises(HeaderError, match="16384 bytes, where 16383"):
        codec.open(wire[cut - 1 : cut])


@pytest.mark.parametrize("method", AUTHENTICATED)
def test_empty_records(shadowsocks: Any, method: str) -> None:
    allowed = 16 if method in AEAD else 0
    payloads = [b"", b"a"] * allowed + [b"last"]
    wire = records(shadowsocks, method, payloads)
    codec = new_codec(shadowsocks, new_opener(shadowsocks, method))
    assert codec.open(wire) == b"".join(payloads)
    assert not codec.incomplete
    wire = records(shadowsocks, method, [*payloads, b""])
    for pieces in halves(wire, len(wire) - 34):
        codec = new_codec(shadowsocks, new_opener(shadowsocks, method))
        with pytest.raises(HeaderError, match="empty"):
            open_all(codec, pieces)


@pytest.mark.parametrize("method", AUTHENTICATED)
def test_incomplete_at_every_cut(shadowsocks: Any, method: str) -> None:
    payloads = [b"one", b"two" * 20, b"3"]
    wire = records(shadowsocks, method, payloads)
    ends, at = {0}, 0
    for payload in payloads:
        at += len(payload) + 34
        ends.add(at)
    for cut in range(len(wire)):
        codec = new_codec(shadowsocks, new_opener(shadowsocks, method))
        opened = open_all(codec, [wire[:cut]])
        assert codec.incomplete == (cut not in ends)
        assert opened + codec.open(wire[cut:]) == b"".join(payloads)
        assert not codec.incomplete


@pytest.mark.parametrize("method", AUTHENTICATED)
def test_every_flipped_byte_is_noticed(shadowsocks: Any, method: str) -> None:
    wire = records(shadowsocks, method, [b"one", b"second"])
    for place in range(len(wire)):
        for pieces in ((len(wire),), (place, 1)):
            tampered = bytearray(wire)
            tampered[place] ^= 1 << place % 8
            codec = new_codec(shadowsocks, new_opener(shadowsocks, method))
            with pytest.raises(TagError):
                open_all(codec, pieces_of(bytes(tampered), pieces))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_takes_any_buffer(shadowsocks: Any, kind: Any) -> None:
    sealer, opener = (
        make(shadowsocks, "2022-blake3-aes-128-gcm") for make in (new_sealer, new_opener)
    )
    codec = new_codec(shadowsocks, opener)
    codec.sealer = sealer
    wire = codec.seal(kind(b"payload"))
    assert codec.open(kind(b"")) == b""
    assert codec.open(kind(wire[:20])) == b""
    assert codec.open(kind(wire[20:])) == b"payload"


def test_lets_go_of_what_it_was_given(shadowsocks: Any) -> None:
    """A buffer can be changed and resized as soon as a call is over, kept bytes or not."""
    wire = records(shadowsocks, "aes-128-gcm", [b"payload"])
    codec = new_codec(shadowsocks, new_opener(shadowsocks, "aes-128-gcm"))
    buffer = bytearray(wire[:30])
    assert codec.open(buffer) == b""
    buffer[:] = bytes(30)
    buffer.clear()
    buffer += wire[30:]
    assert codec.open(buffer) == b"payload"
    buffer.clear()


def test_a_codec_without_ends(shadowsocks: Any) -> None:
    codec = shadowsocks.Codec()
    assert not codec.incomplete
    with pytest.raises(HeaderError):
        codec.seal(b"x")
    with pytest.raises(HeaderError):
        codec.open(b"x")
    codec.transparent = True
    for kind in (bytes, bytearray, memoryview):
        assert codec.seal(kind(b"x")) == b"x"
        assert codec.open(kind(b"x")) == b"x"


def test_kept_bytes_are_bounded(shadowsocks: Any) -> None:
    """The largest record, one byte at a time, is opened by its last byte and no sooner."""
    method = "2022-blake3-aes-256-gcm"
    wire = records(shadowsocks, method, [bytes(0xFFFF), b"next"])
    codec = new_codec(shadowsocks, new_opener(shadowsocks, method))
    end = 0xFFFF + 34
    for i in range(end - 1):
        assert codec.open(wire[i : i + 1]) == b""
    assert codec.open(wire[end - 1 : end]) == bytes(0xFFFF)
    assert codec.open(wire[end:]) == b"next"


def test_a_trickle_costs_no_attempts(shadowsocks_twins: Any) -> None:
    """A record that comes byte by byte is not tried byte by byte: that is quadratic.

    Only the Python opener can be counted; the Cython codec calls its own in C.
    """
    _, python = shadowsocks_twins
    attempts = []

    class Counting(python.framing.RecordOpener):  # type: ignore[misc, name-defined]
        __slots__ = ()

        def open(self, data: memoryview) -> Any:
            attempts.append(len(data))
            return super().open(data)

    method = "2022-blake3-aes-256-gcm"
    codec = new_codec(python, Counting(new_aead(python, method), 12, 0xFFFF))
    wire = records(python, method, [bytes(5000)])
    assert open_all(codec, pieces_of(wire, [1] * len(wire))) == bytes(5000)
    # Once for each first byte, when nothing is kept yet, and once for each end.
    assert attempts == [1, 18, 1, 5016]


@pytest.mark.parametrize("limit", [0, -1, 0x10000])
def test_unusable_limits(shadowsocks: Any, limit: int) -> None:
    framing, aead = shadowsocks.framing, new_aead(shadowsocks, "aes-128-gcm")
    for kind in (framing.RecordSealer, framing.RecordOpener):
        with pytest.raises(ValueError, match="limit"):
            kind(aead, 12, limit)


def test_unusable_preambles(shadowsocks: Any) -> None:
    """Longer than any method's: room for it was never made."""
    framing, aead = shadowsocks.framing, new_aead(shadowsocks, "aes-128-gcm")
    cipher = shadowsocks.session_ciphers.session_stream(
        shadowsocks.METHODS["aes-128-ctr"], bytes(16), bytes(16), encrypt=True
    )
    with pytest.raises(ValueError, match="preamble"):
        framing.RecordSealer(aead, 12, 0x3FFF, preamble=bytes(92))
    with pytest.raises(ValueError, match="preamble"):
        framing.StreamSealer(cipher, bytes(92))
    with pytest.raises(ValueError, match="preamble"):
        framing.RecordSealer(aead, 12, 0x3FFF, opening=lambda _: bytes(92)).seal(b"x")


# Differential: the twins agree byte by byte, error by error.
