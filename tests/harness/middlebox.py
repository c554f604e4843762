"""A TCP relay between local and server that records, damages or cuts what passes it."""

from __future__ import annotations

import contextlib
import enum
import select
import socket
import threading

from .deadline import DEADLINE
from .listener import SocketAddress
from .targets import Target, reset


class Damage(enum.Enum):
    """What happens to a connection at the chosen byte."""

    FLIP = "flip one bit"
    CLOSE = "close both ends"
    RESET = "reset both ends"


class Direction(enum.Enum):
    """Which way the bytes flow that are counted."""

    UPLOAD = "client to server"
    DOWNLOAD = "server to client"


class _Flow:
    """One direction of one connection."""

    def __init__(self, reader: socket.socket, writer: socket.socket, direction: Direction) -> None:
        self.reader = reader
        self.writer = writer
        self.direction = direction
        self.ended = False


class Middlebox(Target):
    """Passes connections on to `server` and records what clients send.

    :param server: where to pass connections on to.
    """

    def __init__(self, server: SocketAddress) -> None:
        super().__init__()
        self.uploads: list[bytearray] = []
        self._server = server
        self._damage: Damage | None = None
        self._direction = Direction.DOWNLOAD
        self._distance = 0
        self._threads: list[threading.Thread] = []
        self._stop_reader, self._stop_writer = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def arm(self, damage: Damage, direction: Direction, distance: int) -> None:
        """Do `damage` once, when `distance` more bytes have passed in that direction.

        :param distance: how many bytes from now on are left as they are.
        """
        self._direction = direction
        self._distance = distance
        self._damage = damage

    def _serve(self) -> None:
        while True:
            readable, _, _ = select.select([self._listener, self._stop_reader], [], [])
            if self._stop_reader in readable:
                return
            client, _ = self._listener.accept()
            upload = bytearray()
            self.uploads.append(upload)
            thread = threading.Thread(target=self._pass_on, args=(client, upload), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _pass_on(self, client: socket.socket, upload: bytearray) -> None:
        with client, socket.create_connection(self._server, DEADLINE) as server:
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                end.settimeout(DEADLINE)
            flows = [
                _Flow(client, server, Direction.UPLOAD),
                _Flow(server, client, Direction.DOWNLOAD),
            ]
            with contextlib.suppress(ConnectionError):
                while open_flows := [flow for flow in flows if not flow.ended]:
                    readable = self._wait([flow.reader for flow in open_flows])
                    if not readable:
                        return
                    for flow in open_flows:
                        if flow.reader in readable and not self._move(flow, upload):
                            return

    def _wait(self, readers: list[socket.socket]) -> list[socket.socket]:
        """Return which are readable; none when the middlebox is to stop."""
        readable, _, _ = select.select([*readers, self._stop_reader], [], [])
        return [] if self._stop_reader in readable else readable

    def _move(self, flow: _Flow, upload: bytearray) -> bool:
        data = bytearray(flow.reader.recv(65536))
        if not data:
            flow.ended = True
            flow.writer.shutdown(socket.SHUT_WR)
            return True
        if flow.direction is Direction.UPLOAD:
            upload += data
        if self._damage is not None and flow.direction is self._direction:
            at = self._distance
            self._distance -= len(data)
            if at < len(data):
                damage, self._damage = self._damage, None
                if damage is not Damage.FLIP:
                    flow.writer.sendall(data[:at])
                    self._cut(flow, damage)
                    return False
                data[at] ^= 0x01
        flow.writer.sendall(data)
        return True

    def _cut(self, flow: _Flow, damage: Damage) -> None:
        ends = [flow.writer, flow.reader]
        if damage is Damage.RESET:
            for end in ends:
                reset(end)
            return
        for end in ends:
            end.shutdown(socket.SHUT_WR)
        # A close over unread bytes would be a reset.
        while ends:
            readable = self._wait(ends)
            if not readable:
                return
            for end in readable:
                with contextlib.suppress(ConnectionError):
                    if end.recv(65536):
                        continue
                ends.remove(end)

    def close(self) -> None:
        """Cut every connection and stop listening."""
        self._stop_writer.close()
        self._thread.join()
        for thread in self._threads:
            thread.join()
        self._stop_reader.close()
        super().close()
