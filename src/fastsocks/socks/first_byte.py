"""Several protocols on one port, told apart by the first byte of a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastsocks.errors import VersionError
from fastsocks.request import CONNECT, HTTP, PROTOCOLS, SOCKS4, SOCKS5

from .server import SocksServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from fastsocks.address import Address
    from fastsocks.errors import FastsocksError
    from fastsocks.request import Request

    from .gssapi import ProtectedStream, ServerNegotiation
    from .http import Exchange, HttpServer
    from .messages import Buffer
    from .server import Check
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
    """

    __slots__ = ("_check", "_chosen", "_commands", "_gssapi", "_protocols")

    #: A client is told what it did wrong.
    silent = False

    def __init__(
        self,
        check: Check | None = None,
        commands: Collection[int] = (CONNECT,),
        protocols: Collection[str] = PROTOCOLS,
        gssapi: Callable[[], ServerNegotiation] | None = None,
    ) -> None:
        self._check = check
        self._commands = commands
        self._protocols = protocols
        self._gssapi = gssapi
        self._chosen: SocksServer | Socks4Server | HttpServer | None = None

    @property
    def codec(self) -> Exchange | ProtectedStream | None:
        """What the relay needs for a plain HTTP request, or protects by GSSAPI; else None."""
        return None if self._chosen is None else self._chosen.codec

    @property
    def pending(self) -> Awaitable[Request | None] | None:
        """What the handshake waits for, other than the client."""
        return None if self._chosen is None else self._chosen.pending

    def receive(self, data: Buffer) -> Request | None:
        """Take in what the client sent, cut anywhere.

        :raises VersionError: it speaks none of the protocols.
        :raises ProtocolError: what the server of its protocol raises.
        """
        if self._chosen is None:
            self._chosen = self._choose(data[0])
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

    def _choose(self, first: int) -> SocksServer | Socks4Server | HttpServer:
        protocol = protocol_of(first)
        if protocol not in self._protocols:
            what = f"byte {first:#04x}" if protocol is None else protocol
            raise VersionError(f"{what} instead of {' or '.join(self._protocols)}")
        if protocol == SOCKS5:
            return SocksServer(self._check, self._commands, self._gssapi)
        check = self._check
        if check is None and self._gssapi is not None:
            check = _refuse
        # Imported when the first client speaks them: the start does not wait for it.
        if protocol == SOCKS4:
            from .socks4 import Socks4Server

            return Socks4Server(authenticated=check is not None, commands=self._commands)
        from .http import HttpServer

        return HttpServer(check, self._commands)


def _refuse(username: bytes, password: bytes) -> None:
    """Let nobody in; see :data:`.server.Check`."""


def protocol_of(first: int) -> str | None:
    """Return the protocol that a client speaks whose first byte this is, if any does."""
    if first == 0x05:
        return SOCKS5
    if first == 0x04:
        return SOCKS4
    if 0x41 <= first <= 0x5A or 0x61 <= first <= 0x7A:
        return HTTP
    return None
