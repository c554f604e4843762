"""The UDP side of a running service: its engine, and associations of SOCKS clients."""

from __future__ import annotations

import asyncio
import os
import socket
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from fastsocks.address import Address
from fastsocks.errors import DialError, ListenError, PolicyError, ResolveError, dial_error
from fastsocks.net import Dialer
from fastsocks.net.resolver.ways import REMEMBERED
from fastsocks.policy.descriptors import association_cap
from fastsocks.policy.limits import client_of
from fastsocks.relay.udp import DatagramEngine
from fastsocks.setup.limits import FAILOVER_WAIT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from fastsocks.config import Options
    from fastsocks.net import Resolver
    from fastsocks.net.resolver import AddrInfo
    from fastsocks.relay._udp_py import Judge
    from fastsocks.relay.packet_way import PacketWay
    from fastsocks.relay.udp import Association
    from fastsocks.request import Peer, Request

    #: See :class:`Datagrams`.
    FindWay: TypeAlias = Callable[["Datagrams", str], Awaitable[PacketWay]]


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
    :param may_reach: see :class:`fastsocks.net.Dialer`, its `may_dial`.
    :param judge: see :class:`fastsocks.relay.udp.DatagramEngine`.
    :param find_way: likewise; is given this object, too.
    :param local_addresses: likewise.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        resolver: Resolver,
        options: Options,
        *,
        may_reach: Callable[[str], bool] | None = None,
        judge: Judge | None = None,
        find_way: FindWay | None = None,
        local_addresses: Iterable[str] = (),
        began: Callable[[Association], None] | None = None,
        over: Callable[[Association], None] | None = None,
        limit_hit: Callable[[str, str], None] | None = None,
        dropped: Callable[[str, str | None, int], None] | None = None,
    ) -> None:
        self._loop = loop
        self._resolver = resolver
        self._options = options
        self._may_reach = may_reach
        #: Servers that connections did not get to, by name, and until when none is tried again.
        self._tried_in_vain: dict[str, float] = {}
        self.engine = DatagramEngine(
            loop,
            resolver,
            permit=None if may_reach is None else self._permit,
            judge=judge,
            find_way=None if find_way is None else partial(find_way, self),
            timeout=options.udp_timeout,
            capacity=association_cap(options.udp_max_associations),
            capacity_per_client=options.udp_max_associations_per_client,
            capacity_per_user=options.udp_max_associations_per_user,
            client_of=client_of,
            limit_hit=limit_hit,
            dropped=dropped,
            local_addresses=local_addresses,
            began=began,
            over=over,
        )

    def associate(
        self,
        request: Request,
        peer: Peer,
        local_host: str,
        *,
        announced: str = "",
        packet_way: PacketWay | None = None,
    ) -> SocksAssociation:
        """Open an association; see :meth:`.roles.Service.associate`.

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

    @property
    def dialer(self) -> Dialer:
        """What opens TCP connections to servers of our own choice."""
        return Dialer(self._loop, self._resolver, timeout=self._options.timeout)

    async def find_server(
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

        :param known: the address, as :meth:`find_server` has returned it.
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
            async with asyncio.timeout(self._options.timeout):
                return await self._resolver.resolve(server.host, server.port, client)
        except TimeoutError as cause:
            raise ResolveError("name look-up timed out") from cause

    def _permit(self, address: Address) -> None:
        if self._may_reach is not None and not self._may_reach(address.host):
            raise PolicyError("this is no public address (--allow-private permits it)")


def _socket_address(server: Address) -> tuple[int, tuple[Any, ...]]:
    version = socket.AF_INET if len(server.wire) == 7 else socket.AF_INET6
    return version, (server.host, server.port)


def _same(one: tuple[int, tuple[Any, ...]], other: tuple[int, tuple[Any, ...]] | None) -> bool:
    """Tell whether two socket addresses are the same host and port."""
    return other is not None and one[0] == other[0] and one[1][:2] == other[1][:2]


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
