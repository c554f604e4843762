"""HKDF on both twins, BLAKE3, and random bytes."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastsocks.crypto
from fastsocks.crypto import blake3_derive, blake3_hash16
from fastsocks.implementation import IMPLEMENTATION
from harness.services import environment
from twins import import_twin


def test_subkeys(primitives: ModuleType, kdf_vectors: Any) -> None:
    vectors = kdf_vectors["hkdf_sha1"]
    assert len(vectors) == 6
    for vector in vectors:
        key, salt = bytes.fromhex(vector["key_hex"]), bytes.fromhex(vector["salt_hex"])
        subkey = primitives.hkdf_sha1(key, salt, vector["info"].encode(), len(key))
        assert subkey.hex() == vector["subkey_hex"]


def test_hkdf_known_answers(primitives: ModuleType) -> None:
    """RFC 5869 appendices A.4 and A.6: a partial last block, and an empty salt and info."""
    salt, info = bytes(range(13)), bytes(range(0xF0, 0xFA))
    assert primitives.hkdf_sha1(b"\x0b" * 11, salt, info, 42).hex() == (
        "085a01ea1b10f36933068b56efa5ad81a4f14b822f5b091568a9cdd4f155fda2c22e422478d305f3f896"
    )
    assert primitives.hkdf_sha1(b"\x0b" * 22, b"", b"", 42).hex() == (
        "0ac1af7002b3d761d1e55298da9d0506b9ae52057220a306e07b6b87e8df21d0ea00033de03984d34918"
    )


def test_siphash_known_answers() -> None:
    """The vectors of its paper's authors: the key counts up from 0, and so does the message."""
    keyed = import_twin("fastsocks.crypto", "_primitives", "cython").KeyedHash(bytes(range(16)))
    for size, wanted in ((0, "310e0edd47db6f72"), (15, "e545be4961ca29a1")):
        assert keyed.hash64(bytes(range(size))).to_bytes(8, sys.byteorder).hex() == wanted


def test_keyed_hashes(primitives: ModuleType) -> None:
    one, other = (primitives.KeyedHash(bytes((first,)) * 16) for first in range(2))
    messages = [os.urandom(size) for size in range(1, 200)]
    for keyed in (one, other):
        found = [keyed.hash64(message) for message in messages]
        assert found == [keyed.hash64(bytearray(message)) for message in messages]
        assert len(set(found)) == len(found)
        assert all(0 <= number < 2**64 for number in found)
    assert one.hash64(b"x") != other.hash64(b"x")
    assert repr(one) == "<KeyedHash>"
    with pytest.raises(ValueError, match="15 bytes where 16"):
        primitives.KeyedHash(bytes(15))
    with pytest.raises(TypeError, match="copied"):
        copy.copy(one)


@pytest.mark.parametrize("length", [-1, 0, 5101])
def test_hkdf_length_out_of_range(primitives: ModuleType, length: int) -> None:
    with pytest.raises(ValueError, match="1 to 5100"):
        primitives.hkdf_sha1(b"k", b"s", b"i", length)


@given(
    key=st.binary(max_size=100),
    salt=st.binary(max_size=100),
    info=st.binary(max_size=40),
    length=st.integers(1, 100) | st.integers(1, 5100),
)
def test_hkdf_twins_agree(
    twin_primitives: tuple[ModuleType, ModuleType],
    key: bytes,
    salt: bytes,
    info: bytes,
    length: int,
) -> None:
    cython, python = twin_primitives
    derived = cython.hkdf_sha1(key, bytearray(salt), memoryview(info), length)
    assert derived == python.hkdf_sha1(key, bytearray(salt), memoryview(info), length)
    assert len(derived) == length


def test_blake3(kdf_vectors: Any) -> None:
    vectors = kdf_vectors["blake3"]
    assert len(vectors) == 8
    for vector in vectors:
        psk = bytes.fromhex(vector["psk_hex"])
        if "hash16_hex" in vector:
            assert blake3_hash16(psk).hex() == vector["hash16_hex"]
            continue
        salt = bytes.fromhex(vector.get("salt_hex") or vector["session_id_hex"])
        assert blake3_derive(vector["context"], psk + salt, len(psk)).hex() == vector["subkey_hex"]


@pytest.mark.parametrize("size", [0, 1, 16, 256, 257, 5000])
def test_random_bytes(primitives: ModuleType, size: int) -> None:
    first, second = primitives.random_bytes(size), primitives.random_bytes(size)
    assert len(first) == len(second) == size
    if size >= 16:
        assert first != second
        # A piece that was never filled would repeat.
        assert len({first[at : at + 16] for at in range(0, size - 15, 16)}) == size // 16


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_random_bytes_are_not_given_out_again_after_a_fork(primitives: ModuleType) -> None:
    # In a process without threads, as forking one with threads is warned of.
    program = f"""if True:
        import os, {primitives.__name__} as primitives
        primitives.random_bytes(16)
        reader, writer = os.pipe()
        child = os.fork()
        os.write(writer, primitives.random_bytes(64))
        if child:
            os.waitpid(child, 0)
            found = os.read(reader, 128)
            print(len(found), len({{found[at : at + 16] for at in range(0, 128, 16)}}))
    """
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["128", "8"]


def test_random_bytes_of_negative_size(primitives: ModuleType) -> None:
    with pytest.raises(ValueError, match="negative"):
        primitives.random_bytes(-1)


def test_the_package_offers_the_twin_that_runs() -> None:
    wanted = "_primitives" if IMPLEMENTATION == "cython" else "_primitives_py"
    for name in ("Aead", "BlockCipher", "StreamCipher"):
        assert getattr(fastsocks.crypto, name).__module__ == f"fastsocks.crypto.{wanted}"
