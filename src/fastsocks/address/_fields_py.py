"""What an address holds, in pure Python; the twin of ``_fields.pyx``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address


class Fields:
    """The fields of an :class:`.Address`.

    :param wire: ATYP ADDR PORT.
    """

    __slots__ = ("_host", "_ip", "_wire")

    _host: str | None
    _ip: IPv4Address | IPv6Address | None

    def __init__(self, wire: bytes) -> None:
        self._wire = wire
        self._host = None
        self._ip = None

    @property
    def wire(self) -> bytes:
        """ATYP ADDR PORT as sent (RFC 1928 section 5), 7..259 bytes."""
        return self._wire
