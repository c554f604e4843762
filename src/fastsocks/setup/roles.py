"""What connection set-up and the services speak of with each other.

Connection set-up (``_setup``) knows neither SOCKS nor Shadowsocks nor any rule. It is
given a :class:`Service`, which makes an :class:`Inbound` for every accepted connection and
a :class:`Route` for every request. All calls come from the loop's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from fastsocks.buffer import Buffer

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from fastsocks.address import Address
    from fastsocks.errors import FastsocksError
    from fastsocks.journal.observer import Observers
    from fastsocks.net import Dialer
    from fastsocks.net.dial import Permit
    from fastsocks.policy import ClientLimits, UserCounters
    from fastsocks.relay import RelayCodec
    from fastsocks.request import Peer, Request
    from fastsocks.shadowsocks import ClientCodec, ClientKey, PacketCodec
    from fastsocks.shadowsocks.layers import LayeredCodec


class Inbound(Protocol):
    """One accepted connection, until its request is known."""

    @property
    def codec(self) -> RelayCodec | None:
        """The relay's codec for this end; None for plain bytes."""

    @property
    def silent(self) -> bool:
        """What follows a ProtocolError: drain in silence (True), or send and close."""

    def receive(self, data: Buffer) -> Request | None:
        """Take in 1 byte or more from the client.

        :return: the request, once it is known; early data that came with it is in it.
        :raises ProtocolError: the client broke the protocol.
        """

    @property
    def pending(self) -> Awaitable[Request | None] | None:
        """What the handshake waits for, other than the client: a password's check, say.

        Looked at only when :meth:`receive` has returned None. Where there is something, set-up
        sends what :meth:`take_outgoing` returns, awaits it instead of reading on, and takes its
        result, or the FastsocksError that it raises, as those of :meth:`receive`. So an Inbound
        keeps what the client sent ahead, and goes on with it in a coroutine::

            def receive(self, data):
                ...
                self.pending = self._go_on(check(username, password), data[position:])
                return None

            async def _go_on(self, verdict, data):
                user = await verdict
                self.pending = None  # or the next one
                ...

        The time limit of the handshake and :meth:`Acceptor.abort` cancel it: what others wait
        for too is for the Inbound to shield. After the time limit :meth:`failed` is called.
        """

    def take_outgoing(self) -> bytes:
        """Return what to send to the client now, and forget it."""

    def connected(self, bound: Address | None) -> bytes:
        """Return what to send to the client once the dial stands.

        It is called twice for a BIND; see :class:`Service`.

        :param bound: the local address of the outgoing connection, where it is known.
        """

    def failed(self, error: FastsocksError) -> bytes:
        """Return what to send to the client before closing because of `error`."""


class Destination(NamedTuple):
    """A Shadowsocks server."""

    address: Address
    key: ClientKey
    #: For all associations, where the method has no sessions.
    packets: PacketCodec | None


class Route(NamedTuple):
    """An outbound's answer to a request."""

    #: Where to dial.
    address: Address
    #: The codec towards what is dialed; None for plain bytes.
    codec: ClientCodec | LayeredCodec | None = None
    #: Seconds to wait for a first payload after :meth:`Inbound.connected`, so that it can
    #: travel with the codec's request.
    payload_wait: float = 0.0
    #: What is asked for each IP address about to be dialed, in the place of what the dialer has;
    #: None leaves it to the dialer.
    permit: Permit | None = None
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


class Service(Protocol):
    """What connection set-up is given.

    A request whose command is UDP_ASSOCIATE goes another way than the others:

    1. :meth:`associate` is awaited in the place of :meth:`route` and a dial. It keeps to a time
       limit of its own; :meth:`Acceptor.abort` cancels it. A FastsocksError is reported and
       answered as that of a dial is (:attr:`observer`, :meth:`Inbound.failed`).
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
       counters and for observers.
    """

    def inbound(self, peer: Peer) -> Inbound:
        """Make the Inbound of a connection accepted from `peer`."""

    def route(self, request: Request, peer: Peer) -> Route:
        """Decide where a request goes.

        :raises PolicyError: the rules refuse it.
        """

    async def associate(self, request: Request, peer: Peer, local_host: str) -> UdpAssociation:
        """Open a UDP relay for a client.

        :param request: its command is UDP_ASSOCIATE; its address is but a hint from where the
            client may send.
        :param peer: the client's end of the TCP connection that asks.
        :param local_host: the IP address of our end of it, as a socket names it: that is where
            the client reaches us.
        :raises FastsocksError: it cannot be had; ``reply`` says why.
        """

    async def bind(self, request: Request, peer: Peer, local_host: str) -> PeerListener:
        """Listen for a peer of a client.

        :param request: its command is BIND; its address is the peer that the client expects.
        :param peer: the client's end of the TCP connection that asks.
        :param local_host: the IP address of our end of it, as a socket names it.
        :raises FastsocksError: it cannot be had; ``reply`` says why.
        """

    @property
    def straight(self) -> bool:
        """Whether :meth:`route` leads every request, whose port is not 0, just to its address.

        Set-up then need not ask it.
        """

    @property
    def canonical_names(self) -> bool:
        """Whether somebody decides on targets, so that their names need to have one form.

        Requests that go to :meth:`route` and :meth:`bind`, or straight to their address, are
        given it then (:func:`fastsocks.address.canonical`), and what is no host name is refused.
        """

    @property
    def short_replies(self) -> bool:
        """Whether clients are not told IPv6 addresses that targets are reached from."""

    @property
    def only_server(self) -> Destination | None:
        """The Shadowsocks server to which :meth:`route` leads every request, whose port is not 0.

        None where there is more to decide. Set-up need not ask :meth:`route` then, either.
        """

    @property
    def limits(self) -> ClientLimits:
        """What each accepted connection asks for an admission."""

    @property
    def users(self) -> UserCounters | None:
        """Where relays of users are counted; None where users are not told apart."""

    @property
    def observer(self) -> Observers:
        """Who is told what happens to connections."""
