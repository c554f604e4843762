"""Datagrams to and from a SOCKS5 server: pure Python. The twin of ``_socks_packets.pyx``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..shadowsocks import packet_faults as faults
from ..shadowsocks._packets_py import PacketCodec, read_contents
from ..shadowsocks.packet_faults import packet_error

if TYPE_CHECKING:
    from ..address import Address
    from ..shadowsocks._packets_py import PacketSession

# RSV and FRAG (RFC 1928 section 7), and the longest address.
_HEADER = 3
_LARGEST_ADDRESS = 259


class SocksPackets(PacketCodec):
    """The client's side of UDP ASSOCIATE (RFC 1928 section 7), as a tunnel of the engine."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(0, _HEADER + _LARGEST_ADDRESS)

    def open(
        self, packet: bytes | bytearray | memoryview, now: float
    ) -> tuple[PacketSession | None, Address, bytes]:
        """Take a datagram apart; fragments, which no server has to send, are dropped."""
        if len(packet) <= _HEADER or packet[2]:
            raise packet_error(faults.TRUNCATED)
        return None, *read_contents(bytes(packet[_HEADER:]))

    def _seal(
        self,
        session: PacketSession | None,
        address: bytes,
        payload: bytes,
        now: int,
        salt: bytes,
        padding: bytes,
    ) -> bytes:
        return bytes(_HEADER) + address + payload
