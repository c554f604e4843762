"""The way of an association through servers: pure Python. Part of ``_udp_py.py``."""

from __future__ import annotations

import asyncio
import errno
from time import monotonic, time
from typing import TYPE_CHECKING, cast

from ..errors import FastsocksError, ProtocolError
from ..net import open_datagram_socket
from ._udp_ports_py import UNREACHABLE, Port

if TYPE_CHECKING:
    import socket

    from ..address import Address
    from ..shadowsocks.packets import PacketCodec
    from ._udp_associations_py import Association
    from ._udp_ports_py import SockAddr
    from ._udp_py import FindTunnel
    from .tunnel import Tunnel

# Seconds for which an association whose tunnel cannot be had looks for none.
_REST = 1.0

# What a connected socket reports of earlier datagrams.
_FROM_ICMP = UNREACHABLE | {errno.ECONNREFUSED}


class _TunnelPort(Port):
    """Faces a Shadowsocks or SOCKS5 server."""

    def __init__(self, association: Association, sock: socket.socket, packets: PacketCodec) -> None:
        super().__init__(association.engine, sock)
        self._association = association
        self._packets = packets

    def send(self, address: Address, payload: bytes) -> None:
        packet = self._packets.seal(address, payload, time())
        outcome = self._send(packet)
        if outcome is not None and outcome.errno in _FROM_ICMP:
            # That was about an earlier datagram; this one was not tried yet.
            outcome = self._send(packet)
        self._association.count_up(outcome, len(payload))

    def _send(self, packet: bytes) -> OSError | None:
        try:
            self.socket.send(packet)
        except OSError as error:
            return error
        return None

    def datagram_received(self, data: bytes, addr: SockAddr) -> None:
        if self.closed:
            return
        try:
            _, address, payload = self._packets.open(data, time())
        except ProtocolError as error:
            self._association.drop(error.status)
            return
        self._association.backward(address, payload)


class TunnelSide:
    """Faces the servers that an association's datagrams go through, once they are known.

    :param tunnel: the way; None looks for one when it is needed, and again when that is lost.
    :raises OSError: there is none, or no socket can be had.
    """

    def __init__(self, association: Association, tunnel: Tunnel | None = None) -> None:
        self._association = association
        self._engine = association.engine
        self._renewed = tunnel is None
        self._port: _TunnelPort | None = None
        self._tunnel: Tunnel | None = None
        self._finding: asyncio.Task[None] | None = None
        self._waiting: list[tuple[Address, bytes]] = []
        self._rests_until = 0.0
        if tunnel is not None:
            self._lead(tunnel)

    def _lead(self, tunnel: Tunnel) -> None:
        family, sockaddr = tunnel.server
        sock = open_datagram_socket(family)
        try:
            sock.connect(sockaddr)
        except BaseException:
            sock.close()
            raise
        self._port = _TunnelPort(self._association, sock, tunnel.packets)
        self._tunnel = tunnel
        if tunnel.control is not None:
            tunnel.control.ended = self._lost

    def send(self, address: Address, payload: bytes) -> None:
        """Send a payload to `address`, of which the last server is told, or let it wait."""
        if self._port is not None:
            self._port.send(address, payload)
            return
        if self._finding is None:
            if monotonic() < self._rests_until:
                self._association.drop("upstream")
                return
            self._finding = self._engine.loop.create_task(self._find())
            self._engine.tasks.add(self._finding)
            self._finding.add_done_callback(self._engine.tasks.discard)
        if not self._engine.table.let_wait(self._association, len(payload)):
            self._association.drop("waiting")
            return
        self._waiting.append((address, payload))

    async def _find(self) -> None:
        find = cast("FindTunnel", self._engine.find_tunnel)
        tunnel: Tunnel | None = None
        try:
            tunnel = await find(self._association.client_host)
            self._lead(tunnel)
        except (FastsocksError, OSError):
            if tunnel is not None and tunnel.control is not None:
                tunnel.control.close()
            self._rests_until = monotonic() + _REST
            for _ in self._release():
                self._association.drop("upstream")
        self._finding = None
        for address, payload in self._release():
            self.send(address, payload)

    def _release(self) -> list[tuple[Address, bytes]]:
        waiting, self._waiting = self._waiting, []
        for _, payload in waiting:
            self._engine.table.release(self._association, len(payload))
        return waiting

    def _lost(self) -> None:
        self.close()
        if not self._renewed:
            self._association.end_by_itself()

    def close(self) -> None:
        """Close the socket, and let nothing wait any more; again does nothing."""
        if self._finding is not None:
            self._finding.cancel()
            self._finding = None
        self._release()
        if self._port is not None:
            self._port.close()
            self._port = None
        tunnel, self._tunnel = self._tunnel, None
        if tunnel is not None and tunnel.control is not None:
            tunnel.control.ended = None
            tunnel.control.close()
