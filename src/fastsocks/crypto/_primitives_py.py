"""AEAD, stream cipher, block cipher and HKDF on the `cryptography` package: pure Python.

The twin of ``_primitives.pyx``; ``fastsocks.crypto`` picks one of the two.
"""

from __future__ import annotations

import os

from cryptography.hazmat.backends.openssl import backend

from ..errors import MethodError
from ._aead_py import AEADS, Aead
from ._block_py import BlockCipher
from ._hkdf_py import hkdf_sha1
from ._keyed_hash_py import KeyedHash
from ._messages import missing
from ._stream_py import STREAMS, StreamCipher

__all__ = [
    "Aead",
    "BlockCipher",
    "KeyedHash",
    "StreamCipher",
    "hkdf_sha1",
    "libcrypto_version",
    "random_bytes",
    "require",
    "supports",
]


def random_bytes(size: int) -> bytes:
    """Return `size` bytes from the kernel's generator."""
    return os.urandom(size)


def require(cipher: str) -> None:
    """Return if this libcrypto has `cipher`, by the names of Aead and StreamCipher.

    :raises MethodError: it has not; names the cure.
    """
    kind = STREAMS.get(cipher)
    if kind is not None:
        StreamCipher(cipher, bytes(kind.key_size), bytes(kind.iv_size), True)
    elif cipher not in AEADS:
        raise MethodError(missing(cipher))


def supports(cipher: str) -> bool:
    """Return whether this libcrypto has `cipher`, by the names of Aead and StreamCipher."""
    try:
        require(cipher)
    except MethodError:
        return False
    return True


def libcrypto_version() -> str:
    """Return the version of the libcrypto inside `cryptography`: ``OpenSSL 3.5.4 30 Sep 2025``."""
    return backend.openssl_version_text()
