"""The sockets of the pure-Python UDP relay, and how its associations reach targets directly."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterable
from functools import lru_cache
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ..address import Address
from ..errors import FastsocksError, PolicyError
from ..net import receive_with_arrival, watch_arrivals

if TYPE_CHECKING:
    from ..net.datagrams import Arrival
    from ..net.resolve import AddrInfo
    from ._udp_associations_py import Association
    from ._udp_py import DatagramEngine

# A socket address as sendto() takes it.
SockAddr: TypeAlias = tuple[Any, ...]

#: Datagrams of one association that may wait for names to be resolved, or for a tunnel.
WAITING = 16

# Names of which one association remembers the address that it sends to, and for how long after
# the last datagram (in seconds): QUIC must not move because an answer of the DNS did.
_NAMES = 64
_NAME_SECONDS = 60.0

# Datagrams that one socket takes in before the others have their turn.
_ROUNDS = 32

#: No way leads there, or none now.
UNREACHABLE = frozenset(
    (
        *(errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN),
        *(errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT),
    )
)

# What says nothing of another address of the same name.
_NOT_ABOUT_THE_WAY = (errno.EAGAIN, errno.ENOBUFS, errno.EMSGSIZE)


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


class ListeningPort(Port):
    """A socket that many send to; its answers leave from the address that was sent to."""

    def __init__(self, engine: DatagramEngine, sock: socket.socket) -> None:
        self._everywhere = watch_arrivals(sock)
        #: Where the datagram that is being handled came to; empty where there is one address.
        self.arrival: Arrival = ()
        super().__init__(engine, sock)

    async def _attach(self) -> None:
        # Transports do not tell of arrivals.
        if not self._everywhere:
            await super()._attach()
        elif not self.closed:
            self.engine.loop.add_reader(self.socket, self._readable)

    def _readable(self) -> None:
        for _ in range(_ROUNDS):
            try:
                data, source, self.arrival = receive_with_arrival(self.socket)
            except OSError:
                return
            self.datagram_received(data, source)
            if self.closed:
                return

    def answer(self, data: bytes, target: SockAddr, arrival: Arrival) -> OSError | None:
        """Send a datagram, or return why not.

        :param arrival: what :attr:`arrival` was.
        """
        if not arrival:
            return self.send_to(data, target)
        try:
            self.socket.sendmsg((data,), arrival, 0, target)
        except OSError as error:
            return error
        return None

    def close(self) -> None:
        """Close the socket; again does nothing."""
        if self._everywhere and not self.closed:
            self.engine.loop.remove_reader(self.socket)
        super().close()


class _OutgoingPort(Port):
    """Faces targets: unconnected, so that whoever learns its port can answer (full cone)."""

    def __init__(self, association: Association, sock: socket.socket) -> None:
        super().__init__(association.engine, sock)
        self._association = association

    def datagram_received(self, data: bytes, addr: SockAddr) -> None:
        if not self.closed:
            self._association.backward(_address_of(addr[0], addr[1]), data)


class Targets:
    """The way of one association to targets: a socket for each family, opened when needed."""

    def __init__(self, association: Association) -> None:
        self._association = association
        self._engine = association.engine
        self._ports: dict[int, _OutgoingPort] = {}
        #: By a name's address header: where it is sent to, and when that was last done.
        self._chosen: dict[bytes, tuple[Address, float]] = {}
        #: What waits for names, by name.
        self._waiting: dict[str, list[tuple[Address, bytes]]] = {}
        self._waiting_count = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, address: Address, payload: bytes) -> None:
        """Send a payload to `address`, or let it wait for its name."""
        if not address.port:
            self._engine.drop("bad-address")
        elif not address.is_name:
            allowed = self._association.may_reach(address)
            outcome = self._send(address, payload) if allowed else "not-allowed"
            self._finish(payload, outcome)
        elif address.host in self._waiting:
            self._wait(address, payload)
        elif (chosen := self._recall(address)) is not None:
            self._finish(payload, self._send(chosen, payload))
        elif (known := self._engine.resolver.cached(address.host)) is not None:
            self._send_to_one(known, address, payload)
        else:
            self._wait(address, payload)

    def close(self) -> None:
        """Close the sockets, and let nothing wait any more."""
        for port in self._ports.values():
            port.close()
        for task in self._tasks:
            task.cancel()
        self._waiting.clear()

    def _finish(self, payload: bytes, outcome: OSError | str | None) -> None:
        self._association.count_up(outcome, len(payload))

    def _send(self, address: Address, payload: bytes) -> OSError | str | None:
        """Send to an IP address, or return why not."""
        if self._engine.permit is not None:
            try:
                self._engine.permit(address)
            except PolicyError as error:
                return error.status
        family = socket.AF_INET if len(address.wire) == 7 else socket.AF_INET6
        port = self._ports.get(family)
        if port is None:
            try:
                sock = self._engine.open_outgoing(family)
            except OSError as error:
                return error
            port = self._ports[family] = _OutgoingPort(self._association, sock)
        return port.send_to(payload, (address.host, address.port))

    def _send_to_one(self, infos: Iterable[AddrInfo], name: Address, payload: bytes) -> None:
        """Send to the first address of a name that is permitted and has a route."""
        outcome: OSError | str | None = None
        for info in infos:
            address = _address_of(info[4][0], name.port)
            allowed = self._association.may_reach(name, address.host)
            outcome = self._send(address, payload) if allowed else "not-allowed"
            if outcome is None:
                self._remember(name, address)
            if outcome is None or (
                isinstance(outcome, OSError) and outcome.errno in _NOT_ABOUT_THE_WAY
            ):
                break
        self._finish(payload, outcome)

    def _remember(self, name: Address, address: Address) -> None:
        if len(self._chosen) >= _NAMES:
            del self._chosen[next(iter(self._chosen))]
        self._chosen[name.wire] = (address, monotonic())

    def _recall(self, name: Address) -> Address | None:
        address, used = self._chosen.pop(name.wire, (None, 0.0))
        now = monotonic()
        if address is None or now - used > _NAME_SECONDS:
            return None
        self._chosen[name.wire] = (address, now)
        return address

    def _wait(self, address: Address, payload: bytes) -> None:
        if self._waiting_count >= WAITING:
            self._engine.drop("waiting")
            return
        self._waiting_count += 1
        host = address.host
        if host in self._waiting:
            self._waiting[host].append((address, payload))
            return
        self._waiting[host] = [(address, payload)]
        task = self._engine.loop.create_task(self._resolve(host))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _resolve(self, host: str) -> None:
        infos: list[AddrInfo] = []
        reason = ""
        try:
            infos = await self._engine.resolver.resolve(host, 0, self._association.client_host)
        except FastsocksError as error:
            reason = error.status
        finally:
            waiting = self._waiting.pop(host, [])
            self._waiting_count -= len(waiting)
        if reason:
            self._engine.drop(reason, len(waiting))
            return
        for address, payload in waiting:
            self._send_to_one(infos, address, payload)


@lru_cache(4096)
def _address_of(host: str, port: int) -> Address:
    """Return the address of a socket: without its scope, which no header can hold."""
    return Address.of(host.partition("%")[0], port)
