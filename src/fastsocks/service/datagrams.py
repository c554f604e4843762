"""The UDP side of a running service: its engine, and associations of SOCKS clients."""

from __future__ import annotations

import os
import socket
from functools import partial
from typing import TYPE_CHECKING

from fastsocks.address import Address
from fastsocks.errors import ListenError
from fastsocks.outbound.server_addresses import ServerAddresses
from fastsocks.policy.descriptors import association_cap
from fastsocks.policy.limits import client_of
from fastsocks.relay.udp import DatagramEngine

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from fastsocks.config import Options
    from fastsocks.net import Resolver
    from fastsocks.net.dial import AddressFilter
    from fastsocks.outbound.server_addresses import FindWay
    from fastsocks.relay import Meter
    from fastsocks.relay.packet_way import FindWay as FindPacketWay
    from fastsocks.relay.packet_way import PacketWay, VerdictOnTarget
    from fastsocks.relay.udp import Association
    from fastsocks.request import Peer, Request


class SocksAssociation:
    """The association of one SOCKS client, and where the client is told to send."""

    def __init__(self, association: Association, bound: Address) -> None:
        self.bound = bound
        self._association = association

    @property
    def ended(self) -> Callable[[], None] | None:
        """Called once if it ends by itself."""
        return self._association.ended

    @ended.setter
    def ended(self, callback: Callable[[], None] | None) -> None:
        self._association.ended = callback

    def close(self) -> None:
        """End it; again does nothing."""
        self._association.close()


class Datagrams:
    """What a service needs to relay datagrams.

    :param loop: the running event loop.
    :param resolver: for names.
    :param options: its time limit and caps.
    :param address_filter: as of :class:`fastsocks.net.Dialer`.
    :param verdict_on: see :class:`fastsocks.relay.udp.DatagramEngine`.
    :param find_way: likewise; is given :attr:`server_addresses`, too.
    :param local_addresses: likewise.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        resolver: Resolver,
        options: Options,
        *,
        address_filter: AddressFilter | None = None,
        verdict_on: VerdictOnTarget | None = None,
        find_way: FindWay | None = None,
        local_addresses: Iterable[str] = (),
        meter_of: Callable[[str | None], Meter] | None = None,
        began: Callable[[Association], None] | None = None,
        over: Callable[[Association], None] | None = None,
        limit_hit: Callable[[str, str], None] | None = None,
        dropped: Callable[[str, str | None, int], None] | None = None,
    ) -> None:
        #: Of the servers that datagrams go through.
        self.server_addresses = ServerAddresses(loop, resolver, options.timeout)
        self._find_way = self._with_addresses(find_way)
        self.engine = DatagramEngine(
            loop,
            resolver,
            address_filter=address_filter,
            verdict_on=verdict_on,
            find_way=self._find_way,
            timeout=options.udp_timeout,
            capacity=association_cap(options.udp_max_associations),
            capacity_per_client=options.udp_max_associations_per_client,
            capacity_per_user=options.udp_max_associations_per_user,
            client_of=client_of,
            limit_hit=limit_hit,
            dropped=dropped,
            local_addresses=local_addresses,
            meter_of=meter_of,
            began=began,
            over=over,
        )

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
        """Have others decide from now on; the parameters are those of the class."""
        self._find_way = self._with_addresses(find_way)
        self.engine.change(
            address_filter=address_filter,
            verdict_on=verdict_on,
            find_way=self._find_way,
            meter_of=meter_of,
            began=began,
            over=over,
        )

    def _with_addresses(self, find_way: FindWay | None) -> FindPacketWay | None:
        return None if find_way is None else partial(find_way, self.server_addresses)

    def forward(self, sock: socket.socket, target: Address) -> None:
        """Forward what comes to a socket; see :meth:`fastsocks.relay.udp.DatagramEngine.forward`.

        :param sock: a bound one; this object's from now on.
        """
        self.engine.forward(sock, target, self._find_way)

    def associate(
        self,
        request: Request,
        peer: Peer,
        local_host: str,
        *,
        announced: str = "",
        packet_way: PacketWay | None = None,
    ) -> SocksAssociation:
        """Open an association; see :meth:`.roles.Outbound.associate`.

        :param announced: the IP address that the client is told; by default `local_host`.
        :param packet_way: see :meth:`fastsocks.relay.udp.DatagramEngine.associate`; its control is
            closed if the call fails.
        :raises ListenError: no socket can be had.
        """
        client = peer[0]
        try:
            sock = _bind(local_host)
            bound = Address.of((announced or local_host).partition("%")[0], sock.getsockname()[1])
            port = _port_of(request.address, client)
            association = self.engine.associate(sock, client, port, packet_way, request.user)
        except OSError as cause:
            if packet_way is not None and packet_way.control is not None:
                packet_way.control.close()
            reason = os.strerror(cause.errno) if cause.errno else str(cause)
            raise ListenError(f"no UDP association at {local_host}: {reason}") from cause
        return SocksAssociation(association, bound)


def _bind(host: str) -> socket.socket:
    """Open a UDP socket at a port that the kernel chooses.

    :param host: an IP address, with its scope if it has one.
    """
    ((family, kind, protocol, _, sockaddr), *_) = socket.getaddrinfo(
        host, 0, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
    )
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.bind(sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


def _port_of(hint: Address, client: str) -> int:
    """Return the port that a client says it sends from, or 0 where it does not know.

    :param hint: DST of its request. A port beside another address than its own, as we see it,
        has gone through NAT and says nothing. PySocks sends its port with the name "0".
    """
    host = client.partition("%")[0]
    if hint.host in {host, "0"} or (hint.ip is not None and hint.ip.is_unspecified):
        return hint.port
    return 0
