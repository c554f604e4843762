"""How a server ends a stream of its client's: with an end, as other servers do, never a reset.

Else who cuts a stream, or flips a byte of it, could tell it from others. The target sees a reset,
since what it got is not whole.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from end_to_end.entrances import Entrance
from harness.deadline import DEADLINE
from harness.listener import SocketAddress, refusing_address
from harness.shadowsocks import RequestWriter, address_header
from harness.targets import Target, reset

#: Bytes that a target answers: fewer, and more, than a relay carries before it has transports.
ANSWERS = (100, 200_000)
_RECORD = 2 + 16 + 500 + 16


class _Connection(NamedTuple):
    writer: RequestWriter
    client: socket.socket
    target: socket.socket

    def ends(self) -> bool:
        """Read what is left; returns False where a reset comes in the place of an end."""
        try:
            while self.client.recv(65536):
                pass
        except ConnectionResetError:
            return False
        return True


@contextmanager
def _connected(entrance: Entrance, answer: int) -> Iterator[_Connection]:
    assert entrance.server is not None
    method, key = entrance.method or "", entrance.key or ""
    writer = RequestWriter(method, key)
    with Target() as target, socket.create_connection(entrance.server.address, DEADLINE) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(writer.request(address_header(target.address), b"payload"))
        with target.accept() as accepted:
            assert accepted.recv(7) == b"payload"
            accepted.sendall(bytes(answer))
            received = 0
            while received < answer:
                received += len(client.recv(65536))
            yield _Connection(writer, client, accepted)


def _is_reset(connection: socket.socket) -> bool:
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        return True
    return False


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("size", [1, 10, 18, 100, _RECORD - 1])
def test_a_stream_that_is_cut_in_a_later_record(
    authenticated_tunnel: Entrance, size: int, answer: int
) -> None:
    with _connected(authenticated_tunnel, answer) as connection:
        connection.client.sendall(connection.writer.record(bytes(500))[:size])
        connection.client.shutdown(socket.SHUT_WR)
        assert connection.ends()
        assert _is_reset(connection.target)


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("place", [0, 10, 100, _RECORD - 1])
def test_a_byte_that_is_flipped_in_a_later_record(
    authenticated_tunnel: Entrance, place: int, answer: int
) -> None:
    with _connected(authenticated_tunnel, answer) as connection:
        record = bytearray(connection.writer.record(bytes(500)))
        record[place] ^= 1
        connection.client.sendall(record)
        assert connection.ends()
        assert _is_reset(connection.target)


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_target_that_resets(authenticated_tunnel: Entrance, answer: int) -> None:
    with _connected(authenticated_tunnel, answer) as connection:
        reset(connection.target)
        assert connection.ends()


def test_a_target_that_refuses(authenticated_tunnel: Entrance) -> None:
    server = authenticated_tunnel.server
    assert server is not None
    writer = RequestWriter(authenticated_tunnel.method or "", authenticated_tunnel.key or "")
    with (
        refusing_address() as refusing,
        socket.create_connection(server.address, DEADLINE) as client,
    ):
        client.sendall(writer.request(address_header(SocketAddress(*refusing)), b"payload"))
        while client.recv(65536):
            pass
