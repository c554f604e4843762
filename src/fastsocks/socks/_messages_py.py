"""SOCKS5 messages in pure Python; the twin of ``_messages.pyx``.

Every reader takes bytes from the wire and the offset of the message in them, and returns
what it says with the offset behind it, or None while it is incomplete. A wrong version is
reported at its first byte.
"""

from __future__ import annotations

from fastsocks.address import Address
from fastsocks.address._header_py import read_address
from fastsocks.buffer import Buffer
from fastsocks.errors import ProtocolError, VersionError

_SOCKS = 0x05
_SUBNEGOTIATION = 0x01


def read_greeting(data: Buffer, start: int = 0) -> tuple[bytes, int] | None:
    """Read VER NMETHODS METHODS, 3..257 bytes (RFC 1928 section 3).

    :return: the methods, one byte each, and the offset behind them.
    :raises VersionError: VER is not 5.
    :raises ProtocolError: NMETHODS is 0.
    """
    if not _has_version(data, start, _SOCKS) or start + 2 > len(data):
        return None
    count = data[start + 1]
    if not count:
        raise ProtocolError("a greeting without methods")
    end = start + 2 + count
    if end > len(data):
        return None
    return bytes(data[start + 2 : end]), end


def read_choice(data: Buffer, start: int = 0) -> tuple[int, int] | None:
    """Read VER METHOD, 2 bytes (RFC 1928 section 3).

    :return: the method that the server chose, 0..255, and the offset behind it.
    :raises VersionError: VER is not 5.
    """
    if not _has_version(data, start, _SOCKS) or start + 2 > len(data):
        return None
    return data[start + 1], start + 2


def read_credentials(data: Buffer, start: int = 0) -> tuple[bytes, bytes, int] | None:
    """Read VER ULEN UNAME PLEN PASSWD, 3..513 bytes (RFC 1929 section 2).

    The RFC wants at least one byte in each, yet curl and Firefox send empty ones.

    :return: username and password of 0..255 bytes each, and the offset behind them.
    :raises VersionError: VER is not 1.
    """
    if not _has_version(data, start, _SUBNEGOTIATION) or start + 2 > len(data):
        return None
    middle = start + 2 + data[start + 1]
    if middle >= len(data):
        return None
    end = middle + 1 + data[middle]
    if end > len(data):
        return None
    return bytes(data[start + 2 : middle]), bytes(data[middle + 1 : end]), end


def read_status(data: Buffer, start: int = 0) -> tuple[int, int] | None:
    """Read VER STATUS, 2 bytes (RFC 1929 section 2).

    Some servers answer with VER 5, so no client looks at it.

    :return: the status, where 0 is success, and the offset behind it.
    """
    if start < 0:
        raise ValueError("start is negative")
    if start + 2 > len(data):
        return None
    return data[start + 1], start + 2


def read_request(data: Buffer, start: int = 0) -> tuple[int, Address, int] | None:
    """Read VER CMD RSV ATYP DST.ADDR DST.PORT, 10..262 bytes (RFC 1928 section 4).

    :return: CMD, the address, and the offset behind it. RSV is ignored.
    :raises VersionError: VER is not 5.
    :raises AddressError: as :func:`fastsocks.address.read_address`.
    """
    if not _has_version(data, start, _SOCKS):
        return None
    found = read_address(data, start + 3)
    if found is None:
        return None
    address, end = found
    return data[start + 1], address, end


def read_reply(data: Buffer, start: int = 0) -> tuple[int, Address, int] | None:
    """Read VER REP RSV ATYP BND.ADDR BND.PORT, 10..262 bytes (RFC 1928 section 6).

    :return: REP, the address, and the offset behind it. RSV is ignored.
    :raises VersionError: VER is not 5.
    :raises AddressError: as :func:`fastsocks.address.read_address`.
    """
    return read_request(data, start)


def _has_version(data: Buffer, start: int, version: int) -> bool:
    if start < 0:
        raise ValueError("start is negative")
    if start >= len(data):
        return False
    if data[start] != version:
        raise VersionError(f"version {data[start]:#04x} instead of {version:#04x}")
    return True
