"""Packets within packets: pure Python. The twin of ``_packet_layers.pyx``."""

from __future__ import annotations

from ..address import Address
from ..buffer import Buffer
from . import packet_faults as faults
from ._packets_py import Opened, Packet, PacketCodec
from .packet_faults import packet_error

__all__ = ["LayeredPackets"]


class LayeredPackets(PacketCodec):
    """A client's packets for one server within those for another, as a chain of servers has them.

    :param outer: towards the server that comes first.
    :param inner: towards the next one.
    :param following: where that one is, as the first one is told. Packets are taken from there
        only; of a name, whose address the first server knows, the port has to be the same.
    """

    __slots__ = ("_following", "_inner", "_outer")

    def __init__(self, outer: PacketCodec, inner: PacketCodec, following: Address) -> None:
        super().__init__(0, outer.overhead + inner.overhead)
        self._outer = outer
        self._inner = inner
        self._following = following

    def open(self, packet: Buffer, now: float) -> Opened:
        """Open a packet; see :meth:`PacketCodec.open`."""
        _, source, inner = self._outer.open(packet, now)
        server = self._following
        if source.port != server.port or not (server.is_name or source.ip == server.ip):
            raise packet_error(faults.FOREIGN_SERVER)
        return self._inner.open(inner, now)

    def _seal(self, packet: Packet, salt: bytes) -> bytes:
        inner = self._inner.seal(Address(packet.address), packet.payload, packet.now)
        return self._outer.seal(self._following, inner, packet.now)
