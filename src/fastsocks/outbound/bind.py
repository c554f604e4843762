"""BIND (RFC 1928 section 4): a peer of a client connects to us, as in FTP's active mode."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, TypeAlias

from fastsocks.address import Address
from fastsocks.errors import (
    DialError,
    DialTimeoutError,
    ListenError,
    PolicyError,
    ResolveError,
    dial_error,
)
from fastsocks.net import listen_for_peer, outgoing_address
from fastsocks.policy.limits import client_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastsocks.config import ProxyOptions
    from fastsocks.net import Resolver
    from fastsocks.net.dial import AddressFilter
    from fastsocks.request import Peer, Request


#: A peer that is gone again before it is accepted is not the end of waiting.
_GONE = (errno.ECONNABORTED, errno.ECONNRESET, errno.EPROTO, errno.EPERM)

#: Who may come: family and socket address of each.
_Expected: TypeAlias = "list[tuple[int, tuple[Any, ...]]]"

#: An address of nobody (RFC 5737), for asking by which of ours this host reaches others.
_ELSEWHERE = ("192.0.2.1", 9)


class BoundListener:
    """Waits for one peer; see :class:`.roles.PeerListener`.

    :param sockets: listening, this object's from now on; the client is told the first's address.
    :param address_filter: is asked for the IP address of each that connects. Who may not is
        disconnected, and waiting goes on.
    :param timeout: seconds to wait.
    :param closed: is called when it listens no more.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sockets: Sequence[socket.socket],
        address_filter: AddressFilter,
        timeout: float,
        closed: Callable[[BoundListener], None],
    ) -> None:
        self._loop = loop
        self._sockets = sockets
        self._address_filter = address_filter
        self._timeout = timeout
        self._closed: Callable[[BoundListener], None] | None = closed
        self._displaced: asyncio.Future[None] = loop.create_future()
        self.bound = _address(sockets[0].getsockname())

    async def accept(self) -> tuple[socket.socket, Address]:
        """Wait for the peer.

        :raises DialError: it has not come in time, or cannot be accepted, or another client
            needed the port.
        """
        self._check_place()
        waits = [self._loop.create_task(self._accept(sock)) for sock in self._sockets]
        came: asyncio.Task[tuple[socket.socket, Address]] | None = None
        try:
            async with asyncio.timeout(self._timeout):
                awaited: list[asyncio.Future[Any]] = [*waits, self._displaced]
                await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            self._check_place()
            came = next(wait for wait in waits if wait.done())
        except TimeoutError as cause:
            raise DialTimeoutError(
                f"the expected peer has not connected in {self._timeout:g} s"
            ) from cause
        finally:
            for wait in waits:
                if wait is not came:
                    wait.cancel()
                    wait.add_done_callback(_close_accepted)
            await asyncio.wait(waits)
        return came.result()

    async def _accept(self, listener: socket.socket) -> tuple[socket.socket, Address]:
        while True:
            try:
                sock, sockaddr = await self._loop.sock_accept(listener)
            except OSError as cause:
                if cause.errno in _GONE:
                    continue
                reason = os.strerror(cause.errno) if cause.errno else str(cause)
                raise DialError(f"no peer can be accepted: {reason}") from cause
            if self._address_filter(sockaddr[0].partition("%")[0]):
                return sock, _address(sockaddr)
            sock.close()

    def _check_place(self) -> None:
        if self._displaced.done():
            raise DialError("its port is given to another client: this one waits at many")

    def displace(self) -> None:
        """Listen no more, at once, so that another client can have the port."""
        if not self._displaced.done():
            self._displaced.set_result(None)
        self.close()

    def close(self) -> None:
        """Listen no more; again does nothing."""
        sockets, self._sockets = self._sockets, ()
        for sock in sockets:
            with contextlib.suppress(NotImplementedError):  # the proactor loop of Windows
                # Who waits does it in the loop's next turn, when the descriptor may be another's.
                self._loop.remove_reader(sock)
            sock.close()
        closed, self._closed = self._closed, None
        if closed is not None:
            closed(self)


class Binder:
    """Makes the listeners of a service.

    Clients share ports and descriptors fairly: where one has none left, who has more than a quarter
    of them loses the one it has had for longest.

    :param loop: the running event loop.
    :param resolver: for names of peers.
    :param options: where to listen, and time limits.
    :param address_filter: tells which IP addresses may be peers; None lets all.
    :param most: listeners at a time; None is no limit but that of the ports.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        resolver: Resolver,
        options: ProxyOptions,
        address_filter: AddressFilter | None = None,
        most: int | None = None,
    ) -> None:
        self._loop = loop
        self._resolver = resolver
        self._options = options
        self._address_filter = address_filter
        self._most = most
        self._local: dict[int, str] = {
            socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET: host
            for host in options.bind_addresses
        }
        # By client, those that wait, the oldest first.
        self._waiting: dict[str, list[BoundListener]] = {}

    async def bind(
        self,
        request: Request,
        peer: Peer,
        local_host: str,
        address_filter: AddressFilter | None = None,
    ) -> BoundListener:
        """Listen for the peer that a client expects; see :meth:`.roles.Outbound.bind`.

        A peer whose name has addresses of both families may come by either. A client that can be
        told IPv4 addresses only gets a listener there.

        :param address_filter: is asked in the place of that of the binder.
        :raises ListenError: no address or port can be had.
        :raises PolicyError: the peer is none that clients may reach.
        :raises DialError: its name has no address, or there is no way to it.
        """
        address_filter = address_filter or self._address_filter
        client = client_of(peer[0])
        short = request.short_reply or self._options.short_replies
        expected = await self._expected(request.address, client, address_filter)
        if expected:
            if short:
                expected = _of_ipv4(expected)
            hosts = self._towards(expected)
            address_filter = frozenset(one[1][0] for one in expected).__contains__
        else:
            hosts = [self._for_anybody(local_host, short=short)]
        sockets = self._listen(hosts, client)
        listener = BoundListener(
            self._loop,
            sockets,
            address_filter or _anybody,
            self._options.bind_timeout,
            lambda listener: self._forget(client, listener),
        )
        self._waiting.setdefault(client, []).append(listener)
        return listener

    async def _expected(
        self, address: Address, client: str, address_filter: AddressFilter | None
    ) -> _Expected:
        """Return family and socket address of each that may come; empty is anybody."""
        port = address.port
        if address.ip is not None:
            # An IPv4 address in IPv6's clothes connects by IPv4.
            family = socket.AF_INET if address.ip.version == 4 else socket.AF_INET6
            found: _Expected = [(family, (str(address.ip), port))]
        else:
            try:
                async with asyncio.timeout(self._options.timeout):
                    infos = await self._resolver.resolve(address.host, port, client)
            except TimeoutError as cause:
                raise ResolveError("name look-up timed out") from cause
            found = [(family, sockaddr) for family, _, _, _, sockaddr in infos]
        # PySocks writes the name "0" for nobody in particular.
        if any(ip_address(sockaddr[0].partition("%")[0]).is_unspecified for _, sockaddr in found):
            return []
        if address_filter is not None:
            found = [one for one in found if address_filter(one[1][0])]
            if not found:
                raise PolicyError(
                    "the expected peer has no address that the rules allow, or no public one "
                    "(--allow-private permits it)"
                )
        return found

    def _towards(self, expected: _Expected) -> list[str]:
        """Return the address to listen at for the peers expected, one of each family."""
        hosts: dict[int, str] = {}
        for family, sockaddr in expected:
            host = self._local.get(family) if self._local else outgoing_address(family, sockaddr)
            if host is not None:
                hosts.setdefault(family, host)
        if hosts:
            return list(hosts.values())
        if self._local:
            raise _unspeakable("bind_address has no address of the expected peer's family")
        raise dial_error(OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH)))

    def _for_anybody(self, local_host: str, *, short: bool) -> str:
        """Return the address to listen at where the client does not say for whom."""
        if not short:
            family = socket.AF_INET6 if ":" in local_host else socket.AF_INET
            return self._local.get(family) or next(iter(self._local.values()), local_host)
        if self._local:
            host = self._local.get(socket.AF_INET)
        elif ":" not in local_host:
            return local_host
        elif ip_address(local_host.partition("%")[0]).is_loopback:
            return "127.0.0.1"
        else:
            host = outgoing_address(socket.AF_INET, _ELSEWHERE)
        if host is None:
            raise _unspeakable("the client can be told IPv4 addresses only, and there is none")
        return host

    def _listen(self, hosts: Sequence[str], client: str) -> list[socket.socket]:
        """Listen at the first of these, and at the others at the same port where that is free."""
        while True:
            try:
                if self._most is not None and self._count() >= self._most:
                    raise _no_more(self._most)
                first = listen_for_peer(hosts[0], self._options.bind_ports)
                break
            except ListenError as error:
                if error.errno != errno.EADDRINUSE or not self._make_room(client):
                    raise
        sockets, port = [first], first.getsockname()[1]
        for host in hosts[1:]:
            with contextlib.suppress(ListenError):
                sockets.append(listen_for_peer(host, (port, port)))
        return sockets

    def _count(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _make_room(self, client: str) -> bool:
        """Have the client that waits most give up a place; False if it has no more than its due."""
        most = max(self._waiting, key=lambda one: len(self._waiting[one]), default=client)
        listeners = self._waiting.get(most, [])
        fair = max(1, self._count() // 4, len(self._waiting.get(client, ())) + 1)
        if len(listeners) <= fair:
            return False
        listeners[0].displace()
        return True

    def _forget(self, client: str, listener: BoundListener) -> None:
        waiting = self._waiting[client]
        waiting.remove(listener)
        if not waiting:
            del self._waiting[client]


def _of_ipv4(expected: _Expected) -> _Expected:
    found = [one for one in expected if one[0] == socket.AF_INET]
    if not found:
        raise _unspeakable(
            "the expected peer has no IPv4 address, and the client can be told no other"
        )
    return found


def _unspeakable(text: str) -> ListenError:
    error = ListenError(text)
    error.reply = 0x08
    return error


def _no_more(most: int) -> ListenError:
    error = ListenError(
        f"{most} clients wait for a peer, as many as the limit of open files leaves room for"
    )
    error.errno = errno.EADDRINUSE
    return error


def _close_accepted(waiting: asyncio.Task[tuple[socket.socket, Address]]) -> None:
    if not waiting.cancelled() and waiting.exception() is None:
        waiting.result()[0].close()


def _anybody(_: str) -> bool:
    return True


def _address(sockaddr: tuple[Any, ...]) -> Address:
    # A link-local address comes with its scope, which no header can hold.
    return Address.of(sockaddr[0].partition("%")[0], sockaddr[1])
