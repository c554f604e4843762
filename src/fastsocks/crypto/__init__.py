"""Glue to libcrypto and BLAKE3; no cipher, hash or MAC is written here."""

from typing import TYPE_CHECKING, Final

from ..implementation import IMPLEMENTATION
from .blake import blake3_derive, blake3_hash16

if TYPE_CHECKING or IMPLEMENTATION == "python":
    from ._primitives_py import (
        Aead,
        BlockCipher,
        KeyedHash,
        StreamCipher,
        hkdf_sha1,
        libcrypto_version,
        random_bytes,
        require,
        supports,
    )
else:
    from ._primitives import (
        Aead,
        BlockCipher,
        KeyedHash,
        StreamCipher,
        hkdf_sha1,
        libcrypto_version,
        random_bytes,
        require,
        supports,
    )

#: Bytes by which an Aead makes a plaintext longer.
TAG_SIZE: Final = 16

__all__ = [
    "TAG_SIZE",
    "Aead",
    "BlockCipher",
    "KeyedHash",
    "StreamCipher",
    "blake3_derive",
    "blake3_hash16",
    "hkdf_sha1",
    "libcrypto_version",
    "random_bytes",
    "require",
    "supports",
]
