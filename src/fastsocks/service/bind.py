"""BIND (RFC 1928 section 4): a peer of a client connects to us, as in FTP's active mode."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

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
    from collections.abc import Callable

    from fastsocks.config import ProxyOptions
    from fastsocks.net import Resolver
    from fastsocks.request import Request

    from .interfaces import Peer

#: A peer that is gone again before it is accepted is not the end of waiting.
_GONE = (errno.ECONNABORTED, errno.ECONNRESET, errno.EPROTO, errno.EPERM)


class BoundListener:
    """Waits for one peer; see :class:`.interfaces.PeerListener`.

    :param sock: listening; this object's from now on.
    :param may_come: is asked for the IP address of each that connects, as text. Who may not is
        disconnected, and waiting goes on.
    :param timeout: seconds to wait.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        may_come: Callable[[str], bool],
        timeout: float,
    ) -> None:
        self._loop = loop
        self._socket = sock
        self._may_come = may_come
        self._timeout = timeout
        self.bound = _address(sock.getsockname())

    async def accept(self) -> tuple[socket.socket, Address]:
        """Wait for the peer.

        :raises DialError: it has not come in time, or cannot be accepted.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._accept()
        except TimeoutError as cause:
            raise DialTimeoutError(
                f"the expected peer has not connected in {self._timeout:g} s"
            ) from cause

    async def _accept(self) -> tuple[socket.socket, Address]:
        while True:
            try:
                sock, sockaddr = await self._loop.sock_accept(self._socket)
            except OSError as cause:
                if cause.errno in _GONE:
                    continue
                reason = os.strerror(cause.errno) if cause.errno else str(cause)
                raise DialError(f"no peer can be accepted: {reason}") from cause
            if self._may_come(sockaddr[0].partition("%")[0]):
                return sock, _address(sockaddr)
            sock.close()

    def close(self) -> None:
        """Listen no more; again does nothing."""
        self._socket.close()


class Binder:
    """Makes the listeners of a service.

    :param loop: the running event loop.
    :param resolver: for names of peers.
    :param options: where to listen, and time limits.
    :param may_reach: is asked whether an IP address, as text, may be a peer; None allows all.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        resolver: Resolver,
        options: ProxyOptions,
        may_reach: Callable[[str], bool] | None = None,
    ) -> None:
        self._loop = loop
        self._resolver = resolver
        self._options = options
        self._may_reach = may_reach
        self._local: dict[int, str] = {
            ip_address(host).version: host for host in options.bind_addresses
        }

    async def bind(
        self,
        request: Request,
        peer: Peer,
        local_host: str,
        may_reach: Callable[[str], bool] | None = None,
    ) -> BoundListener:
        """Listen for the peer that a client expects; see :meth:`.interfaces.Service.bind`.

        :param may_reach: is asked in the place of that of the binder.
        :raises ListenError: no address or port can be had.
        :raises PolicyError: the peer is none that clients may reach.
        :raises DialError: its name has no address, or there is no way to it.
        """
        may_reach = may_reach or self._may_reach
        expected = await self._expected(request.address, client_of(peer[0]), may_reach)
        if expected:
            host = self._towards(expected)
            hosts = {sockaddr[0] for _, sockaddr in expected}
            may_come: Callable[[str], bool] = lambda host: host in hosts  # noqa: E731
        else:
            version = 6 if ":" in local_host else 4
            host = self._local.get(version) or next(iter(self._local.values()), local_host)
            may_come = may_reach or _anybody
        sock = listen_for_peer(host, self._options.bind_ports)
        return BoundListener(self._loop, sock, may_come, self._options.bind_timeout)

    async def _expected(
        self, address: Address, client: str, may_reach: Callable[[str], bool] | None
    ) -> list[tuple[int, tuple[Any, ...]]]:
        """Return family and socket address of each that may come; empty is anybody."""
        port = address.port
        if address.ip is not None:
            # An IPv4 address in IPv6's clothes connects by IPv4.
            family = socket.AF_INET if address.ip.version == 4 else socket.AF_INET6
            found: list[tuple[int, tuple[Any, ...]]] = [(family, (str(address.ip), port))]
        else:
            try:
                async with asyncio.timeout(self._options.timeout):
                    infos = await self._resolver.resolve(address.host, port, client)
            except TimeoutError as cause:
                raise ResolveError("name look-up timed out") from cause
            found = [(family, sockaddr) for family, _, _, _, sockaddr in infos]
            if self._options.ipv6_first:
                found.sort(key=lambda one: one[0] != socket.AF_INET6)
        # PySocks writes the name "0" for nobody in particular.
        if any(ip_address(sockaddr[0].partition("%")[0]).is_unspecified for _, sockaddr in found):
            return []
        if may_reach is not None:
            found = [one for one in found if may_reach(one[1][0])]
            if not found:
                raise PolicyError(
                    "the expected peer has no address that the rules allow, or no public one "
                    "(--allow-private permits it)"
                )
        return found

    def _towards(self, expected: list[tuple[int, tuple[Any, ...]]]) -> str:
        """Return the address to listen at for one of the peers expected."""
        if self._local:
            for family, _ in expected:
                host = self._local.get(6 if family == socket.AF_INET6 else 4)
                if host is not None:
                    return host
            error = ListenError("bind_address has no address of the expected peer's family")
            error.reply = 0x08
            raise error
        for family, sockaddr in expected:
            if (host := outgoing_address(family, sockaddr)) is not None:
                return host
        raise dial_error(OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH)))


def _anybody(_: str) -> bool:
    return True


def _address(sockaddr: tuple[Any, ...]) -> Address:
    # A link-local address comes with its scope, which no header can hold.
    return Address.of(sockaddr[0].partition("%")[0], sockaddr[1])
