"""The ATYP ADDR PORT header in pure Python; the twin of ``_header.pyx``."""

from __future__ import annotations

from fastsocks.buffer import Buffer
from fastsocks.errors import AddressError, AddressTypeError

from ._address import Address, literal_wire

_MAPPED = b"\x04" + bytes(10) + b"\xff\xff"


def read_address(data: Buffer, start: int = 0) -> tuple[Address, int] | None:
    """Read one ATYP ADDR PORT header (RFC 1928 section 5, which Shadowsocks shares).

    Port 0 is let through: it cannot be dialed, but that is for the dialing side to say.

    :param data: bytes from the wire, of any length.
    :param start: offset of ATYP in `data`, 0 or more.
    :return: the address and the offset behind its 7..259 bytes, or None while the header
        is incomplete.
    :raises AddressTypeError: ATYP is none of 1, 3 and 4; raised as soon as it is there.
    :raises AddressError: the name is empty or contains NUL; raised once the whole header
        is there, so that nothing of it is left unread in the socket.
    """
    if start < 0:
        raise ValueError("start is negative")
    size = len(data)
    if start >= size:
        return None
    kind = data[start]
    if kind == 0x01:
        end = start + 7
        if end > size:
            return None
        return Address(bytes(data[start:end])), end
    if kind == 0x03:
        if start + 2 > size:
            return None
        end = start + 4 + data[start + 1]
        if end > size:
            return None
        return _named(bytes(data[start:end])), end
    if kind == 0x04:
        end = start + 19
        if end > size:
            return None
        wire = bytes(data[start:end])
        if wire.startswith(_MAPPED):
            wire = b"\x01" + wire[13:]
        return Address(wire), end
    raise AddressTypeError(f"unknown address type {kind:#04x}")


def _named(wire: bytes) -> Address:
    name = wire[2:-2]
    if not name:
        raise AddressError("the host name is empty")
    if 0 in name:
        raise AddressError("the host name contains NUL")
    literal = literal_wire(name)
    return Address(wire if literal is None else literal + wire[-2:])
