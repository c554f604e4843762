"""Fingerprints of what is remembered, in pure Python; the twin of ``_fingerprints.pyx``."""

from __future__ import annotations

from ..crypto._primitives_py import KeyedHash


class Fingerprints:
    """Makes the fingerprints of one key's salts and session IDs.

    They cover the method and the key, so that those of all keys can be kept in one memory, and all
    of the salt, whose first bytes some clients choose.

    :param keyed_hash: that of the memory.
    :param method: its name.
    :param key: the key that seals, 32 bytes at most.
    """

    __slots__ = ("_hash", "_key", "_method")

    def __init__(self, keyed_hash: KeyedHash, method: str, key: bytes) -> None:
        self._hash = keyed_hash
        self._method = method.encode() + b"\0"
        self._key = key

    def of(self, data: bytes, key: bytes | None = None) -> int:
        """Return the fingerprint of a salt or session ID.

        :param data: 32 bytes at most.
        :param key: that of a user, in the place of this object's.
        :return: a number of 64 bits.
        """
        return self._hash.hash64(self._method + (self._key if key is None else key) + data)
