"""The sockets of the UDP relay: pure Python.

Part of ``_udp_py.py``; the twin of ``_udp_ports.pxi``.
"""

from __future__ import annotations

import asyncio
import socket
from functools import lru_cache
from typing import Any, Protocol, TypeAlias, cast

from ..address import Address

# A socket address as sendto() takes it.
SockAddr: TypeAlias = tuple[Any, ...]


class PortOwner(Protocol):
    """What a port needs of its engine."""

    loop: asyncio.AbstractEventLoop
    #: Those under way, kept from being collected.
    tasks: set[asyncio.Task[Any]]


class Port(asyncio.DatagramProtocol):
    """A socket that receives through its transport and sends past it.

    A transport queues what the kernel does not take at once, and asyncio's of Python 3.12 and
    before sends no empty datagrams.
    """

    def __init__(self, engine: PortOwner, sock: socket.socket) -> None:
        self._loop = engine.loop
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
            await self._loop.create_datagram_endpoint(lambda: self, sock=self.socket)
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


@lru_cache(4096)
def address_of(host: str, port: int) -> Address:
    """Return the address of a socket: without its scope, which no header can hold."""
    return Address.of(host.partition("%")[0], port)


def host_of(source: SockAddr) -> str:
    """Return the IP address of a socket's address, without its scope."""
    return cast("str", source[0]).partition("%")[0]
