"""Shadowsocks packets in pure Python: what all methods share, and those without sessions.

The twin of ``_packets.pyx``; see there for the same classes on libcrypto.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import NamedTuple, NoReturn, TypeAlias

from ..address import LARGEST_ADDRESS, Address
from ..address._header_py import read_address
from ..buffer import Buffer
from ..crypto import TAG_SIZE
from ..crypto._primitives_py import Aead, StreamCipher, hkdf_sha1, random_bytes
from . import packet_faults as faults
from ._fingerprints_py import Fingerprints
from ._salts_py import SaltFilter
from .headers import LARGEST_PADDING
from .methods import Method
from .packet_faults import packet_error

__all__ = ["AeadPackets", "PacketCodec", "PacketSession", "PlainPackets", "StreamPackets"]


class PacketSession:
    """A client's session, as the server knows it; only methods of the 2022 edition have any.

    It lasts from the first packet that opened until its codec forgets it; then the client's
    next packet makes a new one.
    """

    __slots__ = ("association", "last_used", "user")

    def __init__(self, user: str | None = None) -> None:
        #: The user's name, or None without users.
        self.user = user
        #: Of the relay, to find its own state by; the codec never looks at it.
        self.association: object = None
        #: Unix time of the last packet, in seconds.
        self.last_used = 0


#: What opening a packet gives: its session or None, its address and its payload.
Opened: TypeAlias = tuple[PacketSession | None, Address, bytes]


class Packet(NamedTuple):
    """What is sealed."""

    session: PacketSession | None
    #: ATYP ADDR PORT, 259 bytes at most.
    address: bytes
    payload: bytes
    #: Unix time in seconds.
    now: int
    #: 900 bytes at most.
    padding: bytes

    @property
    def contents(self) -> bytes:
        """What :func:`read_contents` takes apart again."""
        return self.address + self.payload


class PacketCodec:
    """Packets of one key, opened and sealed (SIP004, SIP022); made by :func:`packet_server`
    and :func:`packet_client`.

    Nothing of a ProtocolError that it raises may be seen on the wire: the caller drops the
    packet, and counts it.
    """

    __slots__ = ("_salt_size", "has_sessions", "overhead")

    def __init__(self, salt_size: int, overhead: int, *, has_sessions: bool = False) -> None:
        self._salt_size = salt_size
        #: Most bytes by which a packet is longer than its payload.
        self.overhead = overhead
        #: Whether sessions tell associations apart; else source addresses do.
        self.has_sessions = has_sessions

    # A copy would use nonces a second time.
    def __reduce__(self) -> NoReturn:
        raise TypeError("a codec can be neither copied nor pickled")

    def forget(self, session: PacketSession) -> None:
        """Forget a session before its time, if it has it: the next packet makes a new one."""

    def expire(self, now: float) -> int:
        """Forget the sessions that are no longer to be kept.

        Every new session does so too; calling this now and then frees the memory of those
        after which none came.

        :param now: Unix time in seconds.
        :return: how many there were.
        """
        return 0

    def open(self, packet: Buffer, now: float) -> Opened:
        """Open a packet.

        :param packet: of any size.
        :param now: Unix time in seconds.
        :return: the session, or None (always None on a client); the address that the packet is
            for, on a client that it is from; and its payload, possibly none.
        :raises ProtocolError: a wrong key, a replay, or a malformed header.
        """
        raise NotImplementedError

    def seal(
        self,
        address: Address,
        payload: Buffer,
        now: float,
        session: PacketSession | None = None,
        *,
        salt: bytes | None = None,
        padding: bytes | None = None,
    ) -> bytes:
        """Seal a payload.

        :param address: where it is for, on a server where it is from.
        :param payload: of any size; an empty one is a packet too.
        :param now: Unix time in seconds.
        :param session: what :meth:`open` gave, on a server whose method has sessions.
        :param salt: the salt, IV or nonce that the packet begins with, where the method has one;
            at random by default, and never to be given twice.
        :param padding: 2022 only, 900 bytes at most; by default 1 to 900 bytes for packets of
            port 53, as far as the MTU allows, and none for others.
        :return: the packet, ``overhead`` bytes longer than `payload` at most.
        :raises ValueError: an address, a salt or padding of the wrong size, or no session where
            there must be one.
        """
        if len(address.wire) > LARGEST_ADDRESS:
            raise ValueError(
                f"an address of {len(address.wire)} bytes, more than {LARGEST_ADDRESS}"
            )
        if salt is None:
            salt = random_bytes(self._salt_size)
        elif len(salt) != self._salt_size:
            raise ValueError(f"a salt of {len(salt)} bytes where {self._salt_size} belong")
        if padding is None:
            room = self._padding_room(address, len(payload))
            padding = bytes(1 + secrets.randbelow(min(room, LARGEST_PADDING))) if room > 0 else b""
        elif len(padding) > LARGEST_PADDING:
            raise ValueError(f"{len(padding)} bytes of padding, more than {LARGEST_PADDING}")
        packet = Packet(session, address.wire, bytes(payload), int(now), padding)
        return self._seal(packet, salt)

    def _padding_room(self, address: Address, payload_size: int) -> int:
        """Return how many bytes of padding suit this payload; none for most addresses."""
        return 0

    def _seal(self, packet: Packet, salt: bytes) -> bytes:
        raise NotImplementedError


def read_contents(plaintext: Buffer) -> tuple[Address, bytes]:
    """Take what opened apart: the address, and the payload behind it.

    :raises AddressError: the address is none.
    :raises HeaderError: it reaches past the end.
    """
    found = read_address(plaintext)
    if found is None:
        raise packet_error(faults.PAST_THE_END)
    address, end = found
    return address, bytes(plaintext[end:])


class PlainPackets(PacketCodec):
    """Method ``none``: the address header, then bytes as they are."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(0, LARGEST_ADDRESS)

    def open(self, packet: Buffer, now: float) -> Opened:
        """Open a packet; see :meth:`PacketCodec.open`."""
        if not len(packet):
            raise packet_error(faults.TRUNCATED)
        return None, *read_contents(packet)

    def _seal(self, packet: Packet, salt: bytes) -> bytes:
        return packet.contents


class SaltedPackets(PacketCodec):
    """Packets that begin with a salt or IV of their own.

    :param method: one of the family of the codec.
    :param key: ``method.key_size`` bytes.
    :param salts: remembers and refuses salts, our own included (a packet says nothing of its
        direction); None where nothing does.
    :param fingerprints: of the key, for `salts`.
    """

    __slots__ = ("_fingerprints", "_key", "_method", "_salts")

    #: Bytes of a tag behind the ciphertext.
    _TAG_SIZE = 0

    def __init__(
        self,
        method: Method,
        key: bytes,
        salts: SaltFilter | None = None,
        fingerprints: Fingerprints | None = None,
    ) -> None:
        super().__init__(method.salt_size, method.salt_size + LARGEST_ADDRESS + self._TAG_SIZE)
        self._method = method
        self._key = key
        self._salts = salts
        self._fingerprints = fingerprints

    def _salt_of(self, packet: Buffer) -> bytes:
        """Return the salt of a packet that may be opened.

        :raises ProtocolError: it is too short, or a replay.
        """
        salt = bytes(packet[: self._salt_size])
        if len(packet) < max(1, self._salt_size + self._TAG_SIZE):
            raise packet_error(faults.TRUNCATED)
        salts, fingerprints = self._salts, self._fingerprints
        if salts is not None and fingerprints is not None and salts.seen(fingerprints.of(salt)):
            raise packet_error(faults.REPLAYED)
        return salt

    def _remember(self, salt: bytes) -> None:
        if self._salts is not None and self._fingerprints is not None:
            self._salts.add(self._fingerprints.of(salt))


class StreamPackets(SaltedPackets):
    """The stream ciphers: an IV, then the encrypted address header and payload."""

    __slots__ = ()

    def _cipher(self, iv: bytes, *, encrypt: bool) -> StreamCipher:
        if self._method.cipher == "RC4":
            key = hashlib.md5(self._key + iv, usedforsecurity=False).digest()
            return StreamCipher("RC4", key, b"", encrypt)
        return StreamCipher(self._method.cipher, self._key, iv, encrypt)

    def open(self, packet: Buffer, now: float) -> Opened:
        """Open a packet; see :meth:`PacketCodec.open`."""
        iv = self._salt_of(packet)
        contents = read_contents(self._cipher(iv, encrypt=False).update(packet[len(iv) :]))
        self._remember(iv)
        return None, *contents

    def _seal(self, packet: Packet, salt: bytes) -> bytes:
        self._remember(salt)
        return salt + self._cipher(salt, encrypt=True).update(packet.contents)


class AeadPackets(SaltedPackets):
    """SIP004: a salt, then address header and payload, sealed under that salt's subkey."""

    __slots__ = ()

    _TAG_SIZE = TAG_SIZE

    def _aead(self, salt: bytes) -> Aead:
        subkey = hkdf_sha1(self._key, salt, b"ss-subkey", self._salt_size)
        return Aead(self._method.cipher, subkey)

    def open(self, packet: Buffer, now: float) -> Opened:
        """Open a packet; see :meth:`PacketCodec.open`."""
        salt = self._salt_of(packet)
        plaintext = self._aead(salt).open(bytes(self._method.nonce_size), packet[len(salt) :])
        self._remember(salt)
        return None, *read_contents(plaintext)

    def _seal(self, packet: Packet, salt: bytes) -> bytes:
        self._remember(salt)
        return salt + self._aead(salt).seal(bytes(self._method.nonce_size), packet.contents)
