"""Targets on loopback: what the relay is asked to reach."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from typing import Self

from .deadline import DEADLINE
from .listener import SocketAddress, require_loopback
from .pattern import SendingThread, Verifier, send_pattern

Handler = Callable[[socket.socket], None]

REQUEST = b"\x3f"
"""What :func:`source` waits for."""

ACKNOWLEDGEMENT = b"all bytes received"
"""What :func:`sink` answers."""


def reset(connection: socket.socket) -> None:
    """Close with RST instead of FIN (SO_LINGER 0)."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Target:
    """A listening socket whose connections the test drives itself.

    A target that stalls, closes early, resets, speaks first, never reads or closes one way
    only is a few calls on what :meth:`accept` returns.

    :param host: loopback address to listen on, of either family.
    :param receive_buffer: SO_RCVBUF of accepted connections in bytes; None leaves it alone.
    """

    def __init__(self, host: str = "127.0.0.1", receive_buffer: int | None = None) -> None:
        require_loopback(host)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.socket(family)
        if receive_buffer is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind((host, 0))
        self._listener.listen(4096)
        self._listener.settimeout(DEADLINE)
        self.address = SocketAddress(*self._listener.getsockname()[:2])
        #: In the order in which they were accepted.
        self.accepted: list[socket.socket] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def accept(self) -> socket.socket:
        """Wait for the next connection; it is closed together with the target."""
        connection, _ = self._listener.accept()
        connection.settimeout(DEADLINE)
        self.accepted.append(connection)
        return connection

    @property
    def was_dialed(self) -> bool:
        """Whether a connection waits to be accepted."""
        return bool(select.select([self._listener], [], [], 0)[0])

    def close(self) -> None:
        """Stop listening and close what was accepted."""
        self._listener.close()
        for connection in self.accepted:
            connection.close()


class ServingTarget(Target):
    """A target that serves each connection in a thread of its own.

    Leaving its context waits for the handlers and raises what went wrong in one of them.

    :param handler: is given the connection, which is closed when it returns.
    """

    def __init__(self, handler: Handler, host: str = "127.0.0.1") -> None:
        super().__init__(host)
        self._handler = handler
        self.served = 0
        self._failures: list[OSError | AssertionError] = []
        self._handlers: list[threading.Thread] = []
        self._stop_reader, self._stop_writer = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __exit__(self, *raised: object) -> None:
        self.close()
        if raised[0] is None and self._failures:
            raise self._failures[0]

    def _serve(self) -> None:
        while True:
            readable, _, _ = select.select([self._listener, self._stop_reader], [], [])
            if self._stop_reader in readable:
                return
            connection, _ = self._listener.accept()
            connection.settimeout(DEADLINE)
            self.served += 1
            handler = threading.Thread(target=self._handle, args=(connection,), daemon=True)
            handler.start()
            self._handlers.append(handler)

    def _handle(self, connection: socket.socket) -> None:
        with connection:
            try:
                self._handler(connection)
            except (OSError, AssertionError) as error:
                self._failures.append(error)

    def close(self) -> None:
        """Stop listening and wait for the handlers."""
        self._stop_writer.close()
        self._thread.join()
        self._stop_reader.close()
        for handler in self._handlers:
            handler.join()
        super().close()


def echo(connection: socket.socket) -> None:
    """Send back what comes, then the end of the stream too."""
    while data := connection.recv(65536):
        connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


def source(size: int) -> Handler:
    """Return a handler that takes one byte, sends `size` bytes and ends the stream."""

    def handler(connection: socket.socket) -> None:
        assert connection.recv(1) == REQUEST
        send_pattern(connection, size)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b"", "more came than was sent"

    return handler


def sink(size: int) -> Handler:
    """Return a handler that verifies `size` bytes, acknowledges them and expects the end."""

    def handler(connection: socket.socket) -> None:
        verifier = Verifier()
        verifier.read(connection, size)
        connection.sendall(ACKNOWLEDGEMENT)
        assert verifier.read_to_end(connection) == size, "more came than was sent"

    return handler


def exchange(size: int) -> Handler:
    """Return a handler that sends and verifies `size` bytes at the same time."""

    def handler(connection: socket.socket) -> None:
        exchange_patterns(connection, size)

    return handler


def exchange_patterns(connection: socket.socket, size: int) -> None:
    """Send and verify `size` bytes in both directions at once, then end ours and see the other.

    Either side ends its direction only when it has all it waits for, so that peers which
    cannot half-close pass too.

    :raises AssertionError: what came is not the pattern, too much, or not all of it.
    """
    sender = SendingThread(connection, size, finish=False)
    verifier = Verifier()
    verifier.read(connection, size)
    sender.join()
    connection.shutdown(socket.SHUT_WR)
    assert verifier.read_to_end(connection) == size, "more came than was sent"


def http_page(body: bytes) -> Handler:
    """Return a handler that answers one HTTP request with `body`."""

    def handler(connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            data = connection.recv(65536)
            if not data:
                return
            request += data
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + body)
        connection.shutdown(socket.SHUT_WR)
        # Until the client has closed: an unread byte would turn our close into a reset.
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(65536):
                continue

    return handler


def tls_page(body: bytes, context: ssl.SSLContext) -> Handler:
    """Return a handler like that of `http_page`, behind TLS."""
    answer = http_page(body)

    def handler(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            answer(secure)

    return handler
