"""Transfers through a SOCKS5 server, verified byte by byte where they end."""

from __future__ import annotations

import socket

from .listener import SocketAddress
from .pattern import SendingThread, Verifier, send_pattern
from .socks import open_connection
from .targets import (
    ACKNOWLEDGEMENT,
    REQUEST,
    ServingTarget,
    Target,
    exchange,
    exchange_patterns,
    sink,
    source,
)


def download(server: SocketAddress, size: int) -> None:
    """Fetch `size` bytes from a target and verify them and the clean end.

    The client speaks first: shadowsocks-rust waits 500 ms for that.
    """
    with (
        ServingTarget(source(size)) as target,
        open_connection(server, target.address) as client,
    ):
        client.send(REQUEST)
        assert Verifier().read_to_end(client.connection) == size


def upload(server: SocketAddress, size: int) -> None:
    """Send `size` bytes to a target, which verifies and acknowledges them."""
    with (
        ServingTarget(sink(size)) as target,
        open_connection(server, target.address) as client,
    ):
        send_pattern(client.connection, size)
        assert client.read(len(ACKNOWLEDGEMENT)) == ACKNOWLEDGEMENT


def both_ways(server: SocketAddress, size: int) -> None:
    """Send `size` bytes in both directions at once and verify both."""
    with (
        ServingTarget(exchange(size)) as target,
        open_connection(server, target.address) as client,
    ):
        exchange_patterns(client.connection, size)


def finish_client_first(server: SocketAddress, size: int) -> None:
    """End the client's direction; only then the target sends `size` bytes."""
    with Target() as target, open_connection(server, target.address) as client:
        client.send(REQUEST)
        client.finish()
        accepted = target.accept()
        assert accepted.recv(1) == REQUEST
        assert accepted.recv(1) == b""
        sender = SendingThread(accepted, size)
        assert Verifier().read_to_end(client.connection) == size
        sender.join()


def finish_target_first(server: SocketAddress, size: int) -> None:
    """End the target's direction; only then the client sends `size` bytes."""
    with Target() as target, open_connection(server, target.address) as client:
        client.send(REQUEST)
        accepted = target.accept()
        assert accepted.recv(1) == REQUEST
        accepted.sendall(ACKNOWLEDGEMENT)
        accepted.shutdown(socket.SHUT_WR)
        assert client.read_to_end() == ACKNOWLEDGEMENT
        sender = SendingThread(client.connection, size)
        assert Verifier().read_to_end(accepted) == size
        sender.join()
