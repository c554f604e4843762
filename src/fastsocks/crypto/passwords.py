"""Hashes of passwords: scrypt (RFC 7914), through hashlib."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from typing import Final, Self

#: Cost of new hashes: 16 MiB, gone through once, which takes 39 ms, so that 500 users who all log
#: in when a service starts are through in 10 s on two cores. Gone through five times, as OWASP's
#: Password Storage Cheat Sheet has it, it takes 196 ms, and the last of them waits for longer than
#: a handshake may take. These are the settings that scrypt's paper has for interactive logins.
_LOG_N, _R, _P = 14, 8, 1

_SALT_SIZE: Final = 16
_KEY_SIZE: Final = 32

#: Most memory that a hash from elsewhere may ask for, in bytes.
_MOST_MEMORY: Final = 256 * 1024 * 1024

_FORM = re.compile(
    r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})"
)


class ScryptHash:
    """A salted hash of one password, in the PHC string format as passlib writes it, too.

    :param text: ``$scrypt$ln=LOG2_N,r=R,p=P$SALT$HASH``, the last two in base64 without padding.
    :raises ValueError: it is not of that form, or asks for more than 256 MiB.
    """

    __slots__ = ("_key", "_log_n", "_p", "_r", "_salt", "text")

    def __init__(self, text: str) -> None:
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError("it is not of the form $scrypt$ln=..,r=..,p=..$SALT$HASH")
        self._log_n, self._r, self._p = (int(found[number]) for number in (1, 2, 3))
        if not (1 <= self._log_n < 32 and self._r >= 1 and 1 <= self._p <= 32):
            raise ValueError("its cost is out of range")
        if 128 * self._r << self._log_n > _MOST_MEMORY:
            raise ValueError(f"it takes more than {_MOST_MEMORY >> 20} MiB of memory")
        try:
            self._salt, self._key = (
                base64.b64decode(part + "=" * (-len(part) % 4)) for part in found.group(4, 5)
            )
        except binascii.Error:
            raise ValueError("its salt or hash is not base64") from None
        #: As it was given.
        self.text = text

    @property
    def cost(self) -> int:
        """What checking a password takes, beside other hashes."""
        return (self._r * self._p) << self._log_n

    @classmethod
    def of(cls, password: bytes) -> Self:
        """Make a hash of a password, with a salt of its own.

        :raises ValueError: it ends in NUL.
        """
        if password.endswith(b"\0"):
            raise ValueError("a password that ends in NUL")
        salt = os.urandom(_SALT_SIZE)
        key = _scrypt(password, salt, _LOG_N, _R, _P, _KEY_SIZE)
        parts = (base64.b64encode(part).decode().rstrip("=") for part in (salt, key))
        return cls(f"$scrypt$ln={_LOG_N},r={_R},p={_P}${'$'.join(parts)}")

    def matches(self, password: bytes) -> bool:
        """Tell whether it was made of `password`.

        Takes the memory and the time of its cost, without the interpreter's lock.
        """
        key = _scrypt(password, self._salt, self._log_n, self._r, self._p, len(self._key))
        # HMAC pads a short password with zeros: with some at its end it would be the same one.
        return hmac.compare_digest(key, self._key) and not password.endswith(b"\0")


def _scrypt(password: bytes, salt: bytes, log_n: int, r: int, p: int, size: int) -> bytes:
    # OpenSSL counts what all lanes take together.
    memory = 128 * r * ((1 << log_n) + p + 2) + 1024
    return hashlib.scrypt(password, salt=salt, n=1 << log_n, r=r, p=p, maxmem=memory, dklen=size)
