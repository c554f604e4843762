"""What a new connection costs in keys, per direction."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from fastsocks.crypto import blake3_derive
from twins import import_twin

KEY = bytes(range(32))
SALT = bytes(range(32, 64))


def test_hkdf_sha1(benchmark: BenchmarkFixture, implementation: str) -> None:
    benchmark.group = "HKDF-SHA1 subkey (SIP007)"
    crypto = import_twin("fastsocks.crypto", "_primitives", implementation)
    assert len(benchmark(crypto.hkdf_sha1, KEY, SALT, b"ss-subkey", 32)) == 32


def test_blake3(benchmark: BenchmarkFixture) -> None:
    benchmark.group = "BLAKE3 subkey (SIP022), one for both"
    subkey = benchmark(blake3_derive, "shadowsocks 2022 session subkey", KEY + SALT, 32)
    assert len(subkey) == 32


@pytest.mark.parametrize("cipher", ["AES-256-GCM", "ChaCha20-Poly1305", "XChaCha20-Poly1305"])
def test_key_aead(benchmark: BenchmarkFixture, implementation: str, cipher: str) -> None:
    benchmark.group = f"key {cipher}"
    crypto = import_twin("fastsocks.crypto", "_primitives", implementation)
    assert benchmark(crypto.Aead, cipher, KEY).name == cipher
