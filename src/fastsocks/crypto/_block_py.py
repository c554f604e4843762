"""AES on single blocks in pure Python."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from ..buffer import Buffer
from ._sizes_py import check_size


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
        check_size("a block", len(block), 16)
        if self._encryptor is None:
            self._encryptor = self._cipher.encryptor()
        return self._encryptor.update(block)

    def decrypt(self, block: Buffer) -> bytes:
        """Decrypt one block.

        :raises ValueError: `block` is not 16 bytes long.
        """
        check_size("a block", len(block), 16)
        if self._decryptor is None:
            self._decryptor = self._cipher.decryptor()
        return self._decryptor.update(block)
