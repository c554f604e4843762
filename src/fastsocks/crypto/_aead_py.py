"""Authenticated ciphers in pure Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from ..buffer import Buffer
from ..errors import MethodError, TagError
from ._messages import TAG_MISMATCH, missing
from ._sizes_py import check_size
from ._xchacha20_py import XChaCha20Poly1305


class _AeadCipher(Protocol):
    def encrypt(self, nonce: Buffer, data: Buffer, associated_data: None) -> bytes: ...
    def decrypt(self, nonce: Buffer, data: Buffer, associated_data: None) -> bytes: ...
    def encrypt_into(
        self, nonce: Buffer, data: Buffer, associated_data: None, buf: Buffer
    ) -> int: ...
    def decrypt_into(
        self, nonce: Buffer, data: Buffer, associated_data: None, buf: Buffer
    ) -> int: ...


class _Aead(NamedTuple):
    key_size: int
    nonce_size: int
    create: Callable[[bytes], _AeadCipher]


AEADS = {
    "AES-128-GCM": _Aead(16, 12, AESGCM),
    "AES-192-GCM": _Aead(24, 12, AESGCM),
    "AES-256-GCM": _Aead(32, 12, AESGCM),
    "ChaCha20-Poly1305": _Aead(32, 12, ChaCha20Poly1305),
    "XChaCha20-Poly1305": _Aead(32, 24, XChaCha20Poly1305),
}


class Aead:
    """An authenticated cipher under one key, without associated data.

    Not safe for use by two threads at once.

    :param cipher: AES-128-GCM, AES-192-GCM, AES-256-GCM, ChaCha20-Poly1305 (nonce 12 bytes)
        or XChaCha20-Poly1305 (nonce 24 bytes).
    :param key: 16, 24 or 32 bytes, as the cipher's name says; the ChaCha20 ones take 32.
    :raises MethodError: another cipher.
    :raises ValueError: a key of the wrong size.
    """

    __slots__ = ("_cipher", "name", "nonce_size")

    def __init__(self, cipher: str, key: Buffer) -> None:
        kind = AEADS.get(cipher)
        if kind is None:
            raise MethodError(missing(cipher))
        check_size("a key", len(key), kind.key_size)
        self.name = cipher
        #: In bytes.
        self.nonce_size = kind.nonce_size
        self._cipher = kind.create(bytes(key))

    def __repr__(self) -> str:
        return f"<Aead {self.name}>"

    def seal(self, nonce: Buffer, plaintext: Buffer) -> bytes:
        """Encrypt; returns the ciphertext and behind it the tag of 16 bytes.

        :raises ValueError: a nonce of the wrong size.
        """
        check_size("a nonce", len(nonce), self.nonce_size)
        return self._cipher.encrypt(nonce, plaintext, None)

    def open(self, nonce: Buffer, ciphertext: Buffer) -> bytes:
        """Decrypt what :meth:`seal` returned.

        :raises TagError: the tag does not match, or `ciphertext` is shorter than a tag.
        :raises ValueError: a nonce of the wrong size.
        """
        check_size("a nonce", len(nonce), self.nonce_size)
        try:
            return self._cipher.decrypt(nonce, ciphertext, None)
        except InvalidTag:
            raise TagError(TAG_MISMATCH) from None

    def seal_into(self, nonce: Buffer, plaintext: Buffer, out: Buffer) -> int:
        """Encrypt into `out`, exactly 16 bytes longer than `plaintext`; they may not overlap.

        :return: how many bytes were written.
        :raises ValueError: a nonce or an `out` of the wrong size.
        """
        check_size("a nonce", len(nonce), self.nonce_size)
        return self._cipher.encrypt_into(nonce, plaintext, None, out)

    def open_into(self, nonce: Buffer, ciphertext: Buffer, out: Buffer) -> int:
        """Decrypt into `out`, exactly 16 bytes shorter than `ciphertext`; they may not overlap.

        After a TagError `out` holds nothing of use.

        :return: how many bytes were written.
        :raises TagError: the tag does not match, or `ciphertext` is shorter than a tag.
        :raises ValueError: a nonce or an `out` of the wrong size.
        """
        check_size("a nonce", len(nonce), self.nonce_size)
        try:
            return self._cipher.decrypt_into(nonce, ciphertext, None, out)
        except InvalidTag:
            raise TagError(TAG_MISMATCH) from None
