"""XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) in pure Python."""

from __future__ import annotations

import struct

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from ..buffer import Buffer


def hchacha20(key: bytes, head: Buffer) -> bytes:
    """Derive an XChaCha20 subkey (draft-irtf-cfrg-xchacha-03 section 2.2).

    HChaCha20 is the ChaCha20 block without its last step, the addition of the initial state;
    so it is had by subtracting that state from one block of keystream.

    :param key: 32 bytes.
    :param head: the first 16 bytes of the nonce.
    :return: 32 bytes.
    """
    block = Cipher(ChaCha20(key, bytes(head)), None).encryptor().update(bytes(64))
    words = struct.unpack("<16I", block)
    constants = struct.unpack("<4I", b"expand 32-byte k")
    initial = struct.unpack("<4I", head)
    return struct.pack(
        "<8I",
        *((word - known) & 0xFFFFFFFF for word, known in zip(words[:4], constants, strict=True)),
        *((word - known) & 0xFFFFFFFF for word, known in zip(words[12:], initial, strict=True)),
    )


class XChaCha20Poly1305:
    """Interface of cryptography's AEAD classes, with a nonce of 24 bytes."""

    __slots__ = ("_head", "_inner", "_key")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._head = b""
        self._inner: ChaCha20Poly1305

    def _inner_for(self, nonce: Buffer) -> ChaCha20Poly1305:
        head = bytes(nonce[:16])
        # Shadowsocks counts nonces up from zero, so these 16 bytes hardly ever change.
        if head != self._head:
            self._inner = ChaCha20Poly1305(hchacha20(self._key, head))
            self._head = head
        return self._inner

    def encrypt(self, nonce: Buffer, data: Buffer, associated_data: None) -> bytes:
        inner = self._inner_for(nonce)
        return inner.encrypt(b"\0\0\0\0" + nonce[16:], data, associated_data)

    def decrypt(self, nonce: Buffer, data: Buffer, associated_data: None) -> bytes:
        inner = self._inner_for(nonce)
        return inner.decrypt(b"\0\0\0\0" + nonce[16:], data, associated_data)

    def encrypt_into(self, nonce: Buffer, data: Buffer, associated_data: None, buf: Buffer) -> int:
        inner = self._inner_for(nonce)
        return inner.encrypt_into(b"\0\0\0\0" + nonce[16:], data, associated_data, buf)

    def decrypt_into(self, nonce: Buffer, data: Buffer, associated_data: None, buf: Buffer) -> int:
        inner = self._inner_for(nonce)
        return inner.decrypt_into(b"\0\0\0\0" + nonce[16:], data, associated_data, buf)
