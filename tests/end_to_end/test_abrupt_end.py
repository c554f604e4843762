"""A cut transfer never looks complete: the other side sees a reset, not a clean end."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from end_to_end.entrances import AUTHENTICATED_METHODS, Entrance
from harness.middlebox import Damage, Direction, Middlebox
from harness.pattern import fill, read_to_end
from harness.services import Implementation, Service, start_local, start_server
from harness.shadowsocks import generate_key
from harness.socks import Socks5Client, open_connection
from harness.targets import Target, reset

_DATA = bytes(range(250)) * 4
_MORE_THAN_BUFFERS_HOLD = 256_000_000


def _assert_reset(connection: socket.socket) -> None:
    with pytest.raises(ConnectionResetError):
        read_to_end(connection)


def _assert_ended(connection: socket.socket) -> None:
    with contextlib.suppress(ConnectionResetError):
        read_to_end(connection)


def _exchange(client: Socks5Client, accepted: socket.socket) -> None:
    """Let data flow both ways, so that the link stands and every header is through."""
    client.send(_DATA)
    received = b""
    while len(received) < len(_DATA):
        received += accepted.recv(65536)
    assert received == _DATA
    accepted.sendall(_DATA)
    assert client.read(len(_DATA)) == _DATA


def test_target_resets_before_any_data(entrance: Entrance) -> None:
    with Target() as target, open_connection(entrance.address, target.address) as client:
        reset(target.accept())
        _assert_reset(client.connection)


def test_target_resets_after_data(entrance: Entrance) -> None:
    with Target() as target, open_connection(entrance.address, target.address) as client:
        accepted = target.accept()
        _exchange(client, accepted)
        reset(accepted)
        _assert_reset(client.connection)


def test_target_resets_after_the_client_has_finished(entrance: Entrance) -> None:
    with Target() as target, open_connection(entrance.address, target.address) as client:
        accepted = target.accept()
        _exchange(client, accepted)
        client.finish()
        assert accepted.recv(1) == b""
        accepted.sendall(_DATA)
        assert client.read(len(_DATA)) == _DATA
        reset(accepted)
        _assert_reset(client.connection)


def test_client_resets_before_any_data(entrance: Entrance) -> None:
    with Target() as target, open_connection(entrance.address, target.address) as client:
        accepted = target.accept()
        reset(client.connection)
        _assert_reset(accepted)


def test_client_resets_after_data(entrance: Entrance) -> None:
    with Target() as target, open_connection(entrance.address, target.address) as client:
        accepted = target.accept()
        _exchange(client, accepted)
        reset(client.connection)
        _assert_reset(accepted)


def test_client_resets_after_the_target_has_finished(entrance: Entrance) -> None:
    with Target() as target, open_connection(entrance.address, target.address) as client:
        accepted = target.accept()
        _exchange(client, accepted)
        accepted.shutdown(socket.SHUT_WR)
        assert client.read_to_end() == b""
        reset(client.connection)
        _assert_reset(accepted)


def test_client_closes_over_unread_data(entrance: Entrance) -> None:
    with Target() as target, open_connection(entrance.address, target.address) as client:
        accepted = target.accept()
        _exchange(client, accepted)
        accepted.sendall(_DATA)
        client.read(1)
        client.connection.close()
        _assert_reset(accepted)


@dataclass(frozen=True)
class _Line:
    """Local, middlebox and server of one method."""

    local: Service
    middlebox: Middlebox


@pytest.fixture(scope="module")
def line(request: pytest.FixtureRequest, implementation: Implementation) -> Iterator[_Line]:
    """A tunnel through a middlebox."""
    method: str = request.param
    key = generate_key(method)
    with (
        start_server(method, key, implementation=implementation) as server,
        Middlebox(server.address) as middlebox,
        start_local(middlebox.address, method, key, implementation=implementation) as local,
    ):
        yield _Line(local, middlebox)


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize(
    ("line", "damage"),
    [
        *((method, damage) for method in AUTHENTICATED_METHODS for damage in Damage),
        # A stream cipher cannot tell tampering, nor where its plaintext should end.
        ("aes-256-cfb", Damage.RESET),
    ],
    indirect=["line"],
)
def test_damage_on_the_way(line: _Line, damage: Damage, direction: Direction) -> None:
    with Target() as target, open_connection(line.local.address, target.address) as client:
        accepted = target.accept()
        _exchange(client, accepted)
        # The next record is longer than this, so the damage falls inside of it.
        line.middlebox.arm(damage, direction, distance=100)
        if direction is Direction.DOWNLOAD:
            accepted.sendall(_DATA)
            _assert_reset(client.connection)
            _assert_ended(accepted)
        else:
            client.send(_DATA)
            _assert_reset(accepted)
            _assert_ended(client.connection)


def test_server_is_killed(implementation: Implementation) -> None:
    method = "aes-256-gcm"
    key = generate_key(method)
    with (
        Target() as target,
        start_server(method, key, implementation=implementation) as server,
        start_local(server.address, method, key, implementation=implementation) as local,
        open_connection(local.address, target.address) as client,
    ):
        accepted = target.accept()
        _exchange(client, accepted)
        # The target reads nothing, so that the server dies with bytes it has not read.
        fill(client.connection, limit=_MORE_THAN_BUFFERS_HOLD)
        server.process.kill()
        _assert_reset(client.connection)
