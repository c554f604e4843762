"""Keyed hashes of 64 bits in pure Python."""

from __future__ import annotations

import hashlib
import sys
from typing import NoReturn

from ..buffer import Buffer
from ._messages import wrong_size

_KEY_SIZE = 16


class KeyedHash:
    """Hashes of 64 bits under a secret key, for tables that strangers put entries in.

    The function is the fastest that an implementation has: SipHash-2-4 of libcrypto, and keyed
    BLAKE2s of hashlib here. So no two implementations share a table.

    :param key: 16 random bytes.
    :raises ValueError: a key of another size.
    """

    __slots__ = ("_key",)

    def __init__(self, key: Buffer) -> None:
        if len(key) != _KEY_SIZE:
            raise ValueError(wrong_size("a key", len(key), _KEY_SIZE))
        self._key = bytes(key)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a keyed hash can be neither copied nor pickled")

    def __repr__(self) -> str:
        return "<KeyedHash>"

    def hash64(self, data: Buffer) -> int:
        """Return the hash of `data`, of any size, as a number of 64 bits."""
        found = hashlib.blake2s(data, digest_size=8, key=self._key).digest()
        return int.from_bytes(found, sys.byteorder)
