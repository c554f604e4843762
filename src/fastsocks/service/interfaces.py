"""What connection set-up and the services speak of with each other.

Connection set-up (``_setup``) knows neither SOCKS nor Shadowsocks nor any rule. It is
given a :class:`Service`, which makes an :class:`Inbound` for every accepted connection and
a :class:`Route` for every request. All calls come from the loop's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from fastsocks.address import Address
    from fastsocks.errors import FastsocksError
    from fastsocks.policy import ClientLimits, UserCounters
    from fastsocks.request import Request
    from fastsocks.shadowsocks import ClientCodec, Codec

Buffer: TypeAlias = bytes | bytearray | memoryview

#: A socket address as :meth:`socket.socket.getpeername` returns it.
Peer: TypeAlias = tuple[Any, ...]


class Inbound(Protocol):
    """One accepted connection, until its request is known."""

    @property
    def codec(self) -> Codec | None:
        """The relay's codec for this end; None for plain bytes."""

    @property
    def silent(self) -> bool:
        """What follows a ProtocolError: drain in silence (True), or send and close."""

    def receive(self, data: Buffer) -> Request | None:
        """Take in 1 byte or more from the client.

        :return: the request, once it is known; early data that came with it is in it.
        :raises ProtocolError: the client broke the protocol.
        """

    def take_outgoing(self) -> bytes:
        """Return what to send to the client now, and forget it."""

    def connected(self, bound: Address | None) -> bytes:
        """Return what to send to the client once the dial stands.

        :param bound: the local address of the outgoing connection, where it is known.
        """

    def failed(self, error: FastsocksError) -> bytes:
        """Return what to send to the client before closing because of `error`."""


class Route(NamedTuple):
    """An outbound's answer to a request."""

    #: Where to dial.
    address: Address
    #: The codec towards what is dialed; None for plain bytes.
    codec: ClientCodec | None = None
    #: Seconds to wait for a first payload after :meth:`Inbound.connected`, so that it can
    #: travel with the codec's request.
    payload_wait: float = 0.0


class Service(Protocol):
    """What connection set-up is given."""

    def inbound(self, peer: Peer) -> Inbound:
        """Make the Inbound of a connection accepted from `peer`."""

    def route(self, request: Request, peer: Peer) -> Route:
        """Decide where a request goes.

        :raises PolicyError: the rules refuse it.
        """

    @property
    def limits(self) -> ClientLimits:
        """What each accepted connection asks for an admission."""

    @property
    def users(self) -> UserCounters | None:
        """Where relays of users are counted; None where users are not told apart."""

    @property
    def access_log(self) -> bool:
        """Whether :meth:`finished` is to be called."""

    def finished(
        self,
        peer: Peer,
        user: str | None,
        target: Address,
        bytes_up: int,
        bytes_down: int,
        seconds: float,
        error: FastsocksError | None,
    ) -> None:
        """Log a connection that has ended and whose target is known, relayed or not.

        :param bytes_up: payload from the client, in bytes; `bytes_down`: to it.
        :param seconds: since it was accepted.
        :param error: why it ended; None if both ends finished.
        """

    def report(self, error: FastsocksError, peer: Peer, target: Address | None) -> None:
        """Log why a connection failed, once.

        :param target: what the client asked for, where that is known.
        """
