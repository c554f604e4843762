"""How an association goes on where a server does not answer any more, or has moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from fastsocks.errors import FastsocksError
from fastsocks.policy.limits import client_of
from fastsocks.relay.packet_way import MOVED, REFUSED, SILENT, PacketWay
from fastsocks.shadowsocks import packet_client

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsocks.address import Address

    from .server_addresses import FindWay, ServerAddresses
    from .servers import Servers

    #: Logs what is to be known of a client: its IP address, what, the status, the advice.
    Notice: TypeAlias = Callable[[str, str, str, str], None]

_TEXTS = {
    SILENT: "does not answer over UDP any more",
    REFUSED: "refuses UDP",
    MOVED: "has another address now",
}

_ADVICE = {
    SILENT: "is it up, is UDP open on the way, and are password, method and clock still right?",
    REFUSED: "is it up, and does it relay UDP?",
    MOVED: "nothing is to be done",
}


def tell_renewed(notice: Notice, client: str, server: Address, other: Address, why: str) -> None:
    """Log that an association goes on by a new session.

    :param client: the IP address of whose it is.
    :param server: by which it went.
    :param other: by which it goes now; the same one, perhaps at another address.
    :param why: SILENT, REFUSED or MOVED.
    """
    on = "" if other == server else f" by {other}"
    notice(client, f"{server} {_TEXTS[why]}: on{on} in a new session", why, _ADVICE[why])


def server_ways(notice: Notice, servers: Servers, mtu: int | None) -> FindWay:
    """Return what finds the way of an association to one of some servers; see ServerWay."""

    async def find(addresses: ServerAddresses, client: str) -> PacketWay:
        return await ServerWay(notice, addresses, client, servers, mtu).first()

    return find


class ServerWay:
    """The way of one association to Shadowsocks servers of our own choice.

    :param notice: is told of what changes.
    :param addresses: of servers.
    :param client: the IP address of whose it is.
    :param mtu: see :func:`fastsocks.shadowsocks.packet_client`.
    """

    def __init__(
        self,
        notice: Notice,
        addresses: ServerAddresses,
        client: str,
        servers: Servers,
        mtu: int | None,
    ) -> None:
        self._notice = notice
        self._addresses = addresses
        self._client = client
        self._servers = servers
        self._mtu = {} if mtu is None else {"mtu": mtu}
        self._number = 0
        self._server: tuple[int, tuple[Any, ...]] | None = None
        # Those that were lost, the latest one last.
        self._lost: dict[int, None] = {}

    async def first(self) -> PacketWay:
        """Lead to the server that is used now.

        :raises DialError: its name has no address, or there is no way to it.
        """
        return await self._lead(self._servers.for_datagrams())

    async def renew(self, why: str | None) -> PacketWay | None:
        """Lead to another server, or to the same one in a new session; see :class:`PacketWay`.

        :raises DialError: there is no way to any.
        """
        before, lost = self._number, self._servers.destinations[self._number].address
        if why is None:
            moved = await self._addresses.moved(lost, self._server, client_of(self._client))
            if not moved:
                return None
            packet_way = await self._lead(before)
        else:
            self._addresses.forget(lost)
            self._lost.pop(before, None)
            self._lost[before] = None
            self._servers.lost_datagrams(before)
            packet_way = await self._lead_on()
        now = self._servers.destinations[self._number].address
        tell_renewed(self._notice, self._client, lost, now, why or MOVED)
        return packet_way

    async def _lead_on(self) -> PacketWay:
        """Lead to the best server that was not lost, or to the one that was for longest."""
        others = self._servers.balancer.others(self._number)
        failure: FastsocksError | None = None
        for number in (*(one for one in others if one not in self._lost), *self._lost):
            try:
                return await self._lead(number)
            except FastsocksError as error:
                failure = failure or error
        raise failure or AssertionError("there is a server")

    async def _lead(self, number: int) -> PacketWay:
        found = self._servers.destinations[number]
        server = await self._addresses.find(
            found.address, client_of(self._client), avoid=self._server
        )
        self._number, self._server = number, server
        packets = found.packets or packet_client(found.key, **self._mtu)
        return PacketWay(packets, server, renew=self.renew)
