"""Sealers, openers and records of TCP, for tests."""

from __future__ import annotations

import random
from typing import Any

from fastsocks.shadowsocks.methods import METHODS


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
