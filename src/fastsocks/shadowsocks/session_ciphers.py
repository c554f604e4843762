"""The ciphers of one direction of one connection, keyed for it."""

from __future__ import annotations

from collections.abc import Callable

from ..crypto import Aead, StreamCipher, hkdf_sha1
from .framing import EMPTY_RECORDS, RecordOpener, RecordSealer, StreamOpener, StreamSealer
from .headers import session_subkey
from .methods import Method

AEAD_INFO = b"ss-subkey"


def session_aead(method: Method, key: bytes, salt: bytes) -> Aead:
    """Key an AEAD cipher for the direction that `salt` opens (SIP007, SIP022).

    :param key: the master key or PSK, ``method.key_size`` bytes.
    """
    if method.family.timed:
        return Aead(method.cipher, session_subkey(key, salt))
    return Aead(method.cipher, hkdf_sha1(key, salt, AEAD_INFO, method.key_size))


def session_stream(method: Method, key: bytes, iv: bytes, *, encrypt: bool) -> StreamCipher:
    """Key a stream cipher for the direction that `iv` opens; rc4-md5 hashes the IV in."""
    if method.cipher == "RC4":
        import hashlib  # for this old method alone

        key, iv = hashlib.md5(key + iv, usedforsecurity=False).digest(), b""
    return StreamCipher(method.cipher, key, iv, encrypt)


def record_sealer(
    method: Method,
    aead: Aead,
    *,
    counter: int = 0,
    preamble: bytes = b"",
    opening: Callable[[int], bytes] | None = None,
) -> RecordSealer:
    """Seal records as `method` frames them; see :class:`RecordSealer`."""
    return RecordSealer(
        aead,
        method.nonce_size,
        method.family.record_limit,
        counter=counter,
        preamble=preamble,
        opening=opening,
    )


def record_opener(
    method: Method, aead: Aead, *, counter: int = 0, length: int = -1
) -> RecordOpener:
    """Open records as `method` frames them; SIP022 lets no empty one pass."""
    return RecordOpener(
        aead,
        method.nonce_size,
        method.family.record_limit,
        counter=counter,
        length=length,
        empty_records=EMPTY_RECORDS if method.family.empty_records else 0,
    )


def stream_sealer(method: Method, key: bytes, iv: bytes) -> StreamSealer:
    """Encrypt a direction that begins with `iv`."""
    return StreamSealer(session_stream(method, key, iv, encrypt=True), iv)


def stream_opener(method: Method, key: bytes, iv: bytes) -> StreamOpener:
    """Decrypt a direction whose `iv` was taken off already."""
    return StreamOpener(session_stream(method, key, iv, encrypt=False))
