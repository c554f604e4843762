"""Which address of a server datagrams go to, and whether it is still there."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, TypeAlias

from fastsocks.errors import DialError, ResolveError, dial_error
from fastsocks.net import Dialer
from fastsocks.net.resolver.ways import REMEMBERED
from fastsocks.setup.limits import FAILOVER_WAIT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastsocks.address import Address
    from fastsocks.net import Resolver
    from fastsocks.net.resolver import AddrInfo
    from fastsocks.relay.packet_way import PacketWay

#: Finds the way of an association through servers: is given their addresses, and the IP address
#: of whose it is.
FindWay: TypeAlias = "Callable[[ServerAddresses, str], Awaitable[PacketWay]]"


class ServerAddresses:
    """Finds servers of our own choice for UDP.

    :param loop: the running event loop.
    :param resolver: for their names.
    :param timeout: seconds for a look-up, and for a connection to a server.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, resolver: Resolver, timeout: float) -> None:
        self._loop = loop
        self._resolver = resolver
        self._timeout = timeout
        #: Servers that connections did not get to, by name, and until when none is tried again.
        self._tried_in_vain: dict[str, float] = {}

    @property
    def dialer(self) -> Dialer:
        """What opens TCP connections to servers of our own choice."""
        return Dialer(self._loop, self._resolver, timeout=self._timeout)

    async def find(
        self,
        server: Address,
        client: str,
        *,
        avoid: tuple[int, tuple[Any, ...]] | None = None,
    ) -> tuple[int, tuple[Any, ...]]:
        """Return family and socket address of a server, of those of its name the best one.

        That is the one that connections go to, where several have been tried; a datagram would not
        tell that nobody is there.

        :param client: what counts as the client, see :meth:`fastsocks.net.Resolver.resolve`.
        :param avoid: the same of one that is taken only where there is no other.
        :raises ResolveError: the name has no address.
        :raises DialError: there is no way to any of them.
        """
        if not server.is_name:
            return _socket_address(server)
        infos = await self._look_up(server, client)
        if len(infos) > 1 and not self._resolver.knows_way(infos):
            await self._try_ways(server, client)
            infos = await self._look_up(server, client)
        found = [(info[0], info[4]) for info in infos]
        found.sort(key=lambda one: _same(one, avoid))
        failure: OSError | None = None
        for family, sockaddr in found:
            try:
                with socket.socket(family, socket.SOCK_DGRAM) as probe:
                    # Sends nothing: asks for a route.
                    probe.connect(sockaddr)
            except OSError as error:
                failure = failure or error
            else:
                return family, sockaddr
        raise dial_error(failure or OSError("the name has no address"))

    async def moved(
        self, server: Address, known: tuple[int, tuple[Any, ...]] | None, client: str
    ) -> bool:
        """Tell whether an address of a server is no longer one of its name.

        :param known: the address, as :meth:`find` has returned it.
        :param client: likewise.
        :raises ResolveError: the name has no address, or there is no answer.
        """
        if not server.is_name:
            return not _same(_socket_address(server), known)
        infos = await self._look_up(server, client)
        return not any(_same((info[0], info[4]), known) for info in infos)

    def forget(self, server: Address) -> None:
        """Look the name of a server up again before it is used the next time."""
        if server.is_name:
            self._resolver.drop(server.host)

    async def _try_ways(self, server: Address, client: str) -> None:
        """Find out by a connection which addresses of a server are there."""
        now = self._loop.time()
        if self._tried_in_vain.get(server.host, now) > now:
            return
        dialer = Dialer(self._loop, self._resolver, timeout=FAILOVER_WAIT)
        try:
            (await dialer.dial(server, client)).close()
        except DialError:
            # It may have UDP only.
            self._tried_in_vain[server.host] = now + REMEMBERED

    async def _look_up(self, server: Address, client: str) -> list[AddrInfo]:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._resolver.resolve(server.host, server.port, client)
        except TimeoutError as cause:
            raise ResolveError("name look-up timed out") from cause


def _socket_address(server: Address) -> tuple[int, tuple[Any, ...]]:
    version = socket.AF_INET if len(server.wire) == 7 else socket.AF_INET6
    return version, (server.host, server.port)


def _same(one: tuple[int, tuple[Any, ...]], other: tuple[int, tuple[Any, ...]] | None) -> bool:
    """Tell whether two socket addresses are the same host and port."""
    return other is not None and one[0] == other[0] and one[1][:2] == other[1][:2]
