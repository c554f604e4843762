"""Sealing and opening, per method and size: records and running ciphers, without IO."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from fastsocks.shadowsocks.methods import METHODS, Family, Method
from twins import import_twin

SIZES = {"64 B": 64, "16 KiB": 16 * 1024, "64 KiB": 64 * 1024}
NAMES = [
    "2022-blake3-aes-128-gcm",
    "2022-blake3-aes-256-gcm",
    "2022-blake3-chacha20-poly1305",
    "aes-128-gcm",
    "aes-256-gcm",
    "chacha20-ietf-poly1305",
    "xchacha20-ietf-poly1305",
    "aes-256-cfb",
    "aes-256-ctr",
]
# An opener cannot open the same record twice: each round opens this many in a row.
OPENED = 32

Endpoints = tuple[Callable[[], Any], Callable[[], Any]]


def make_endpoints(implementation: str, method: Method) -> Endpoints:
    """How to make a sealer, and an opener of what it seals."""
    framing = import_twin("fastsocks.shadowsocks", "_framing", implementation)
    crypto = import_twin("fastsocks.crypto", "_primitives", implementation)
    source = random.Random(1)
    key = source.randbytes(method.key_size)
    if method.family is Family.STREAM:
        iv = source.randbytes(method.salt_size)
        return (
            lambda: framing.StreamSealer(crypto.StreamCipher(method.cipher, key, iv, True)),
            lambda: framing.StreamOpener(crypto.StreamCipher(method.cipher, key, iv, False)),
        )
    limit = 0xFFFF if method.family is Family.AEAD_2022 else 0x3FFF
    aead = crypto.Aead(method.cipher, key)
    return (
        lambda: framing.RecordSealer(aead, method.nonce_size, limit),
        lambda: framing.RecordOpener(aead, method.nonce_size, limit),
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_seal(benchmark: BenchmarkFixture, implementation: str, name: str, size: str) -> None:
    benchmark.group = f"seal {size}, {name}"
    make_sealer, _ = make_endpoints(implementation, METHODS[name])
    plaintext = random.Random(2).randbytes(SIZES[size])
    benchmark.extra_info["bytes"] = len(plaintext)
    assert len(benchmark(make_sealer().seal, plaintext)) >= len(plaintext)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_open(benchmark: BenchmarkFixture, implementation: str, name: str, size: str) -> None:
    benchmark.group = f"open {OPENED} x {size}, {name}"
    make_sealer, make_opener = make_endpoints(implementation, METHODS[name])
    plaintext = random.Random(2).randbytes(SIZES[size])
    sealer = make_sealer()
    pieces = [memoryview(sealer.seal(plaintext)) for _ in range(OPENED)]
    benchmark.extra_info["bytes"] = OPENED * len(plaintext)

    def fresh() -> tuple[tuple[Any], dict[str, Any]]:
        return (make_opener(),), {}

    def open_all(opener: Any) -> bytes:
        for piece in pieces:
            opened, _ = opener.open(piece)
        return bytes(opened)

    last = benchmark.pedantic(  # type: ignore[no-untyped-call]
        open_all, setup=fresh, rounds=100, warmup_rounds=5
    )
    assert last == plaintext
