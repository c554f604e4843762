"""The load: a client and its target, in turn, so that a relay wakes equally often in every run.

Each step ends when its effect is seen at the other end and the relays sleep again: how bytes
arrive, and together with what, is the same each time.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Sequence
from pathlib import Path

HOST = "127.0.0.1"
# Seconds that one step may take, also in a relay that runs fifty times slower than usual.
_PATIENCE = 60.0
_POLL_SECONDS = 0.0001
_SMALL = b"x" * 64
_PIECE = 128 * 1024
_CONNECT, _UDP_ASSOCIATE = 1, 3
# RSV, FRAG, ATYP, an IPv4 address, a port (RFC 1928, section 7).
_DATAGRAM_HEADER = struct.Struct("!HBB4sH")
_REQUEST = struct.Struct("!BBBB4sH")


class LoadError(Exception):
    """A relay did not do what the load asks of it."""


class Load:
    """A client of a SOCKS5 proxy on loopback, and the target that it asks for.

    Parameters: the port of the proxy, the processes to wait for between steps, and seconds to rest
    after each short connection, in which timers of it come due.
    """

    def __init__(self, proxy_port: int, pids: Sequence[int], rest: float) -> None:
        self._proxy = (HOST, proxy_port)
        self._rest = rest
        self._stats = [Path(f"/proc/{pid}/stat") for pid in pids]
        self._listener = socket.create_server((HOST, 0))
        self._listener.settimeout(_PATIENCE)

    def close(self) -> None:
        """Close the target."""
        self._listener.close()

    def short(self, times: int) -> None:
        """Open a connection, send 64 bytes each way, close it, the client first; so many times."""
        for _ in range(times):
            client, target = self.open()
            target.sendall(_SMALL)
            receive(client, len(_SMALL))
            self.settle()
            client.shutdown(socket.SHUT_WR)
            receive_end(target)
            self.settle()
            target.close()
            receive_end(client)
            self.settle()
            client.close()
            time.sleep(self._rest)
            self.settle()

    def open(self) -> tuple[socket.socket, socket.socket]:
        """Open a connection and send 64 bytes to the target: the client's end and the target's."""
        client = self.dial()
        ask(client, _CONNECT, self._listener.getsockname()[1])
        # At once: a local end waits for it before it tells the server what was asked for.
        client.sendall(_SMALL)
        target, _ = self._listener.accept()
        target.settimeout(_PATIENCE)
        target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        receive(target, len(_SMALL))
        self.settle()
        return client, target

    def dial(self) -> socket.socket:
        """Connect to the proxy, up to where it takes a request."""
        client = socket.create_connection(self._proxy, _PATIENCE)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.settle()
        client.sendall(b"\x05\x01\x00")
        receive(client, 2)
        self.settle()
        return client

    def settle(self) -> None:
        """Wait until every relay sleeps, and so waits for what comes next. Raises LoadError."""
        deadline = time.monotonic() + _PATIENCE
        for stat in self._stats:
            while _state(stat) != "S":
                if time.monotonic() > deadline:
                    raise LoadError("a relay works on, though nothing is asked of it")
                time.sleep(_POLL_SECONDS)


class Bulk:
    """A connection that stands, for `size` bytes at a time.

    They go in pieces, each of which has arrived before the next is sent: so many at once lie in
    the kernel, and the relay reads equally often.
    """

    def __init__(self, load: Load, size: int) -> None:
        self._load = load
        self._pieces = [bytes(min(_PIECE, size - at)) for at in range(0, size, _PIECE)]
        self._client, self._target = load.open()

    def close(self) -> None:
        """Close both ends."""
        self._client.close()
        self._target.close()
        self._load.settle()

    def run(self, times: int) -> None:
        """Send everything to the target, and then as much back; so many times."""
        for _ in range(times):
            for source, sink in (self._client, self._target), (self._target, self._client):
                for piece in self._pieces:
                    self._send(piece, source, sink)

    def _send(self, piece: bytes, source: socket.socket, sink: socket.socket) -> None:
        sender = threading.Thread(target=source.sendall, args=(piece,))
        sender.start()
        receive(sink, len(piece))
        sender.join()
        self._load.settle()


class Datagrams:
    """A UDP association that stands, for datagrams of 64 bytes."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._target = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for end in (self._target, self._client):
            end.bind((HOST, 0))
            end.settimeout(_PATIENCE)
        self._control = load.dial()
        port = ask(self._control, _UDP_ASSOCIATE, self._client.getsockname()[1])
        self._client.connect((HOST, port))
        target_port = self._target.getsockname()[1]
        header = _DATAGRAM_HEADER.pack(0, 0, 1, socket.inet_aton(HOST), target_port)
        self._datagram = header + _SMALL

    def close(self) -> None:
        """End the association."""
        for end in (self._control, self._client, self._target):
            end.close()
        self._load.settle()

    def run(self, times: int) -> None:
        """Send a datagram and send it back; so many times. Raises LoadError."""
        for _ in range(times):
            self._client.send(self._datagram)
            data, address = self._target.recvfrom(len(self._datagram))
            self._load.settle()
            self._target.sendto(data, address)
            if self._client.recv(len(self._datagram))[_DATAGRAM_HEADER.size :] != _SMALL:
                raise LoadError("a datagram came back changed")
            self._load.settle()


def ask(client: socket.socket, command: int, port: int) -> int:
    """Send a request for a port of this host; the port of the reply. Raises LoadError."""
    client.sendall(_REQUEST.pack(5, command, 0, 1, socket.inet_aton(HOST), port))
    reply = _REQUEST.unpack(receive(client, _REQUEST.size))
    if reply[1]:
        raise LoadError(f"the proxy refused the request: reply {reply[1]}")
    return int(reply[-1])


def receive(end: socket.socket, size: int) -> bytes:
    """Receive exactly `size` bytes. Raises LoadError where the stream ends before."""
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = end.recv_into(view)
        if not count:
            raise LoadError(f"a connection ended {len(view)} bytes early")
        view = view[count:]
    return bytes(data)


def receive_end(end: socket.socket) -> None:
    """Wait for the end of a stream. Raises LoadError where something else comes."""
    if end.recv(1):
        raise LoadError("more came than was sent")


def _state(stat: Path) -> str:
    # The name of the process, before the state, may have spaces.
    return stat.read_text().rpartition(")")[2].split()[0]
