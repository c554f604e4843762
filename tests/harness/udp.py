"""UDP targets and a SOCKS5 client of UDP ASSOCIATE; no code of the package."""

from __future__ import annotations

import contextlib
import ipaddress
import select
import socket
import struct
import threading
from typing import NamedTuple, Self

from . import socks
from .deadline import DEADLINE
from .listener import SocketAddress, require_loopback

LARGEST = 65507
"""What one datagram over IPv4 can hold, in bytes."""


class Datagram(NamedTuple):
    """A payload and who sent it."""

    payload: bytes
    source: SocketAddress


def open_socket(host: str = "127.0.0.1") -> socket.socket:
    """Bind a UDP socket that gives up after the deadline."""
    require_loopback(host)
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(DEADLINE)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    sock.bind((host, 0))
    return sock


def localhost() -> str:
    """Return the address for which a datagram to ``localhost`` leaves: the host's choice."""
    return str(socket.getaddrinfo("localhost", None, type=socket.SOCK_DGRAM)[0][4][0])


class UdpTarget:
    """A UDP socket that the test drives itself."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.socket = open_socket(host)
        self.address = SocketAddress(*self.socket.getsockname()[:2])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def receive(self) -> Datagram:
        """Wait for a datagram."""
        data, source = self.socket.recvfrom(0x10000)
        return Datagram(data, SocketAddress(*source[:2]))

    def send(self, payload: bytes, to: SocketAddress) -> None:
        """Send a datagram."""
        self.socket.sendto(payload, to)

    @property
    def was_reached(self) -> bool:
        """Whether a datagram waits."""
        return bool(select.select([self.socket], [], [], 0)[0])

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


class Echo(UdpTarget):
    """Sends everything back, from a thread."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        super().__init__(host)
        self.count = 0
        self._stop_reader, self._stop_writer = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.socket.setblocking(False)
        while True:
            readable, _, _ = select.select([self.socket, self._stop_reader], [], [])
            if self._stop_reader in readable:
                return
            with contextlib.suppress(OSError):
                while True:
                    data, source = self.socket.recvfrom(0x10000)
                    self.count += 1
                    self.socket.sendto(data, source)

    def close(self) -> None:
        """Stop the thread and close the socket."""
        self._stop_writer.close()
        self._thread.join()
        self._stop_reader.close()
        super().close()


class UdpAssociation:
    """A SOCKS5 client with an association.

    :param server: the SOCKS5 server.
    :param credentials: user and password.
    :param host: what datagrams are sent from.
    """

    def __init__(
        self,
        server: SocketAddress,
        credentials: tuple[bytes, bytes] | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.control = socks.Socks5Client(server)
        self.socket = open_socket("::1" if ":" in server.host else host)
        try:
            if credentials is None:
                self.control.negotiate()
            else:
                self.control.send(socks.greeting(socks.USER_PASSWORD))
                assert self.control.read_choice() == socks.USER_PASSWORD
                self.control.send(socks.credentials(*credentials))
                assert self.control.read(2) == b"\x01\x00"
            hint = SocketAddress("::" if ":" in server.host else "0.0.0.0", 0)
            self.control.send(socks.request(hint, socks.UDP_ASSOCIATE))
            reply = self.control.read_reply()
            if reply.code != socks.SUCCEEDED:
                raise socks.ReplyError(reply.code)
        except BaseException:
            self.close()
            raise
        #: Where to send datagrams.
        self.relay = reply.bound

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the association, by its TCP connection."""
        self.control.connection.close()
        self.socket.close()

    def send(self, payload: bytes, to: SocketAddress, fragment: int = 0) -> None:
        """Send a payload to a target."""
        self.socket.sendto(build_datagram(payload, to, fragment), self.relay)

    def receive(self) -> Datagram:
        """Wait for a payload."""
        data, sender = self.socket.recvfrom(0x10000)
        assert SocketAddress(*sender[:2]) == self.relay
        return read_datagram(data)

    def exchange(self, payload: bytes, to: SocketAddress) -> bytes:
        """Send a payload and return its answer, which must come from there."""
        self.send(payload, to)
        answer = self.receive()
        assert answer.source.port == to.port
        return answer.payload


def build_datagram(payload: bytes, to: SocketAddress, fragment: int = 0) -> bytes:
    """Return RSV FRAG ATYP DST.ADDR DST.PORT DATA."""
    return bytes((0, 0, fragment)) + socks.request(to)[3:] + payload


def read_datagram(data: bytes) -> Datagram:
    """Take apart what a SOCKS5 server sends: never a fragment, and from an IP address."""
    assert data[:3] == bytes(3)
    size = {1: 4, 4: 16}[data[3]]
    host = str(ipaddress.ip_address(data[4 : 4 + size]))
    (port,) = struct.unpack("!H", data[4 + size : 6 + size])
    return Datagram(data[6 + size :], SocketAddress(host, port))
