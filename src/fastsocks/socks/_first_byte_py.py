"""Several protocols on one port, in pure Python; the twin of ``_first_byte.pyx``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fastsocks.inbound import Inbounds
from fastsocks.request import CONNECT, LONGEST_REQUEST_HEAD, PROTOCOLS

from .protocols import server_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from fastsocks.address import Address
    from fastsocks.buffer import Buffer
    from fastsocks.errors import FastsocksError
    from fastsocks.inbound import Accepted
    from fastsocks.request import Peer, Request

    from .gssapi import ProtectedStream, ServerNegotiation
    from .http import Exchange, HttpServer
    from .server import Check, SocksServer
    from .socks4 import Socks4Server


class FirstByteServer:
    """One accepted connection of a client that speaks any of some protocols.

    It only passes on: the first read decides to whom. A letter begins a method of HTTP; of
    anything else the versions 5 and 4 are known.

    :param check: as of :class:`.server.SocksServer`.
    :param commands: likewise.
    :param protocols: those that are spoken here, of :data:`fastsocks.request.PROTOCOLS`.
    :param gssapi: as of :class:`.server.SocksServer`. The other protocols have none, and let
        nobody in without a password where there is it.
    :param longest_head: most bytes of the head of an HTTP request.
    :param short_replies: the client is not told IPv6 addresses that targets are reached from.
    """

    __slots__ = (
        "_check",
        "_chosen",
        "_commands",
        "_gssapi",
        "_longest_head",
        "_protocols",
        "short_replies",
    )

    #: A client is told what it did wrong.
    silent = False
    cuts_answers = False
    tells_address = True

    def __init__(
        self,
        check: Check | None = None,
        commands: Collection[int] = (CONNECT,),
        protocols: Collection[str] = PROTOCOLS,
        gssapi: Callable[[], ServerNegotiation] | None = None,
        longest_head: int = LONGEST_REQUEST_HEAD,
        short_replies: bool = False,
    ) -> None:
        self.short_replies = short_replies
        self._check = check
        self._commands = commands
        self._protocols = protocols
        self._gssapi = gssapi
        self._longest_head = longest_head
        self._chosen: SocksServer | Socks4Server | HttpServer | None = None

    def begin(self, accepted: Accepted) -> None:
        """Wait for the first byte."""

    @property
    def codec(self) -> Exchange | ProtectedStream | None:
        """What the relay needs for a plain HTTP request, or protects by GSSAPI; else None."""
        return None if self._chosen is None else self._chosen.codec

    @property
    def pending(self) -> Awaitable[Request | None] | None:
        """What the handshake waits for, other than the client."""
        return None if self._chosen is None else self._chosen.pending

    @property
    def user(self) -> str | None:
        """Who has logged in by now."""
        return None if self._chosen is None else self._chosen.user

    def receive(self, data: Buffer) -> Request | None:
        """Take in what the client sent, cut anywhere.

        :raises VersionError: it speaks none of the protocols.
        :raises ProtocolError: what the server of its protocol raises.
        """
        if self._chosen is None:
            self._chosen = server_of(
                data[0],
                self._check,
                self._commands,
                self._protocols,
                self._gssapi,
                self._longest_head,
            )
        return self._chosen.receive(data)

    def take_outgoing(self) -> bytes:
        """Return what to send to the client now, and forget it."""
        return b"" if self._chosen is None else self._chosen.take_outgoing()

    def connected(self, bound: Address | None) -> bytes:
        """Return what to send to the client once the dial stands."""
        if self._chosen is None:
            raise RuntimeError("there is no request to answer")
        return self._chosen.connected(bound)

    def failed(self, error: FastsocksError) -> bytes:
        """Return what to send to the client before closing because of `error`."""
        return b"" if self._chosen is None else self._chosen.failed(error)


class FirstByteServers(Inbounds):
    """Makes the servers of a service.

    :param check: as of :class:`FirstByteServer`, but given who the client is before all else.

    The other parameters are those of :class:`FirstByteServer`.
    """

    def __init__(
        self,
        check: Callable[[Peer, bytes, bytes], str | Awaitable[str | None] | None] | None = None,
        commands: Collection[int] = (CONNECT,),
        protocols: Collection[str] = PROTOCOLS,
        gssapi: Callable[[], ServerNegotiation] | None = None,
        longest_head: int = LONGEST_REQUEST_HEAD,
        *,
        short_replies: bool = False,
    ) -> None:
        self._check = check
        self._arguments = commands, protocols, gssapi, longest_head, short_replies

    def inbound(self, accepted: Accepted) -> FirstByteServer:
        """Make the server of one connection; see :meth:`fastsocks.inbound.Inbounds.inbound`."""
        check = None if self._check is None else partial(self._check, accepted.peer)
        return FirstByteServer(check, *self._arguments)
