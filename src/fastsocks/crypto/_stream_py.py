"""Stream ciphers in pure Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4, Camellia
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES, ChaCha20
from cryptography.hazmat.primitives.ciphers.modes import CTR

from ..buffer import Buffer
from ..errors import MethodError
from ._messages import missing
from ._sizes_py import check_size


class _Stream(NamedTuple):
    key_size: int
    iv_size: int
    create: Callable[[bytes, bytes], Cipher[Any]]


def _with_mode(algorithm: type[AES | Camellia], mode: type[CFB | CTR], key_size: int) -> _Stream:
    return _Stream(key_size, 16, lambda key, iv: Cipher(algorithm(key), mode(iv)))


STREAMS = {
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
        kind = STREAMS.get(cipher)
        if kind is None:
            raise MethodError(missing(cipher))
        check_size("a key", len(key), kind.key_size)
        check_size("an IV", len(iv), kind.iv_size)
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
