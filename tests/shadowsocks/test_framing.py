"""The classes that seal and open one direction, on both twins."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsocks.errors import HeaderError, ProtocolError, TagError
from fastsocks.shadowsocks.methods import METHODS
from shadowsocks_ends import (
    AEAD,
    AEAD_2022,
    AUTHENTICATED,
    STREAM,
    check_wire,
    halves,
    open_all,
    pieces_of,
    plaintext_of,
)

SIZES = st.lists(st.integers(0, 40) | st.integers(0, 70_000), max_size=6)
SPLITS = st.lists(st.integers(1, 60) | st.integers(1, 80_000), max_size=12)


def new_aead(shadowsocks: Any, method: str, seed: int = 0) -> Any:
    source = random.Random(seed)
    size = METHODS[method].key_size
    key, salt = source.randbytes(size), source.randbytes(METHODS[method].salt_size)
    return shadowsocks.session_ciphers.session_aead(METHODS[method], key, salt)


def new_sealer(shadowsocks: Any, method: str, **options: Any) -> Any:
    """Seal by the rules of `method`, whose copies in either twin are alike."""
    own = shadowsocks.METHODS[method]
    return shadowsocks.session_ciphers.record_sealer(own, new_aead(shadowsocks, method), **options)


def new_opener(shadowsocks: Any, method: str, **options: Any) -> Any:
    own = shadowsocks.METHODS[method]
    return shadowsocks.session_ciphers.record_opener(own, new_aead(shadowsocks, method), **options)


def new_codec(shadowsocks: Any, opener: Any) -> Any:
    codec = shadowsocks.Codec()
    codec.opener = opener
    return codec


def records(shadowsocks: Any, method: str, payloads: list[bytes]) -> bytes:
    """Seal one record per payload, empty and overlong ones too."""
    aead, nonce_size = new_aead(shadowsocks, method), METHODS[method].nonce_size
    wire, counter = b"", 0
    for payload in payloads:
        for text in (len(payload).to_bytes(2, "big"), payload):
            wire += aead.seal(counter.to_bytes(nonce_size, "little"), text)
            counter += 1
    return wire


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


def trace(codec: Any, pieces: list[bytes]) -> list[object]:
    """What a codec says to each piece, up to its first error."""
    seen: list[object] = []
    for piece in pieces:
        try:
            plaintext = bytes(codec.open(piece))
        except ProtocolError as error:
            return [*seen, type(error)]
        opener = codec.opener
        seen.append((plaintext, codec.incomplete, opener.inside, opener.wanted, opener.counter))
    return seen


@st.composite
def damaged(draw: st.DrawFn, wire: bytes) -> bytes:
    """Leave `wire` as it is, or cut, change or extend it."""
    kind = draw(st.sampled_from(["whole", "whole", "cut", "flip", "insert", "append"]))
    place = draw(st.integers(0, len(wire)))
    if kind == "cut":
        return wire[:place]
    if kind == "flip" and wire:
        place = min(place, len(wire) - 1)
        return (
            wire[:place] + bytes([wire[place] ^ 1 << draw(st.integers(0, 7))]) + wire[place + 1 :]
        )
    if kind == "insert":
        return wire[:place] + draw(st.binary(max_size=40)) + wire[place:]
    if kind == "append":
        return wire + draw(st.binary(max_size=40))
    return wire


@given(method=st.sampled_from(AUTHENTICATED), sizes=SIZES, splits=SPLITS, data=st.data())
def test_openers_agree(
    shadowsocks_twins: Any, method: str, sizes: list[int], splits: list[int], data: st.DataObject
) -> None:
    cython, python = shadowsocks_twins
    source = random.Random(len(sizes))
    payloads = [source.randbytes(min(size, 0xFFFF)) for size in sizes]
    wire = data.draw(damaged(records(cython, method, payloads)))
    assert records(python, method, payloads) == records(cython, method, payloads)
    pieces = list(pieces_of(wire, splits))
    length = data.draw(st.just(-1) | st.integers(1, 300))
    told = [
        trace(new_codec(twin, new_opener(twin, method, length=length)), pieces)
        for twin in (cython, python)
    ]
    assert told[0] == told[1]


@given(
    method=st.sampled_from(AUTHENTICATED),
    sizes=SIZES,
    preamble=st.binary(max_size=91),
    counter=st.integers(0, 2**63),
    opening=st.none() | st.binary(max_size=91),
)
def test_sealers_agree(
    shadowsocks_twins: Any,
    method: str,
    sizes: list[int],
    preamble: bytes,
    counter: int,
    opening: bytes | None,
) -> None:
    options: dict[str, Any] = {"preamble": preamble, "counter": counter}
    if opening is not None:
        options["opening"] = lambda _: opening
    one, other = (new_sealer(twin, method, **options) for twin in shadowsocks_twins)
    for size in sizes:
        payload = random.Random(size).randbytes(size)
        assert one.seal(payload) == other.seal(payload)


@given(method=st.sampled_from(STREAM), sizes=SIZES, splits=SPLITS)
def test_streams_agree(
    shadowsocks_twins: Any, method: str, sizes: list[int], splits: list[int]
) -> None:
    source = random.Random(len(splits))
    key = source.randbytes(METHODS[method].key_size)
    iv = source.randbytes(METHODS[method].salt_size)
    made = []
    for twin in shadowsocks_twins:
        own, ciphers = twin.METHODS[method], twin.session_ciphers
        made.append(
            (
                ciphers.stream_sealer(own, key, iv),
                new_codec(twin, ciphers.stream_opener(own, key, iv)),
            )
        )
    (one, opens), (other, also_opens) = made
    wire = plain = b""
    for size in sizes:
        payload = source.randbytes(size)
        sealed = one.seal(payload)
        assert sealed == other.seal(payload)
        wire += sealed
        plain += payload
    pieces = list(pieces_of(wire[len(iv) :], splits))
    assert open_all(opens, pieces) == open_all(also_opens, pieces) == plain


def test_constants_agree(shadowsocks_twins: Any) -> None:
    one, other = (twin.framing for twin in shadowsocks_twins)
    assert one.EMPTY_RECORDS == other.EMPTY_RECORDS == 16
    assert one.Codec.HEAD_SIZE == other.Codec.HEAD_SIZE
    assert {m.name for m in METHODS.values() if m.authenticated} == {*AEAD, *AEAD_2022}
