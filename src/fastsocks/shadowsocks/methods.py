"""The methods: what each is called, and which cipher and sizes it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Self

from ..errors import MethodError


class Family(Enum):
    """An edition of the protocol: how methods frame what they send, and what follows from that.

    Who needs to know something of an edition asks for that, and not which one it is.
    """

    #: Where it is laid down.
    source: str
    #: Longest payload of one record on TCP, in bytes; 0 where there are no sealed records.
    record_limit: int
    #: Whether a record may be empty.
    empty_records: bool
    #: Whether requests have a timestamp, for as long as which is valid their salts are remembered.
    timed: bool
    #: Whether packets belong to sessions, so that each association has a codec of its own.
    sessions: bool
    #: Whether keys are PSKs in base64, and not made of a password.
    psk: bool

    def __new__(
        cls,
        value: str,
        source: str,
        record_limit: int = 0,
        empty_records: bool = False,
        timed: bool = False,
        sessions: bool = False,
        psk: bool = False,
    ) -> Self:
        """Make one whose value is `value`."""
        edition = object.__new__(cls)
        edition._value_ = value
        edition.source = source
        edition.record_limit = record_limit
        edition.empty_records = empty_records
        edition.timed = timed
        edition.sessions = sessions
        edition.psk = psk
        return edition

    #: Bytes as they are; neither secret nor authentic.
    PLAIN = "plain", ""
    #: An IV, then a running cipher; secret but not authentic.
    STREAM = "stream", "stream ciphers"
    #: SIP004 and SIP007: a salt, then sealed records.
    AEAD = "aead", "SIP004", 0x3FFF, True
    #: SIP022: sealed headers with a timestamp, then sealed records.
    AEAD_2022 = "aead-2022", "SIP022", 0xFFFF, False, True, True, True


@dataclass(frozen=True, slots=True)
class Method:
    """One encryption method of Shadowsocks."""

    #: As it is written in configurations.
    name: str
    family: Family
    #: The cipher's name in :mod:`fastsocks.crypto`; empty for ``none``.
    cipher: str
    #: Size in bytes of the key (2022: of each PSK).
    key_size: int
    #: Size in bytes of the salt (AEAD) or the IV (stream) at the head of each direction.
    salt_size: int
    #: Size in bytes of an AEAD nonce on TCP; 0 where there is none.
    nonce_size: int

    @property
    def authenticated(self) -> bool:
        """Whether tampering is noticed."""
        return self.family.record_limit > 0

    @property
    def identity_headers(self) -> bool:
        """Whether SIP023 gives this method identity headers, and with them users."""
        return self.family.psk and self.cipher.startswith("AES-")


def _aead_2022(name: str, cipher: str, key_size: int) -> Method:
    return Method(f"2022-blake3-{name}", Family.AEAD_2022, cipher, key_size, key_size, 12)


def _aead(name: str, cipher: str, key_size: int, nonce_size: int = 12) -> Method:
    return Method(name, Family.AEAD, cipher, key_size, key_size, nonce_size)


def _stream(name: str, cipher: str, key_size: int, iv_size: int = 16) -> Method:
    return Method(name, Family.STREAM, cipher, key_size, iv_size, 0)


#: Every method by its name, the best first.
METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        _aead_2022("aes-128-gcm", "AES-128-GCM", 16),
        _aead_2022("aes-256-gcm", "AES-256-GCM", 32),
        _aead_2022("chacha20-poly1305", "ChaCha20-Poly1305", 32),
        _aead("aes-128-gcm", "AES-128-GCM", 16),
        _aead("aes-192-gcm", "AES-192-GCM", 24),
        _aead("aes-256-gcm", "AES-256-GCM", 32),
        _aead("chacha20-ietf-poly1305", "ChaCha20-Poly1305", 32),
        _aead("xchacha20-ietf-poly1305", "XChaCha20-Poly1305", 32, 24),
        _stream("aes-128-cfb", "AES-128-CFB", 16),
        _stream("aes-192-cfb", "AES-192-CFB", 24),
        _stream("aes-256-cfb", "AES-256-CFB", 32),
        _stream("aes-128-ctr", "AES-128-CTR", 16),
        _stream("aes-192-ctr", "AES-192-CTR", 24),
        _stream("aes-256-ctr", "AES-256-CTR", 32),
        _stream("chacha20-ietf", "ChaCha20", 32, 12),
        _stream("camellia-128-cfb", "CAMELLIA-128-CFB", 16),
        _stream("camellia-192-cfb", "CAMELLIA-192-CFB", 24),
        _stream("camellia-256-cfb", "CAMELLIA-256-CFB", 32),
        # The key of each direction is MD5(key || IV).
        _stream("rc4-md5", "RC4", 16),
        Method("none", Family.PLAIN, "", 0, 0, 0),
    )
}

#: What others call them: shadowsocks-libev and rust, the AEAD ones of Go programs, Xray and Clash.
_ALIASES = {
    "plain": "none",
    "aead_aes_128_gcm": "aes-128-gcm",
    "aead_aes_192_gcm": "aes-192-gcm",
    "aead_aes_256_gcm": "aes-256-gcm",
    "aead_chacha20_poly1305": "chacha20-ietf-poly1305",
    "chacha20-poly1305": "chacha20-ietf-poly1305",
    "aead_xchacha20_poly1305": "xchacha20-ietf-poly1305",
    "xchacha20-poly1305": "xchacha20-ietf-poly1305",
}


def lookup(name: str) -> Method:
    """Return the method that is called `name`; letter case does not matter.

    ``plain`` is ``none``, and ``AEAD_CHACHA20_POLY1305`` ``chacha20-ietf-poly1305``.

    :raises MethodError: there is no such method; names the nearest one.
    """
    wanted = name.lower()
    method = METHODS.get(_ALIASES.get(wanted, wanted))
    if method is not None:
        return method
    # Something far longer than any name is a slip (a key, say) and not worth repeating.
    shown = repr(name) if len(name) <= 40 else f"a name of {len(name)} characters"
    import difflib  # only here: it takes a while

    near = difflib.get_close_matches(wanted, [*METHODS, "plain"], n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(METHODS)}"
    raise MethodError(f"there is no method {shown}: {hint}")
