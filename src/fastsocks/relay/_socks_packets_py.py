"""Datagrams to and from a SOCKS5 server: pure Python. The twin of ``_socks_packets.pyx``."""

from __future__ import annotations

from ..address import LARGEST_ADDRESS
from ..buffer import Buffer
from ..shadowsocks import packet_faults as faults
from ..shadowsocks._packets_py import Opened, Packet, PacketCodec, read_contents
from ..shadowsocks.packet_faults import packet_error

# RSV and FRAG (RFC 1928 section 7).
_HEADER = 3


class SocksPackets(PacketCodec):
    """The client's side of UDP ASSOCIATE (RFC 1928 section 7), as a codec of a packet way."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(0, _HEADER + LARGEST_ADDRESS)

    def open(self, packet: Buffer, now: float) -> Opened:
        """Take a datagram apart; fragments, which no server has to send, are dropped."""
        if len(packet) <= _HEADER or packet[2]:
            raise packet_error(faults.TRUNCATED)
        return None, *read_contents(bytes(packet[_HEADER:]))

    def _seal(self, packet: Packet, salt: bytes) -> bytes:
        return bytes(_HEADER) + packet.contents
