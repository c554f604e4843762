"""SOCKS5 datagrams in pure Python; the twin of ``_datagrams.pyx``."""

from __future__ import annotations

from fastsocks.address import Address
from fastsocks.address._header_py import read_address
from fastsocks.buffer import Buffer
from fastsocks.errors import TruncatedError


def read_datagram(data: Buffer) -> tuple[int, Address, bytes]:
    """Read RSV FRAG ATYP DST.ADDR DST.PORT DATA (RFC 1928 section 7).

    :param data: one datagram, of any size.
    :return: FRAG, 0..255 and 0 for a whole datagram; the address; and the payload, possibly
        none. RSV is ignored.
    :raises TruncatedError: the datagram ends in its header.
    :raises AddressError: as :func:`fastsocks.address.read_address`.
    """
    found = read_address(data, 3)
    if found is None:
        raise TruncatedError("a datagram shorter than its header")
    address, end = found
    return data[2], address, bytes(data[end:])
