"""StreamCipher and BlockCipher, on both twins."""

from __future__ import annotations

import hashlib
import random
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsocks.errors import MethodError
from fastsocks.shadowsocks.methods import METHODS, Family

METHOD_NAMES = [m.name for m in METHODS.values() if m.family is Family.STREAM]

#: Name -> key size and IV size in bytes.
CIPHERS = {
    m.cipher: (m.key_size, 0 if m.cipher == "RC4" else m.salt_size)
    for m in METHODS.values()
    if m.family is Family.STREAM
}

PIECES = st.lists(st.integers(0, 300) | st.integers(0, 70_000), min_size=1, max_size=8)


def new_cipher(primitives: ModuleType, method: str, vector: Any, part: Any, encrypt: bool) -> Any:
    key, iv = bytes.fromhex(vector["key_hex"]), bytes.fromhex(part["iv_hex"])
    if METHODS[method].cipher == "RC4":
        key, iv = hashlib.md5(key + iv, usedforsecurity=False).digest(), b""
    return primitives.StreamCipher(METHODS[method].cipher, key, iv, encrypt)


@pytest.mark.parametrize("name", METHOD_NAMES)
@pytest.mark.parametrize("part", ["tcp_request", "tcp_response", "udp_request", "udp_response"])
def test_messages(primitives: ModuleType, stream_vectors: Any, name: str, part: str) -> None:
    (vector,) = (v for v in stream_vectors["vectors"] if v["method"] == name)
    message = vector[part]
    plaintext = bytes.fromhex(message["plaintext_hex"])
    ciphertext = bytes.fromhex(message["wire_hex"].removeprefix(message["iv_hex"]))
    for split in range(len(plaintext) + 1):
        for encrypt, given_bytes, wanted in (
            (True, plaintext, ciphertext),
            (False, ciphertext, plaintext),
        ):
            cipher = new_cipher(primitives, name, vector, message, encrypt)
            made = cipher.update(given_bytes[:split]) + cipher.update(given_bytes[split:])
            assert made == wanted


@pytest.mark.parametrize("name", METHOD_NAMES)
def test_long_message(primitives: ModuleType, stream_vectors: Any, name: str) -> None:
    (vector,) = (v for v in stream_vectors["vectors"] if v["method"] == name)
    part = vector["long"]
    pattern, length = bytes.fromhex(stream_vectors["pat251_hex"]), part["plaintext"]["length"]
    plaintext = (pattern * (length // len(pattern) + 1))[:length]
    ciphertext = new_cipher(primitives, name, vector, part, True).update(plaintext)
    assert hashlib.sha256(ciphertext).hexdigest() == part["ciphertext_sha256"]


def test_ctr_counts_in_128_bits(primitives: ModuleType, stream_vectors: Any) -> None:
    carry = stream_vectors["ctr_carry"]
    carry = carry[0] if isinstance(carry, list) else carry
    cipher = new_cipher(primitives, carry["method"], carry, carry, True)
    assert cipher.update(bytes.fromhex(carry["plaintext_hex"])).hex() == carry["ciphertext_hex"]


def test_chacha20_known_answer(primitives: ModuleType) -> None:
    """RFC 8439 section 2.4.2, whose counter starts at 1: one block further on."""
    iv = bytes.fromhex("000000000000004a00000000")
    cipher = primitives.StreamCipher("ChaCha20", bytes(range(32)), iv, True)
    cipher.update(bytes(64))
    sealed = cipher.update(b"Ladies and Gentlemen of the class of '99")
    assert sealed.hex() == (
        "6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0bf91b65c5524733ab"
    )


def test_rc4_known_answer(primitives: ModuleType) -> None:
    """RFC 6229 section 2, the 128-bit key."""
    key = bytes.fromhex("0102030405060708090a0b0c0d0e0f10")
    cipher = primitives.StreamCipher("RC4", key, b"", True)
    assert cipher.update(bytes(16)).hex() == "9ac7cc9a609d1ef7b2932899cde41b97"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_takes_any_buffer(primitives: ModuleType, kind: Any) -> None:
    cipher = primitives.StreamCipher("AES-128-CTR", kind(bytes(16)), kind(bytes(16)), True)
    assert cipher.update(kind(b"")) == b""
    assert cipher.update(kind(bytes(4))).hex() == "66e94bd4"


@pytest.mark.parametrize("name", CIPHERS)
def test_wrong_sizes(primitives: ModuleType, name: str) -> None:
    key_size, iv_size = CIPHERS[name]
    with pytest.raises(ValueError, match=f"a key of {key_size + 1} bytes where {key_size}"):
        primitives.StreamCipher(name, bytes(key_size + 1), bytes(iv_size), True)
    with pytest.raises(ValueError, match=f"an IV of {iv_size + 1} bytes where {iv_size} belong"):
        primitives.StreamCipher(name, bytes(key_size), bytes(iv_size + 1), True)


def test_not_a_stream_cipher(primitives: ModuleType) -> None:
    with pytest.raises(MethodError, match="AES-128-GCM"):
        primitives.StreamCipher("AES-128-GCM", bytes(16), bytes(12), True)


def test_hides_its_key(primitives: ModuleType) -> None:
    cipher = primitives.StreamCipher("RC4", b"0123456789abcdef", b"", True)
    assert repr(cipher) == "<StreamCipher RC4>"
    assert repr(primitives.BlockCipher(b"0123456789abcdef")) == "<BlockCipher>"


@given(name=st.sampled_from(list(CIPHERS)), seed=st.integers(0, 2**32), pieces=PIECES)
def test_twins_agree(
    twin_primitives: tuple[ModuleType, ModuleType], name: str, seed: int, pieces: list[int]
) -> None:
    source = random.Random(seed)
    key, iv = (source.randbytes(size) for size in CIPHERS[name])
    for encrypt in (True, False):
        cython, python = (m.StreamCipher(name, key, iv, encrypt) for m in twin_primitives)
        for size in pieces:
            data = source.randbytes(size)
            assert cython.update(data) == python.update(data)


@given(name=st.sampled_from(list(CIPHERS)), seed=st.integers(0, 2**32), pieces=PIECES)
def test_decrypts_at_other_splits(
    primitives: ModuleType, name: str, seed: int, pieces: list[int]
) -> None:
    source = random.Random(seed)
    key, iv = (source.randbytes(size) for size in CIPHERS[name])
    plaintext = source.randbytes(sum(pieces))
    ciphertext = primitives.StreamCipher(name, key, iv, True).update(plaintext)
    cipher, start, opened = primitives.StreamCipher(name, key, iv, False), 0, b""
    for size in pieces:
        opened += cipher.update(ciphertext[start : start + size])
        start += size
    assert opened == plaintext


@pytest.mark.parametrize(
    ("key_size", "encrypted"),
    [(16, "69c4e0d86a7b0430d8cdb78070b4c55a"), (32, "8ea2b7ca516745bfeafc49904b496089")],
)
def test_block_known_answers(primitives: ModuleType, key_size: int, encrypted: str) -> None:
    """FIPS 197 appendix C."""
    cipher = primitives.BlockCipher(bytes(range(key_size)))
    block = bytes.fromhex("00112233445566778899aabbccddeeff")
    for _ in range(3):
        assert cipher.encrypt(block).hex() == encrypted
        assert cipher.decrypt(bytearray.fromhex(encrypted)) == block


def test_block_wrong_sizes(primitives: ModuleType) -> None:
    for size in (0, 15, 24, 33):
        with pytest.raises(ValueError, match=f"a key of {size} bytes where 16 or 32 belong"):
            primitives.BlockCipher(bytes(size))
    cipher = primitives.BlockCipher(bytes(16))
    for size in (0, 15, 17, 32):
        with pytest.raises(ValueError, match=f"a block of {size} bytes where 16 belong"):
            cipher.encrypt(bytes(size))
        with pytest.raises(ValueError, match=f"a block of {size} bytes where 16 belong"):
            cipher.decrypt(bytes(size))


@given(
    key=st.binary(min_size=16, max_size=16) | st.binary(min_size=32, max_size=32),
    block=st.binary(min_size=16, max_size=16),
)
def test_block_twins_agree(
    twin_primitives: tuple[ModuleType, ModuleType], key: bytes, block: bytes
) -> None:
    cython, python = (module.BlockCipher(key) for module in twin_primitives)
    assert cython.encrypt(block) == python.encrypt(block)
    assert cython.decrypt(block) == python.decrypt(block)
