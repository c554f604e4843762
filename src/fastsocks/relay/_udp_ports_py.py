"""The sockets of the UDP relay: pure Python.

Part of ``_udp_py.py``; the twin of ``_udp_ports.pxi``.
"""

from __future__ import annotations

import asyncio
import socket
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from ..address import Address

if TYPE_CHECKING:
    from ._udp_association_py import Association, Engine, SockAddr


class Port(asyncio.DatagramProtocol):
    """A socket that receives through its transport and sends past it.

    A transport queues what the kernel does not take at once, and asyncio's of Python 3.12 and
    before sends no empty datagrams.
    """

    def __init__(self, engine: Engine, sock: socket.socket) -> None:
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


@lru_cache(4096)
def address_of(host: str, port: int) -> Address:
    """Return the address of a socket: without its scope, which no header can hold."""
    return Address.of(host.partition("%")[0], port)
