"""Where connections lead, in pure Python; the twin of ``_roles.pyx``.

Classes of Python need not derive from :class:`Outbound`: what has its members will do, and may
leave out those that have a default here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from fastsocks.address import canonical
from fastsocks.errors import CommandError
from fastsocks.policy.requests import check_request
from fastsocks.shadowsocks import ClientCodec

from .limits import PAYLOAD_WAIT

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from fastsocks.address import Address
    from fastsocks.errors import FastsocksError
    from fastsocks.inbound import Accepted
    from fastsocks.net import Dialer
    from fastsocks.net.dial import VerdictOn
    from fastsocks.request import Request
    from fastsocks.shadowsocks import ClientKey
    from fastsocks.shadowsocks.layers import LayeredCodec


@dataclass(frozen=True, slots=True)
class Route:
    """An outbound's answer to a request."""

    #: Where to dial; None: where the request asks for.
    address: Address | None
    #: The codec towards what is dialed; None for plain bytes.
    codec: ClientCodec | LayeredCodec | None = None
    #: Seconds to wait for a first payload after :meth:`Inbound.connected`, so that it can
    #: travel with the codec's request.
    payload_wait: float = 0.0
    #: What is asked for each IP address about to be dialed, in the place of what the dialer has;
    #: None leaves it to the dialer.
    verdict_on: VerdictOn | None = None
    #: For ways that take more than a connect: a coroutine function that is given the dialer and
    #: what counts as the client, and in whose place `address` and `codec` say nothing.
    open: Callable[[Dialer, str], Awaitable[Opened]] | None = None
    #: Is asked once for another way, with `open`, if `address` cannot be reached; None gives up.
    #: Whoever has one is not waited for as long as others are.
    retry: Callable[[FastsocksError], Route | None] | None = None


class Opened(NamedTuple):
    """What :attr:`Route.open` has made."""

    #: Connected and non-blocking; the caller's from now on.
    socket: socket.socket
    #: As of a :class:`Route`; so the seconds to wait for a first payload.
    codec: ClientCodec | LayeredCodec | None
    payload_wait: float
    #: What the target has already said.
    early_data: bytes


class UdpAssociation(Protocol):
    """The UDP relay of one client (RFC 1928 section 7), as long as its TCP connection lasts."""

    #: Called once if the association ends by itself: idle for too long, or one too many. Set-up
    #: sets it as soon as it has the association. Never called from within :meth:`close`, and
    #: not after it.
    ended: Callable[[], None] | None

    @property
    def bound(self) -> Address:
        """Where the client is to send its datagrams; for :meth:`Inbound.connected`."""

    def close(self) -> None:
        """End it, all of its descriptors at once; again does nothing."""


class PeerListener(Protocol):
    """Where one peer of a client is to connect to us (BIND, RFC 1928 section 4)."""

    @property
    def bound(self) -> Address:
        """Where it listens; for the first call of :meth:`Inbound.connected`."""

    async def accept(self) -> tuple[socket.socket, Address]:
        """Wait for the peer, within a time limit of its own.

        :return: its connection, non-blocking, and its address.
        :raises FastsocksError: nobody has come, or none can be accepted; ``reply`` says why.
        """

    def close(self) -> None:
        """Listen no more; again does nothing."""


class Outbound:
    """Leads the requests of a service to where they go.

    A request whose command is UDP_ASSOCIATE goes another way than the others:

    1. :meth:`associate` is awaited in the place of :meth:`route` and a dial. It keeps to a time
       limit of its own; :meth:`Acceptor.abort` cancels it. A FastsocksError is reported and
       answered as that of a dial is (:meth:`Inbound.failed`).
    2. What :meth:`Inbound.connected` returns for :attr:`UdpAssociation.bound` is sent.
    3. The TCP connection, which has no time limit now, is only watched: what comes from the
       client, early data included, is read and forgotten. Its end or reset closes the
       association, and then the connection; nothing is reported of either.
    4. If the association ends by itself (:attr:`UdpAssociation.ended`), the connection is closed.
    5. :meth:`Acceptor.abort` closes both; :meth:`Acceptor.stop_listening` neither.

    Until it is closed the connection counts in :attr:`Acceptor.active`, and in the limits as an
    established one. Whatever comes between an association and its connection, a fault of ours
    included, :meth:`UdpAssociation.close` is called.

    So does one whose command is BIND:

    1. :meth:`bind` is awaited as :meth:`associate` is, and what :meth:`Inbound.connected` returns
       for :attr:`PeerListener.bound` is sent.
    2. :meth:`PeerListener.accept` is awaited. What comes from the client meanwhile is for the
       peer: as much as one read holds is kept. The end of its stream or a reset ends all.
    3. The listener is closed, what :meth:`Inbound.connected` returns for the peer's address is
       sent, and the two are relayed as a CONNECT is: the peer takes the place of the target in
       counters and in the access log.

    :param dialer: opens outgoing connections, within its own time limit.
    :param associate: what :meth:`associate` awaits; None: UDP ASSOCIATE is refused.
    :param bind: likewise.
    """

    def __init__(
        self,
        dialer: Dialer,
        *,
        associate: Callable[[Request, Accepted], Awaitable[UdpAssociation]] | None = None,
        bind: Callable[[Request, Accepted], Awaitable[PeerListener]] | None = None,
    ) -> None:
        #: The parameter.
        self.dialer = dialer
        self._associate = associate
        self._bind = bind

    def canonical(self, request: Request) -> Request:
        """Return the request with the name that is decided on, looked up and sent on.

        Asked first, unless the command is UDP_ASSOCIATE. Where somebody decides on targets, names
        need to have one form (:func:`fastsocks.address.canonical`).

        :raises HostNameError: it has no name of a host.
        """
        return request

    def route(self, request: Request, accepted: Accepted) -> Route:
        """Decide where a request goes.

        :raises PolicyError: the rules refuse it, or its port is 0.
        """
        raise NotImplementedError

    async def associate(self, request: Request, accepted: Accepted) -> UdpAssociation:
        """Open a UDP relay for a client.

        :param request: its command is UDP_ASSOCIATE; its address is but a hint from where the
            client may send.
        :raises FastsocksError: it cannot be had; ``reply`` says why.
        """
        if self._associate is None:
            raise CommandError("UDP ASSOCIATE is not offered here")
        return await self._associate(request, accepted)

    async def bind(self, request: Request, accepted: Accepted) -> PeerListener:
        """Listen for a peer of a client.

        :param request: its command is BIND; its address is the peer that the client expects.
        :raises FastsocksError: it cannot be had; ``reply`` says why.
        """
        if self._bind is None:
            raise CommandError("BIND is not offered here")
        return await self._bind(request, accepted)


class DirectOutbound(Outbound):
    """Leads every request just to its address.

    :param dialer: as for :class:`Outbound`; likewise `associate` and `bind`.
    :param canonical_names: whether the dialer decides on targets, so that names need to have one
        form.
    """

    def __init__(
        self,
        dialer: Dialer,
        *,
        canonical_names: bool = False,
        associate: Callable[[Request, Accepted], Awaitable[UdpAssociation]] | None = None,
        bind: Callable[[Request, Accepted], Awaitable[PeerListener]] | None = None,
    ) -> None:
        super().__init__(dialer, associate=associate, bind=bind)
        self._canonical_names = canonical_names

    def canonical(self, request: Request) -> Request:
        """Return the request with its name in one form; see :meth:`Outbound.canonical`."""
        if not self._canonical_names:
            return request
        address = canonical(request.address)
        # The resolver reads numbers alike, and tells of it.
        return request._replace(address=address) if address.is_name else request

    def route(self, request: Request, accepted: Accepted) -> Route:
        """Dial what the client asked for; see :meth:`Outbound.route`."""
        check_request(request)
        return _STRAIGHT


class ServerOutbound(Outbound):
    """Leads every request to one Shadowsocks server, which is told the target.

    :param dialer: as for :class:`Outbound`; likewise `associate` and `bind`.
    :param key: method and key of the server; may be changed while connections come.
    :param address: of the server; likewise.
    :param payload_wait: see :class:`Route`; likewise.
    """

    def __init__(
        self,
        dialer: Dialer,
        key: ClientKey,
        address: Address,
        *,
        payload_wait: float = PAYLOAD_WAIT,
        associate: Callable[[Request, Accepted], Awaitable[UdpAssociation]] | None = None,
        bind: Callable[[Request, Accepted], Awaitable[PeerListener]] | None = None,
    ) -> None:
        super().__init__(dialer, associate=associate, bind=bind)
        self.key = key
        self.address = address
        self.payload_wait = payload_wait

    def route(self, request: Request, accepted: Accepted) -> Route:
        """Dial the server; see :meth:`Outbound.route`."""
        check_request(request)
        return Route(self.address, ClientCodec(self.key), self.payload_wait)


_STRAIGHT = Route(None)
