"""A SOCKS5 client with control of every byte (RFC 1928, RFC 1929); no code of the package."""

from __future__ import annotations

import ipaddress
import socket
import struct
from typing import NamedTuple, Self

from .deadline import DEADLINE
from .listener import SocketAddress
from .pattern import read_to_end

CONNECT, BIND, UDP_ASSOCIATE = 1, 2, 3
NO_AUTHENTICATION, USER_PASSWORD, NONE_ACCEPTABLE = 0x00, 0x02, 0xFF
SUCCEEDED, GENERAL_FAILURE, NOT_ALLOWED, NETWORK_UNREACHABLE, HOST_UNREACHABLE = range(5)
CONNECTION_REFUSED, TTL_EXPIRED, COMMAND_NOT_SUPPORTED, ADDRESS_TYPE_NOT_SUPPORTED = range(5, 9)


class Reply(NamedTuple):
    """A server's answer to a request."""

    code: int
    bound: SocketAddress


class ReplyError(Exception):
    """The server answered a CONNECT with a failure."""

    def __init__(self, code: int) -> None:
        super().__init__(f"reply {code:02x}")
        self.code = code


def greeting(*methods: int) -> bytes:
    """Return VER NMETHODS METHODS."""
    return bytes((5, len(methods), *methods))


def request(address: SocketAddress, command: int = CONNECT) -> bytes:
    """Return VER CMD RSV ATYP DST.ADDR DST.PORT; a host that is no IP literal goes as a name."""
    try:
        ip = ipaddress.ip_address(address.host)
    except ValueError:
        name = address.host.encode()
        host = bytes((3, len(name))) + name
    else:
        host = bytes((1 if ip.version == 4 else 4,)) + ip.packed
    return bytes((5, command, 0)) + host + struct.pack("!H", address.port)


def credentials(user: bytes, password: bytes) -> bytes:
    """Return the sub-negotiation of RFC 1929."""
    return bytes((1, len(user))) + user + bytes((len(password),)) + password


class Socks5Client:
    """One connection to a SOCKS5 server, in its raw steps.

    :param server: where it listens.
    :param receive_buffer: SO_RCVBUF in bytes, set before the connect; None leaves it alone.
    """

    def __init__(self, server: SocketAddress, receive_buffer: int | None = None) -> None:
        self.connection = socket.socket(socket.AF_INET6 if ":" in server.host else socket.AF_INET)
        self.connection.settimeout(DEADLINE)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer is not None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            self.connection.connect(server)
        except OSError:
            self.connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.connection.sendall(data)

    def send_bytewise(self, data: bytes) -> None:
        """Send each byte in a segment of its own (TCP_NODELAY is on)."""
        for offset in range(len(data)):
            self.connection.sendall(data[offset : offset + 1])

    def read(self, size: int) -> bytes:
        """Read exactly `size` bytes.

        :raises EOFError: the server closed before.
        """
        data = bytearray()
        while len(data) < size:
            more = self.connection.recv(size - len(data))
            if not more:
                raise EOFError(f"closed after {bytes(data)!r}")
            data += more
        return bytes(data)

    def read_to_end(self) -> bytes:
        """Read up to the end of the stream."""
        return read_to_end(self.connection)

    def read_choice(self) -> int:
        """Read the server's choice of method."""
        version, method = self.read(2)
        assert version == 5
        return method

    def read_reply(self) -> Reply:
        """Read one whole reply."""
        version, code, reserved, kind = self.read(4)
        assert (version, reserved) == (5, 0)
        assert kind in {1, 4}, f"BND.ADDR of type {kind}"
        host = str(ipaddress.ip_address(self.read(4 if kind == 1 else 16)))
        (port,) = struct.unpack("!H", self.read(2))
        return Reply(code, SocketAddress(host, port))

    def negotiate(self) -> None:
        """Greet without authentication."""
        self.send(greeting(NO_AUTHENTICATION))
        assert self.read_choice() == NO_AUTHENTICATION

    def connect(self, address: SocketAddress) -> SocketAddress:
        """Greet, ask for `address` and return BND.

        :raises ReplyError: the server answered with a failure.
        """
        self.negotiate()
        self.send(request(address))
        reply = self.read_reply()
        if reply.code != SUCCEEDED:
            raise ReplyError(reply.code)
        return reply.bound

    def finish(self) -> None:
        """End our direction and leave the other one open."""
        self.connection.shutdown(socket.SHUT_WR)


def open_connection(
    server: SocketAddress, address: SocketAddress, receive_buffer: int | None = None
) -> Socks5Client:
    """Connect to `address` through the SOCKS5 server at `server`."""
    client = Socks5Client(server, receive_buffer)
    try:
        client.connect(address)
    except BaseException:
        client.connection.close()
        raise
    return client
