"""Writes Shadowsocks requests, good and bad ones; no code of the package.

Key derivation and record layout follow SIP004, SIP007, SIP022 and SIP023.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
import struct
import time
from dataclasses import dataclass, field

import blake3
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .listener import SocketAddress
from .socks import request as socks_request

_KEY_SIZES = {
    "aes-256-gcm": 32,
    "chacha20-ietf-poly1305": 32,
    "2022-blake3-aes-128-gcm": 16,
}


def generate_key(method: str) -> str:
    """Return a random key in the form which that method's ``-k`` takes."""
    sizes = {"2022-blake3-aes-128-gcm": 16}
    if method.startswith("2022-"):
        return base64.b64encode(os.urandom(sizes.get(method, 32))).decode()
    return os.urandom(12).hex()


def address_header(address: SocketAddress) -> bytes:
    """Return ATYP ADDR PORT."""
    return socks_request(address)[3:]


@dataclass
class RequestWriter:
    """Builds the first write of a client.

    :param method: aes-256-gcm, chacha20-ietf-poly1305 or 2022-blake3-aes-128-gcm.
    :param key: password, or base64 of the PSK, or ``iPSK:uPSK``.
    """

    method: str
    key: str
    salt: bytes = b""
    counter: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.salt = self.salt or os.urandom(_KEY_SIZES[self.method])

    def request(
        self,
        header: bytes,
        payload: bytes,
        *,
        clock: float | None = None,
        kind: int = 0,
        padding: bytes | None = None,
    ) -> bytes:
        """Return salt, headers and first payload.

        :param header: ATYP ADDR PORT, or what shall stand in its place.
        :param clock: Unix time in seconds for the 2022 header; now by default.
        :param kind: the type byte of the 2022 header, 0 in a request.
        :param padding: of the 2022 header; none where there is a payload by default.
        """
        if not self.method.startswith("2022-"):
            return self.salt + self.record(header + payload)
        if padding is None:
            padding = b"" if payload else b"\0" * 16
        variable = header + struct.pack("!H", len(padding)) + padding + payload
        stamp = int(time.time() if clock is None else clock)
        fixed = struct.pack("!BQH", kind, stamp, len(variable))
        return self.salt + self._identity_headers() + self.seal(fixed) + self.seal(variable)

    def record(self, payload: bytes) -> bytes:
        """Return one record: sealed length and sealed payload."""
        return self.seal(struct.pack("!H", len(payload))) + self.seal(payload)

    def seal(self, plaintext: bytes) -> bytes:
        """Return ciphertext and tag under the next nonce."""
        nonce = self.counter.to_bytes(12, "little")
        self.counter += 1
        aead = ChaCha20Poly1305 if "chacha20" in self.method else AESGCM
        return aead(self._session_key()).encrypt(nonce, plaintext, None)

    def _session_key(self) -> bytes:
        size = _KEY_SIZES[self.method]
        if self.method.startswith("2022-"):
            user_key = base64.b64decode(self.key.rpartition(":")[2])
            return _derive("shadowsocks 2022 session subkey", user_key + self.salt, size)
        key = b""
        block = b""
        while len(key) < size:
            # The password derivation that every peer uses; MD5 is given.
            block = hashlib.md5(block + self.key.encode(), usedforsecurity=False).digest()
            key += block
        return HKDF(SHA1(), size, self.salt, b"ss-subkey").derive(key[:size])  # noqa: S303

    def _identity_headers(self) -> bytes:
        keys = [base64.b64decode(part) for part in self.key.split(":")]
        headers = b""
        for identity_key, next_key in itertools.pairwise(keys):
            subkey = _derive(
                "shadowsocks 2022 identity subkey", identity_key + self.salt, len(identity_key)
            )
            block = Cipher(algorithms.AES(subkey), modes.ECB()).encryptor()  # noqa: S305
            headers += block.update(blake3.blake3(next_key).digest()[:16])
        return headers


def _derive(context: str, material: bytes, size: int) -> bytes:
    return bytes(blake3.blake3(material, derive_key_context=context).digest(length=size))
