"""The target address every protocol here speaks of."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from fastsocks.errors import AddressError
from fastsocks.implementation import IMPLEMENTATION

from ._word import one_word

if TYPE_CHECKING or IMPLEMENTATION == "python":
    from ._fields_py import Fields
else:
    from ._fields import Fields

_IPV4 = 0x01
_NAME = 0x03
_IPV6 = 0x04

#: ``::ffff:0:0/96``, the IPv4-mapped part of IPv6 (RFC 4291 section 2.5.5.2).
_MAPPED = bytes(10) + b"\xff\xff"

#: ATYP, length and a name of 255 bytes, port (RFC 1928 section 5).
LARGEST_ADDRESS = 1 + 1 + 255 + 2

_HIGHEST_PORT = 0xFFFF
_LONGEST_NAME = 0xFF


def literal_wire(name: bytes) -> bytes | None:
    """Look for an IP address written out in the place of a domain name.

    Browsers that leave resolution to the proxy send literals that way.

    :param name: the name, 1 byte or more and free of NUL; IPv6 may stand in brackets.
    :return: ATYP ADDR, 5 bytes for IPv4 (also where it came IPv4-mapped) and 17 for
        IPv6, or None where `name` is a name.
    """
    if b":" in name:
        if name[0] == 0x5B and name[-1] == 0x5D:  # [ and ]
            name = name[1:-1]
        family = socket.AF_INET6
    elif 0x30 <= name[-1] <= 0x39:
        family = socket.AF_INET
    else:
        return None
    try:
        packed = socket.inet_pton(family, name.decode("ascii"))
    except (OSError, UnicodeDecodeError):
        return None
    if family == socket.AF_INET:
        return b"\x01" + packed
    if packed.startswith(_MAPPED):
        return b"\x01" + packed[12:]
    return b"\x04" + packed


class Address(Fields):
    """A host and a port; immutable and hashable.

    Built by :meth:`of` or :func:`fastsocks.address.read_address`. Both bring it into one
    form, so equal targets are equal addresses: an IP literal in the place of a name is
    that IP, and an IPv4-mapped IPv6 address is that IPv4 address. Names keep their bytes,
    letter case and trailing dot included.

    :param wire: ATYP ADDR PORT in that form (RFC 1928 section 5), 7..259 bytes. It is
        not checked here.
    """

    __slots__ = ()

    @classmethod
    def of(cls, host: str, port: int) -> Address:
        """Make an address from text.

        :param host: an IPv4 or IPv6 address (brackets allowed), or a name of 1..255
            bytes in UTF-8; bytes that are not UTF-8 stand as surrogate escapes, as in
            :attr:`host`.
        :param port: 0..65535.
        :raises AddressError: if either is out of bounds or of another type, or the name
            contains NUL.
        """
        _check_types(host, port)
        if not 0 <= port <= _HIGHEST_PORT:
            raise AddressError(f"port {port} is not in 0..65535")
        try:
            name = host.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise AddressError("the host name cannot be written in UTF-8") from error
        if not name:
            raise AddressError("the host name is empty")
        if 0 in name:
            raise AddressError("the host name contains NUL")
        head = literal_wire(name)
        if head is None:
            if len(name) > _LONGEST_NAME:
                raise AddressError(f"a host name of {len(name)} bytes, more than 255")
            head = bytes((_NAME, len(name))) + name
        return cls(head + port.to_bytes(2, "big"))

    @property
    def port(self) -> int:
        """0..65535; 0 can be read but not dialed."""
        wire = self.wire
        return wire[-2] << 8 | wire[-1]

    @property
    def is_name(self) -> bool:
        """Whether :attr:`host` is a name that somebody has to resolve."""
        return self.wire[0] == _NAME

    @property
    def host(self) -> str:
        """IP text without brackets, or the name.

        Names are decoded as UTF-8, other bytes as surrogate escapes, so every name
        survives the way into text and back.
        """
        host = self._host
        if host is None:
            wire = self.wire
            if wire[0] == _IPV4:
                host = socket.inet_ntop(socket.AF_INET, wire[1:5])
            elif wire[0] == _NAME:
                host = wire[2:-2].decode("utf-8", "surrogateescape")
            else:
                host = socket.inet_ntop(socket.AF_INET6, wire[1:17])
            self._host = host
        return host

    @property
    def ip(self) -> IPv4Address | IPv6Address | None:
        """The IP address, or None for a name."""
        ip = self._ip
        if ip is None:
            wire = self.wire
            if wire[0] == _IPV4:
                self._ip = ip = IPv4Address(wire[1:5])
            elif wire[0] == _IPV6:
                self._ip = ip = IPv6Address(wire[1:17])
        return ip

    def __str__(self) -> str:
        """``host:port`` or ``[v6]:port``, for people; always one word.

        A peer chooses the name, and must not be able to write lines into a log, or fields into
        a line; see :func:`.one_word`.
        """
        host = f"[{self.host}]" if self.wire[0] == _IPV6 else one_word(self.host)
        return f"{host}:{self.port}"

    def __repr__(self) -> str:
        return f"<Address {self}>"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Address):
            return self.wire == other.wire
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.wire)

    def __reduce__(self) -> tuple[type[Address], tuple[bytes]]:
        return Address, (self.wire,)


def _check_types(host: object, port: object) -> None:
    if not isinstance(host, str) or not isinstance(port, int) or isinstance(port, bool):
        raise AddressError(
            "a host is a text and a port a whole number, not "
            f"{type(host).__name__} and {type(port).__name__}"
        )
