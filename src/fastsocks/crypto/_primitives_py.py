"""AEAD, stream cipher, block cipher and HKDF on the `cryptography` package: pure Python.

The twin of ``_primitives.pyx``; ``fastsocks.crypto`` picks one of the two.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4, Camellia
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES, ChaCha20
from cryptography.hazmat.primitives.ciphers.modes import CTR, ECB
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..errors import MethodError, TagError
from ._messages import TAG_MISMATCH, missing, wrong_size

Buffer = bytes | bytearray | memoryview

TAG_SIZE = 16

_SHA1 = SHA1()  # noqa: S303 - SIP007 asks for it, and HMAC-SHA1 stands


class _AeadCipher(Protocol):
    def encrypt(self, nonce: Buffer, data: Buffer, associated_data: None) -> bytes: ...
    def decrypt(self, nonce: Buffer, data: Buffer, associated_data: None) -> bytes: ...
    def encrypt_into(
        self, nonce: Buffer, data: Buffer, associated_data: None, buf: Buffer
    ) -> int: ...
    def decrypt_into(
        self, nonce: Buffer, data: Buffer, associated_data: None, buf: Buffer
    ) -> int: ...


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


class _XChaCha20Poly1305:
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


class _Aead(NamedTuple):
    key_size: int
    nonce_size: int
    create: Callable[[bytes], _AeadCipher]


_AEADS = {
    "AES-128-GCM": _Aead(16, 12, AESGCM),
    "AES-192-GCM": _Aead(24, 12, AESGCM),
    "AES-256-GCM": _Aead(32, 12, AESGCM),
    "ChaCha20-Poly1305": _Aead(32, 12, ChaCha20Poly1305),
    "XChaCha20-Poly1305": _Aead(32, 24, _XChaCha20Poly1305),
}


class _Stream(NamedTuple):
    key_size: int
    iv_size: int
    create: Callable[[bytes, bytes], Cipher[Any]]


def _with_mode(algorithm: type[AES | Camellia], mode: type[CFB | CTR], key_size: int) -> _Stream:
    return _Stream(key_size, 16, lambda key, iv: Cipher(algorithm(key), mode(iv)))


_STREAMS = {
    "AES-128-CFB": _with_mode(AES, CFB, 16),
    "AES-192-CFB": _with_mode(AES, CFB, 24),
    "AES-256-CFB": _with_mode(AES, CFB, 32),
    "AES-128-CTR": _with_mode(AES, CTR, 16),
    "AES-192-CTR": _with_mode(AES, CTR, 24),
    "AES-256-CTR": _with_mode(AES, CTR, 32),
    "CAMELLIA-128-CFB": _with_mode(Camellia, CFB, 16),
    "CAMELLIA-192-CFB": _with_mode(Camellia, CFB, 24),
    "CAMELLIA-256-CFB": _with_mode(Camellia, CFB, 32),
    # RFC 8439's block counter is the first four bytes here, and starts at 0.
    "ChaCha20": _Stream(32, 12, lambda key, iv: Cipher(ChaCha20(key, bytes(4) + iv), None)),
    "RC4": _Stream(16, 0, lambda key, _iv: Cipher(ARC4(key), None)),
}


def _check_size(what: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise ValueError(wrong_size(what, found, wanted))


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
        kind = _AEADS.get(cipher)
        if kind is None:
            raise MethodError(f"no AEAD cipher {cipher!r}")
        _check_size("a key", len(key), kind.key_size)
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
        _check_size("a nonce", len(nonce), self.nonce_size)
        return self._cipher.encrypt(nonce, plaintext, None)

    def open(self, nonce: Buffer, ciphertext: Buffer) -> bytes:
        """Decrypt what :meth:`seal` returned.

        :raises TagError: the tag does not match, or `ciphertext` is shorter than a tag.
        :raises ValueError: a nonce of the wrong size.
        """
        _check_size("a nonce", len(nonce), self.nonce_size)
        try:
            return self._cipher.decrypt(nonce, ciphertext, None)
        except InvalidTag:
            raise TagError(TAG_MISMATCH) from None

    def seal_into(self, nonce: Buffer, plaintext: Buffer, out: Buffer) -> int:
        """Encrypt into `out`, exactly 16 bytes longer than `plaintext`; they may not overlap.

        :return: how many bytes were written.
        :raises ValueError: a nonce or an `out` of the wrong size.
        """
        _check_size("a nonce", len(nonce), self.nonce_size)
        return self._cipher.encrypt_into(nonce, plaintext, None, out)

    def open_into(self, nonce: Buffer, ciphertext: Buffer, out: Buffer) -> int:
        """Decrypt into `out`, exactly 16 bytes shorter than `ciphertext`; they may not overlap.

        After a TagError `out` holds nothing of use.

        :return: how many bytes were written.
        :raises TagError: the tag does not match, or `ciphertext` is shorter than a tag.
        :raises ValueError: a nonce or an `out` of the wrong size.
        """
        _check_size("a nonce", len(nonce), self.nonce_size)
        try:
            return self._cipher.decrypt_into(nonce, ciphertext, None, out)
        except InvalidTag:
            raise TagError(TAG_MISMATCH) from None


class StreamCipher:
    """A running stream cipher; it keeps its place in the keystream.

    :param cipher: AES-{128,192,256}-{CFB,CTR}, CAMELLIA-{128,192,256}-CFB (IV 16 bytes),
        ChaCha20 (RFC 8439, IV 12 bytes, counter from 0) or RC4 (key 16 bytes, no IV).
    :param key: 16, 24 or 32 bytes, as the cipher's name says; ChaCha20 takes 32.
    :param iv: the initialisation vector.
    :param encrypt: True to encrypt, False to decrypt.
    :raises MethodError: another cipher, or one that this libcrypto lacks.
    :raises ValueError: a key or an IV of the wrong size.
    """

    __slots__ = ("_update", "name")

    def __init__(self, cipher: str, key: Buffer, iv: Buffer, encrypt: bool) -> None:
        kind = _STREAMS.get(cipher)
        if kind is None:
            raise MethodError(f"no stream cipher {cipher!r}")
        _check_size("a key", len(key), kind.key_size)
        _check_size("an IV", len(iv), kind.iv_size)
        self.name = cipher
        try:
            made = kind.create(bytes(key), bytes(iv))
            context = made.encryptor() if encrypt else made.decryptor()
        except UnsupportedAlgorithm as error:
            raise MethodError(missing(cipher)) from error
        self._update = context.update

    def __repr__(self) -> str:
        return f"<StreamCipher {self.name}>"

    def update(self, data: Buffer) -> bytes:
        """Encrypt or decrypt the next piece, of any size; returns as many bytes."""
        return self._update(data)


class BlockCipher:
    """AES on single blocks of 16 bytes, as SIP022 and SIP023 use it for headers.

    :param key: 16 or 32 bytes.
    :raises ValueError: a key of the wrong size.
    """

    __slots__ = ("_cipher", "_decryptor", "_encryptor")

    def __init__(self, key: Buffer) -> None:
        if len(key) not in (16, 32):
            raise ValueError(f"a key of {len(key)} bytes where 16 or 32 belong")
        # One block that is itself random or a hash: there is no pattern for ECB to show.
        self._cipher = Cipher(AES(bytes(key)), ECB())  # noqa: S305
        self._encryptor: CipherContext | None = None
        self._decryptor: CipherContext | None = None

    def __repr__(self) -> str:
        return "<BlockCipher>"

    def encrypt(self, block: Buffer) -> bytes:
        """Encrypt one block.

        :raises ValueError: `block` is not 16 bytes long.
        """
        _check_size("a block", len(block), 16)
        if self._encryptor is None:
            self._encryptor = self._cipher.encryptor()
        return self._encryptor.update(block)

    def decrypt(self, block: Buffer) -> bytes:
        """Decrypt one block.

        :raises ValueError: `block` is not 16 bytes long.
        """
        _check_size("a block", len(block), 16)
        if self._decryptor is None:
            self._decryptor = self._cipher.decryptor()
        return self._decryptor.update(block)


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


def random_bytes(size: int) -> bytes:
    """Return `size` bytes from the kernel's generator."""
    return os.urandom(size)


def require(cipher: str) -> None:
    """Return if this libcrypto has `cipher`, by the names of Aead and StreamCipher.

    :raises MethodError: it has not; names the cure.
    """
    kind = _STREAMS.get(cipher)
    if kind is not None:
        StreamCipher(cipher, bytes(kind.key_size), bytes(kind.iv_size), True)
    elif cipher not in _AEADS:
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
