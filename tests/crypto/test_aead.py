"""Aead, on both twins."""

from __future__ import annotations

import hashlib
import itertools
import random
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsocks.errors import MethodError, TagError
from fastsocks.shadowsocks.methods import METHODS, Family

#: Name -> key size and nonce size in bytes.
CIPHERS = {
    "AES-128-GCM": (16, 12),
    "AES-192-GCM": (24, 12),
    "AES-256-GCM": (32, 12),
    "ChaCha20-Poly1305": (32, 12),
    "XChaCha20-Poly1305": (32, 24),
}
METHOD_NAMES = [m.name for m in METHODS.values() if m.family is Family.AEAD]

# The Galois/Counter Mode of Operation (McGrew, Viega), test cases 1, 2, 7, 8, 13, 14:
# key size, plaintext size (both of zeros), ciphertext, tag.
GCM = [
    (16, 0, "", "58e2fccefa7e3061367f1d57a4e7455a"),
    (16, 16, "0388dace60b6a392f328c2b971b2fe78", "ab6e47d42cec13bdf53a67b21257bddf"),
    (24, 0, "", "cd33b28ac773f74ba00ed1f312572435"),
    (24, 16, "98e7247c07f0fe411c267e4384b0f600", "2ff58d80033927ab8ef4d4587514f0fb"),
    (32, 0, "", "530f8afbc74536b9a963b4f1c4cb738b"),
    (32, 16, "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"),
]


def new_aead(primitives: ModuleType, cipher: str) -> Any:
    return primitives.Aead(cipher, bytes(range(CIPHERS[cipher][0])))


@pytest.mark.parametrize(("key_size", "size", "ciphertext", "tag"), GCM)
def test_gcm_known_answers(
    primitives: ModuleType, key_size: int, size: int, ciphertext: str, tag: str
) -> None:
    aead = primitives.Aead(f"AES-{8 * key_size}-GCM", bytes(key_size))
    sealed = bytes.fromhex(ciphertext + tag)
    assert aead.seal(bytes(12), bytes(size)) == sealed
    assert aead.open(bytes(12), sealed) == bytes(size)


def test_hchacha20_known_answer(primitives: ModuleType) -> None:
    """draft-irtf-cfrg-xchacha-03 section 2.2.1: XChaCha20 uses the subkey given there."""
    subkey = bytes.fromhex("82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc")
    head, tail = bytes.fromhex("000000090000004a0000000031415927"), b"12345678"
    extended = primitives.Aead("XChaCha20-Poly1305", bytes(range(32)))
    inner = primitives.Aead("ChaCha20-Poly1305", subkey)
    assert extended.seal(head + tail, b"text") == inner.seal(bytes(4) + tail, b"text")


@pytest.mark.parametrize("name", METHOD_NAMES)
@pytest.mark.parametrize("part", ["tcp_request", "tcp_request_small", "tcp_response"])
def test_records(primitives: ModuleType, aead_vectors: Any, name: str, part: str) -> None:
    (vector,) = (v for v in aead_vectors["vectors"] if v["method"] == name)
    pattern = bytes.fromhex(aead_vectors["pat251_hex"])
    direction = vector[part]
    subkey = bytes.fromhex(direction["subkey_hex"])
    sealing = primitives.Aead(METHODS[name].cipher, subkey)
    opening = primitives.Aead(METHODS[name].cipher, subkey)
    for chunk in direction["chunks"]:
        plain = chunk["plaintext"]
        if "hex" in plain:
            payload = bytes.fromhex(plain["hex"])
        else:
            assert plain["repeat_hex"] == "PAT251"
            payload = (pattern * (plain["length"] // len(pattern) + 1))[: plain["length"]]
        nonce = bytes.fromhex(chunk["nonce_len_hex"])
        length = len(payload).to_bytes(2, "big")
        sealed = sealing.seal(nonce, length)
        assert sealed.hex() == chunk["length_ct_hex"]
        assert opening.open(nonce, sealed) == length
        nonce = bytes.fromhex(chunk["nonce_payload_hex"])
        sealed = sealing.seal(nonce, payload)
        if "payload_ct_hex" in chunk:
            assert sealed.hex() == chunk["payload_ct_hex"]
        else:
            assert hashlib.sha256(sealed).hexdigest() == chunk["payload_ct_sha256"]
        assert opening.open(nonce, sealed) == payload


@pytest.mark.parametrize("cipher", CIPHERS)
def test_one_object_both_ways(primitives: ModuleType, cipher: str) -> None:
    aead, nonce = new_aead(primitives, cipher), bytes(CIPHERS[cipher][1])
    for size in (0, 1, 16, 0xFFFF):
        plaintext = bytes(size)
        assert aead.open(nonce, aead.seal(nonce, plaintext)) == plaintext


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_takes_any_buffer(primitives: ModuleType, cipher: str, kind: Any) -> None:
    aead, nonce = new_aead(primitives, cipher), kind(bytes(range(CIPHERS[cipher][1])))
    sealed = aead.seal(nonce, kind(b"plaintext"))
    assert aead.open(nonce, kind(sealed)) == b"plaintext"
    assert type(sealed) is bytes


@pytest.mark.parametrize("cipher", CIPHERS)
def test_every_flipped_bit_is_noticed(primitives: ModuleType, cipher: str) -> None:
    aead, nonce = new_aead(primitives, cipher), bytes(CIPHERS[cipher][1])
    sealed = aead.seal(nonce, b"ab")
    for bit in range(8 * len(sealed)):
        tampered = bytearray(sealed)
        tampered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(TagError):
            aead.open(nonce, tampered)
    assert aead.open(nonce, sealed) == b"ab"


@pytest.mark.parametrize("cipher", CIPHERS)
def test_another_nonce_or_key_or_size_is_noticed(primitives: ModuleType, cipher: str) -> None:
    key_size, nonce_size = CIPHERS[cipher]
    aead = new_aead(primitives, cipher)
    sealed = aead.seal(bytes(nonce_size), b"plaintext")
    with pytest.raises(TagError):
        aead.open(bytes(nonce_size - 1) + b"\1", sealed)
    with pytest.raises(TagError):
        aead.open(b"\1" + bytes(nonce_size - 1), sealed)
    with pytest.raises(TagError):
        primitives.Aead(cipher, bytes(key_size)).open(bytes(nonce_size), sealed)
    for size in range(len(sealed)):
        with pytest.raises(TagError):
            aead.open(bytes(nonce_size), sealed[:size])


def test_extended_nonces_in_any_order(primitives: ModuleType) -> None:
    """The subkey that is kept from one record to the next follows the nonce."""
    aead = primitives.Aead("XChaCha20-Poly1305", bytes(32))
    nonces = [bytes(24), b"\xff" * 24]
    nonces += [bytes(place) + b"\1" + bytes(23 - place) for place in (0, 15, 16, 23)]
    sealed = [primitives.Aead("XChaCha20-Poly1305", bytes(32)).seal(n, b"x") for n in nonces]
    assert len(set(sealed)) == len(nonces)
    for one, other in itertools.product(range(len(nonces)), repeat=2):
        assert aead.seal(nonces[one], b"x") == sealed[one]
        assert aead.open(nonces[other], sealed[other]) == b"x"


@pytest.mark.parametrize("cipher", CIPHERS)
def test_wrong_sizes(primitives: ModuleType, cipher: str) -> None:
    key_size, nonce_size = CIPHERS[cipher]
    for size in (0, key_size - 1, key_size + 1):
        with pytest.raises(ValueError, match=f"a key of {size} bytes where {key_size} belong"):
            primitives.Aead(cipher, bytes(size))
    aead = new_aead(primitives, cipher)
    for size in (0, nonce_size - 1, nonce_size + 1):
        with pytest.raises(ValueError, match=f"a nonce of {size} bytes where {nonce_size} belong"):
            aead.seal(bytes(size), b"")
        with pytest.raises(ValueError, match=f"a nonce of {size} bytes where {nonce_size} belong"):
            aead.open(bytes(size), bytes(16))


def test_not_an_aead(primitives: ModuleType) -> None:
    with pytest.raises(MethodError, match="AES-256-CTR"):
        primitives.Aead("AES-256-CTR", bytes(32))
    with pytest.raises(TypeError):
        primitives.Aead("AES-256-GCM", "text" * 8)


def test_says_what_it_is_and_hides_its_key(primitives: ModuleType) -> None:
    aead = primitives.Aead("AES-128-GCM", b"0123456789abcdef")
    assert repr(aead) == "<Aead AES-128-GCM>"
    assert (aead.name, aead.nonce_size) == ("AES-128-GCM", 12)


@given(
    cipher=st.sampled_from(list(CIPHERS)),
    seed=st.integers(0, 2**32),
    records=st.lists(
        st.tuples(st.integers(0, 70_000), st.booleans(), st.booleans()), min_size=1, max_size=6
    ),
)
def test_twins_agree(
    twin_primitives: tuple[ModuleType, ModuleType],
    cipher: str,
    seed: int,
    records: list[tuple[int, bool, bool]],
) -> None:
    source = random.Random(seed)
    key_size, nonce_size = CIPHERS[cipher]
    key, nonce = source.randbytes(key_size), source.randbytes(nonce_size)
    cython, python = (module.Aead(cipher, key) for module in twin_primitives)
    for size, next_nonce, tamper in records:
        if next_nonce:
            nonce = source.randbytes(nonce_size)
        plaintext = source.randbytes(size)
        sealed = cython.seal(nonce, plaintext)
        assert python.seal(nonce, plaintext) == sealed
        if tamper:
            place = source.randrange(len(sealed))
            sealed = sealed[:place] + bytes((sealed[place] ^ 1,)) + sealed[place + 1 :]
            for aead in (cython, python):
                with pytest.raises(TagError):
                    aead.open(nonce, sealed)
        else:
            assert cython.open(nonce, sealed) == plaintext == python.open(nonce, sealed)


@pytest.mark.parametrize("cipher", CIPHERS)
def test_python_writes_into_the_callers_buffer(cipher: str) -> None:
    import fastsocks.crypto._primitives_py as primitives

    aead, nonce = new_aead(primitives, cipher), bytes(CIPHERS[cipher][1])
    room = bytearray(b"." * 30)
    assert aead.seal_into(nonce, b"plaintext", memoryview(room)[2:27]) == 25
    assert bytes(room[2:27]) == aead.seal(nonce, b"plaintext")
    assert bytes(room[:2] + room[27:]) == b"....."
    out = bytearray(9)
    assert aead.open_into(nonce, memoryview(room)[2:27], out) == 9
    assert out == b"plaintext"
    room[2] ^= 1
    with pytest.raises(TagError):
        aead.open_into(nonce, memoryview(room)[2:27], out)
    with pytest.raises(TagError):
        aead.open_into(nonce, b"short", out)
    with pytest.raises(ValueError, match="24"):
        aead.seal_into(nonce, b"plaintex", room)
    with pytest.raises(ValueError, match="a nonce"):
        aead.open_into(b"", b"", b"")
