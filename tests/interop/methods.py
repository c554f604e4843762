"""Which methods both ends know, and with which keys."""

from __future__ import annotations

from typing import NamedTuple

from harness.services import Implementation, PeerName
from harness.shadowsocks import generate_key

_AES_CFB = ("aes-128-cfb", "aes-192-cfb", "aes-256-cfb")
_AES_CTR = ("aes-128-ctr", "aes-192-ctr", "aes-256-ctr")
_CAMELLIA = ("camellia-128-cfb", "camellia-192-cfb", "camellia-256-cfb")
_STREAM = (*_AES_CFB, *_AES_CTR, *_CAMELLIA, "chacha20-ietf", "rc4-md5")

METHODS: dict[PeerName, tuple[str, ...]] = {
    "libev": (
        *("aes-128-gcm", "aes-192-gcm", "aes-256-gcm"),
        *("chacha20-ietf-poly1305", "xchacha20-ietf-poly1305"),
        *_STREAM,
    ),
    "rust": (
        *("2022-blake3-aes-128-gcm", "2022-blake3-aes-256-gcm", "2022-blake3-chacha20-poly1305"),
        *("aes-128-gcm", "aes-256-gcm", "chacha20-ietf-poly1305", "xchacha20-ietf-poly1305"),
        *_STREAM,
        "none",
    ),
}

# The fast suite runs the pure-Python twins on these only: their code is one per family.
_PYTHON = {
    *("2022-blake3-aes-128-gcm", "2022-blake3-chacha20-poly1305"),
    *("aes-256-gcm", "xchacha20-ietf-poly1305"),
    *("aes-256-cfb", "rc4-md5", "none"),
}

ONE_PER_FAMILY: dict[PeerName, tuple[str, ...]] = {
    "libev": ("aes-256-gcm", "aes-256-cfb"),
    "rust": ("2022-blake3-aes-128-gcm", "aes-256-gcm", "aes-256-cfb"),
}


class Case(NamedTuple):
    """One method between one implementation of ours and one peer."""

    peer: PeerName
    method: str
    implementation: Implementation

    def __str__(self) -> str:
        return f"{self.peer}-{self.method}-{self.implementation}"

    def generate_key(self) -> str:
        """Return a fresh key for the method."""
        return generate_key(self.method)


FAST = [
    Case(peer, method, implementation)
    for peer, methods in METHODS.items()
    for method in methods
    for implementation in ("cython", "python")
    if implementation == "cython" or method in _PYTHON
]

LARGE = [
    Case(peer, method, "cython") for peer, methods in ONE_PER_FAMILY.items() for method in methods
]
