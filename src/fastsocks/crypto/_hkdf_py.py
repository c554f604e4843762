"""HKDF-SHA1 in pure Python."""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..buffer import Buffer

_SHA1 = SHA1()  # noqa: S303 - SIP007 asks for it, and HMAC-SHA1 stands


def hkdf_sha1(key: Buffer, salt: Buffer, info: Buffer, length: int) -> bytes:
    """Derive a subkey (RFC 5869 with SHA-1, as SIP007 wants it).

    :param key: input keying material, of any size.
    :param salt: of any size.
    :param info: of any size.
    :param length: of the result in bytes, 1 to 5100.
    :raises ValueError: a `length` out of range.
    """
    if not 1 <= length <= 255 * 20:
        raise ValueError("HKDF-SHA1 gives 1 to 5100 bytes")
    return HKDF(_SHA1, length, bytes(salt), bytes(info)).derive(key)
