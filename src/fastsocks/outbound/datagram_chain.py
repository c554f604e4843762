"""The way of datagrams through upstreams."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from fastsocks.address import Address
from fastsocks.errors import CommandError, FastsocksError, UpstreamError
from fastsocks.policy.limits import client_of
from fastsocks.relay.packet_way import MOVED, PacketWay
from fastsocks.relay.udp import SocksPackets
from fastsocks.shadowsocks import packet_client
from fastsocks.shadowsocks.layers import LayeredPackets
from fastsocks.shadowsocks.packets import SALT_CAPACITY

from .chain import upstream_error
from .datagram_renewal import tell_renewed
from .upstream import ShadowsocksUpstream, SocksUpstream
from .upstream_control import UpstreamControl

if TYPE_CHECKING:
    import socket

    from fastsocks.shadowsocks import PacketCodec

    from .chain import Chain, Link
    from .datagram_renewal import Notice
    from .server_addresses import ServerAddresses


class DatagramChain:
    """Servers that datagrams pass, in their order.

    Each Shadowsocks server is sent packets within those for the servers before it. A SOCKS5 server
    is asked for an association by a TCP connection that passes the servers before it, too.

    :param chain: the same servers, as connections pass them.
    :param timeout: seconds for finding the way through all of them.
    :param notice: is told where an association goes on in a new session.
    """

    def __init__(self, chain: Chain, timeout: float, notice: Notice) -> None:
        self._notice = notice
        self._chain = chain
        self._timeout = timeout
        # Without sessions, one codec of each server knows the salts of all answers.
        self._shared: dict[int, PacketCodec] = {}

    async def packet_way(
        self,
        addresses: ServerAddresses,
        client: str,
        *,
        avoid: tuple[int, tuple[Any, ...]] | None = None,
    ) -> PacketWay:
        """Find the way for the datagrams of one association.

        :param client: the IP address of whom it is for.
        :param avoid: see :meth:`.ServerAddresses.find`.
        :raises UpstreamError: one of the servers is not there, or refuses.
        :raises CommandError: there is an HTTP proxy among them.
        """
        host, client = client, client_of(client)
        controls: list[socket.socket] = []
        hops: list[tuple[PacketCodec, Address]] = []
        upstream = self._chain.upstreams[0]
        try:
            async with asyncio.timeout(self._timeout):
                for position, upstream in enumerate(self._chain.upstreams):
                    if isinstance(upstream, ShadowsocksUpstream):
                        hops.append((self._packets(position, upstream), upstream.address))
                    elif isinstance(upstream, SocksUpstream):
                        link, _ = await self._chain.link(
                            position, upstream.address, addresses.dialer, client
                        )
                        controls.append(link.socket)
                        bound = _bound_of(upstream, link, await link.associate(upstream))
                        hops.append((SocksPackets(), bound))
                    else:
                        raise CommandError(f"UDP cannot go through {upstream}")
                upstream = self._chain.upstreams[0]
                (packets, first), *others = hops
                server = await addresses.find(first, client, avoid=avoid)
        except BaseException as cause:
            for sock in controls:
                sock.close()
            if isinstance(cause, UpstreamError | CommandError):
                raise
            if isinstance(cause, FastsocksError | OSError):
                raise upstream_error(upstream, cause) from cause
            raise
        for inner, address in others:
            packets = LayeredPackets(packets, inner, address)
        if controls:
            return PacketWay(packets, server, UpstreamControl(controls))
        return PacketWay(packets, server, renew=partial(self._renew, addresses, host, server))

    async def _renew(
        self,
        addresses: ServerAddresses,
        client: str,
        server: tuple[int, tuple[Any, ...]],
        why: str | None,
    ) -> PacketWay | None:
        first = self._chain.upstreams[0].address
        if why is not None:
            addresses.forget(first)
        elif not await addresses.moved(first, server, client_of(client)):
            return None
        packet_way = await self.packet_way(addresses, client, avoid=server)
        tell_renewed(self._notice, client, first, first, why or MOVED)
        return packet_way

    def _packets(self, position: int, upstream: ShadowsocksUpstream) -> PacketCodec:
        codec = self._shared.get(position)
        if codec is None:
            codec = packet_client(upstream.key, salt_capacity=SALT_CAPACITY)
            if not upstream.key.method.family.sessions:
                self._shared[position] = codec
        return codec


def _bound_of(upstream: SocksUpstream, link: Link, bound: Address) -> Address:
    """Return where a SOCKS5 server takes datagrams; where it leaves that out, at its address."""
    if bound.ip is not None and not bound.ip.is_unspecified:
        return bound
    host = upstream.address.host if link.tunnelled else link.socket.getpeername()[0]
    return Address.of(host.partition("%")[0], bound.port)
