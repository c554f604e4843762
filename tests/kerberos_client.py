"""Our SOCKS client with a Kerberos ticket, on a blocking socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable
from typing import Self, TypeVar

from fastsocks.accounts.kerberos import kerberos_client
from fastsocks.address import Address
from fastsocks.socks import Reply, SocksClient
from fastsocks.socks.messages import build_greeting
from harness.deadline import DEADLINE
from harness.listener import SocketAddress

SERVICE = "rcmd"
T = TypeVar("T")


class TicketClient:
    """One connection to a server that asks for a ticket.

    :param server: where it listens.
    :param target: where it is to lead.
    :param protection: the levels that will do.
    :param host: the second part of the server's principal.
    """

    def __init__(
        self,
        server: SocketAddress,
        target: SocketAddress,
        *protection: str,
        host: str = "127.0.0.1",
    ) -> None:
        negotiation = kerberos_client(SERVICE, host, protection or ("confidentiality",))
        self.socket = socket.create_connection(server, DEADLINE)
        self.machine = SocksClient(Address.of(*target), gssapi=negotiation)
        #: All that came and went behind the negotiation.
        self.wire = b""
        self._ahead = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def negotiate(self) -> bytes:
        """Do all that comes before the request, and return that, protected."""
        while self.machine.codec is None:
            self.socket.sendall(self.machine.take_outgoing())
            self.read()
        return self.machine.take_outgoing()

    def connect(self) -> Reply:
        """Do all that comes before the payload."""
        reply = None
        while reply is None:
            self.socket.sendall(self.machine.take_outgoing())
            reply = self.read()
        self._ahead = reply.early_data
        return reply

    def read(self) -> Reply | None:
        """Go on by what the server says."""
        data = self.socket.recv(65536)
        if not data:
            self.machine.end_of_stream()
        reply = self.machine.receive(data)
        while reply is None and (pending := self.machine.pending) is not None:
            reply = asyncio.run(_result(pending))
        return reply

    def seal(self, payload: bytes) -> bytes:
        """Return what carries `payload`."""
        return payload if self.machine.codec is None else self.machine.codec.seal(payload)

    def send(self, payload: bytes) -> None:
        """Send a payload."""
        data = self.seal(payload)
        self.wire += data
        self.socket.sendall(data)

    def receive_all(self) -> bytes:
        """Return the payload until the end of the stream, which must not cut it."""
        payload, self._ahead = self._ahead, b""
        while data := self.socket.recv(65536):
            self.wire += data
            payload += data if self.machine.codec is None else self.machine.codec.open(data)
        assert self.machine.codec is None or not self.machine.codec.incomplete
        return payload


def first_message(host: str) -> bytes:
    """Return a greeting and the message with the ticket for the service on `host`."""
    negotiation = kerberos_client(SERVICE, host)
    return build_greeting(b"\x01") + asyncio.run(_result(negotiation.step(b"")))


async def _result(awaitable: Awaitable[T]) -> T:
    return await awaitable
