"""The UDP relay on uvloop or asyncio: pure Python.

The twin of ``_udp.pyx``, with the same classes in files of the same names; there stands what
happens to a datagram, in order. What cannot be carried is dropped and counted, for UDP promises
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._udp_association_py import Association, Engine
from ._udp_clients_py import ForwardPort, ShadowsocksPort, SharedPort, SocksPort, new_association
from ._udp_packet_way_py import CurrentWay
from ._udp_table_py import DatagramCounters

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from ..address import Address
    from ..net.dial import AddressFilter
    from ..shadowsocks.packets import PacketCodec
    from ._meter_py import Meter
    from .packet_way import FindWay, PacketWay, VerdictOnTarget

__all__ = ["Association", "DatagramCounters", "DatagramEngine"]


class DatagramEngine(Engine):
    """Relays datagrams on one event loop; see :class:`Engine` for the parameters."""

    def serve(self, sock: socket.socket, packets: PacketCodec) -> None:
        """Serve Shadowsocks clients.

        There is one association for each of their sessions, or source addresses where the
        method has no sessions. Answers go to where the last packet that opened came from.

        :param sock: a bound, non-blocking UDP socket; this object's from now on.
        :param packets: the server's codec; several sockets may share one.
        """
        self._serving.append(ShadowsocksPort(self, sock, packets, self.find_way))

    def forward(
        self, sock: socket.socket, target: Address, find_way: FindWay | None = None
    ) -> None:
        """Forward whatever comes to a fixed target, and what that answers to whoever has sent.

        There is one association for each client's address and port. What somebody else than the
        target sends to it is dropped, as far as can be told: of a name that a server resolves, only
        the port can be compared.

        :param sock: a bound, non-blocking UDP socket; this object's from now on.
        :param target: an IP address or a name; resolved here where datagrams go directly.
        :param find_way: finds the way of an association through servers, see
            :class:`DatagramEngine`; None: its datagrams go directly.
        """
        self._serving.append(ForwardPort(self, sock, target, find_way))

    def associate(
        self,
        sock: socket.socket,
        client: str,
        port: int,
        packet_way: PacketWay | None,
        user: str | None = None,
    ) -> Association:
        """Relay for one SOCKS client (RFC 1928 section 7).

        :param sock: a bound, non-blocking UDP socket that the client can reach; this object's
            from now on, even if the call fails.
        :param client: the IP address that datagrams are accepted from.
        :param port: likewise; 0 takes that of the first datagram.
        :param packet_way: the way through servers, its control this object's from now on unless the
            call fails; None leaves it to `find_way`. The association ends with it.
        :param user: whose it is.
        :raises OSError: no further socket can be had.
        """
        host = client.partition("%")[0]
        facing = SocksPort(self, sock, host, port)
        find = None if packet_way is not None else self.find_way
        association = new_association(self, facing, (host, port), user, find)
        facing.association = association
        if packet_way is not None:
            association.packet_way = way = CurrentWay(association, None)
            try:
                way.lead(packet_way)
            except BaseException:
                facing.close()
                raise
        self.admit(association)
        return association

    def stop_serving(self) -> None:
        """Close the sockets of :meth:`serve` and :meth:`forward`, and what answers through them."""
        for association in list(self.table.entries):
            if isinstance(association.facing, SharedPort):
                association.end_by_itself()
        for port in self._serving:
            port.close()
        self._serving.clear()

    def close(self) -> None:
        """Close everything; again does nothing."""
        self.stop_serving()
        super().close()

    def change(
        self,
        *,
        address_filter: AddressFilter | None,
        verdict_on: VerdictOnTarget | None,
        find_way: FindWay | None,
        meter_of: Callable[[str | None], Meter] | None,
        began: Callable[[Association], None] | None,
        over: Callable[[Association], None] | None,
    ) -> None:
        """Have others decide from now on; the parameters are those of the engine.

        Targets of associations that run are asked about again; the ways that they have go on.
        """
        self._set(address_filter, verdict_on, find_way, meter_of, began, over)
        for port in self._serving:
            port.find_way = find_way
        self.forget_verdicts()
