"""Requests to a Shadowsocks server as no client of ours would make them, for tests."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from shadowsocks_ends import NOW, PASSWORD, psk


def sealed(shadowsocks: Any, method: str, payloads: Iterable[bytes], salt: bytes = b"") -> bytes:
    """Seal one SIP004 record per payload behind a salt, as no client of ours would."""
    own = shadowsocks.METHODS[method]
    salt = salt or random.Random(method).randbytes(own.salt_size)
    key = shadowsocks.client_key(method, PASSWORD).key
    aead = shadowsocks.session_ciphers.session_aead(own, key, salt)
    wire, counter = salt, 0
    for payload in payloads:
        for text in (len(payload).to_bytes(2, "big"), payload):
            wire += aead.seal(counter.to_bytes(own.nonce_size, "little"), text)
            counter += 1
    return wire


def sealed_2022(
    shadowsocks: Any,
    method: str,
    variable: bytes,
    *,
    fixed: bytes | None = None,
    now: int = NOW,
    records: Iterable[bytes] = (),
) -> bytes:
    """Seal a request with any header, as no client of ours would."""
    own = shadowsocks.METHODS[method]
    salt = random.Random(variable).randbytes(own.salt_size)
    key = shadowsocks.client_key(method, psk(method)).key
    aead = shadowsocks.session_ciphers.session_aead(own, key, salt)
    if fixed is None:
        fixed = b"\0" + now.to_bytes(8, "big") + len(variable).to_bytes(2, "big")
    texts = [fixed, variable]
    for record in records:
        texts += [len(record).to_bytes(2, "big"), record]
    return salt + b"".join(
        aead.seal(counter.to_bytes(12, "little"), text) for counter, text in enumerate(texts)
    )
