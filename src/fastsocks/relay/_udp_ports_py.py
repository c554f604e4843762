"""The sockets of the UDP relay: pure Python.

Part of ``_udp_py.py``; the twin of ``_udp_ports.pxi``.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from functools import lru_cache
from time import time
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ..address import Address
from ..errors import ProtocolError
from .packet_way import REFUSED

if TYPE_CHECKING:
    from ._udp_association_py import Association
    from ._udp_packet_way_py import CurrentWay
    from ._udp_py import DatagramEngine
    from .packet_way import PacketWay

# A socket address as sendto() takes it.
SockAddr: TypeAlias = tuple[Any, ...]

# What ICMP says of a server, and what else a connected socket reports of earlier datagrams.
_REFUSALS = frozenset((errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH))
_FROM_ICMP = _REFUSALS | {errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


class Port(asyncio.DatagramProtocol):
    """A socket that receives through its transport and sends past it.

    A transport queues what the kernel does not take at once, and asyncio's of Python 3.12 and
    before sends no empty datagrams.
    """

    def __init__(self, engine: DatagramEngine, sock: socket.socket) -> None:
        self.engine = engine
        self.closed = False
        self.socket = sock
        self._attaching = False
        self._transport: asyncio.DatagramTransport | None = None
        task = engine.loop.create_task(self._attach())
        engine.tasks.add(task)
        task.add_done_callback(engine.tasks.discard)

    async def _attach(self) -> None:
        if self.closed:
            return
        self._attaching = True
        try:
            await self.engine.loop.create_datagram_endpoint(lambda: self, sock=self.socket)
        finally:
            if self._transport is None:
                self.socket.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but name.
        self._transport = cast("asyncio.DatagramTransport", transport)
        if self.closed:
            self._transport.abort()
            return
        # libuv sets it, and whoever else did could take the port away then.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)

    def error_received(self, exc: Exception) -> None:
        """Pass over what ICMP reports: of whom, it does not say."""

    def send_to(self, data: bytes, target: SockAddr) -> OSError | None:
        """Send a datagram, or return why not."""
        try:
            self.socket.sendto(data, target)
        except OSError as error:
            return error
        return None

    def close(self) -> None:
        """Close the socket; again does nothing."""
        if self.closed:
            return
        self.closed = True
        if self._transport is not None:
            self._transport.abort()
        elif not self._attaching:
            self.socket.close()


class ClientPort(Port):
    """Faces clients."""

    def answer(
        self, association: Association, address: Address, payload: bytes
    ) -> OSError | str | None:
        """Send what a target says as clients expect it, or return why not.

        :param address: who says it.
        """
        raise NotImplementedError

    def release(self, association: Association) -> None:
        """Forget an association, which has ended."""
        raise NotImplementedError


class TargetPort(Port):
    """Faces targets: unconnected, so that whoever learns its port can answer (full cone)."""

    def __init__(self, association: Association, sock: socket.socket) -> None:
        super().__init__(association.engine, sock)
        self._association = association

    def datagram_received(self, data: bytes, addr: SockAddr) -> None:
        if not self.closed:
            self._association.backward(address_of(addr[0], addr[1]), data)


class ServerPort(Port):
    """Faces a Shadowsocks or SOCKS5 server."""

    def __init__(self, way: CurrentWay, sock: socket.socket, packet_way: PacketWay) -> None:
        super().__init__(way.association.engine, sock)
        self.packet_way = packet_way
        #: Whether anything that opens has come by it.
        self.answered = False
        self._way = way
        self._association = way.association

    def send(self, address: Address, payload: bytes) -> OSError | None:
        """Send a payload, or return why not."""
        try:
            packet = self.packet_way.packets.seal(address, payload, time())
        except OSError as error:  # no random bytes
            return error
        outcome = self._send(packet)
        if outcome is not None and outcome.errno in _FROM_ICMP:
            # That was about an earlier datagram; this one was not tried yet.
            self.error_received(outcome)
            outcome = self._send(packet)
        return outcome

    def _send(self, packet: bytes) -> OSError | None:
        try:
            self.socket.send(packet)
        except OSError as error:
            return error
        return None

    def error_received(self, exc: Exception) -> None:
        if isinstance(exc, OSError) and exc.errno in _REFUSALS and self._way.is_current(self):
            self._way.lose(REFUSED)

    def datagram_received(self, data: bytes, addr: SockAddr) -> None:
        if self.closed:
            return
        try:
            _, address, payload = self.packet_way.packets.open(data, time())
        except ProtocolError as error:
            self._association.drop(error.status)
            return
        self._way.heard(self)
        self._association.backward(address, payload)


@lru_cache(4096)
def address_of(host: str, port: int) -> Address:
    """Return the address of a socket: without its scope, which no header can hold."""
    return Address.of(host.partition("%")[0], port)


def host_of(source: SockAddr) -> str:
    """Return the IP address of a socket's address, without its scope."""
    return cast("str", source[0]).partition("%")[0]
