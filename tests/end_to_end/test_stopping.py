"""Signals: the first stops accepting and lets relays finish, the second ends at once."""

from __future__ import annotations

import contextlib
import signal
import socket

import pytest

from harness.deadline import wait_until
from harness.listener import SocketAddress
from harness.services import Implementation, start_local, start_proxy, start_server
from harness.shadowsocks import generate_key
from harness.socks import open_connection
from harness.targets import Target

_LONG_GRACE = ("--grace", "600")


def _refuses(address: SocketAddress) -> bool:
    try:
        socket.create_connection(address, 5).close()
    except ConnectionError:  # refused, or reset in the queue of a socket that closes
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_idle_service_stops(implementation: Implementation, number: signal.Signals) -> None:
    with start_proxy(*_LONG_GRACE, implementation=implementation) as service:
        service.process.send_signal(number)
        assert service.process.wait() == 0


@pytest.mark.parametrize("stopped", ["local", "server"])
def test_relay_finishes_after_the_first_signal(
    implementation: Implementation, stopped: str
) -> None:
    method = "2022-blake3-aes-128-gcm"
    key = generate_key(method)
    with (
        Target() as target,
        start_server(method, key, *_LONG_GRACE, implementation=implementation) as server,
        start_local(
            server.address, method, key, *_LONG_GRACE, implementation=implementation
        ) as local,
    ):
        service = {"local": local, "server": server}[stopped]
        with open_connection(local.address, target.address) as client:
            accepted = target.accept()
            client.send(b"before")
            assert accepted.recv(6) == b"before"
            service.process.send_signal(signal.SIGTERM)
            wait_until(lambda: _refuses(service.address), "the service stops listening")
            assert service.process.alive
            accepted.sendall(b"after")
            assert client.read(5) == b"after"
            client.finish()
            assert accepted.recv(1) == b""
            accepted.close()
            assert client.read_to_end() == b""
        assert service.process.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_ends_at_once(implementation: Implementation, number: signal.Signals) -> None:
    with (
        Target() as target,
        start_proxy(*_LONG_GRACE, implementation=implementation) as service,
        open_connection(service.address, target.address) as client,
    ):
        accepted = target.accept()
        service.process.send_signal(number)
        wait_until(lambda: _refuses(service.address), "the service stops listening")
        service.process.send_signal(number)
        assert service.process.wait() == 0
        for end in (client.connection, accepted):
            with contextlib.suppress(ConnectionResetError):
                assert end.recv(1) == b""


def test_grace_runs_out(implementation: Implementation) -> None:
    with (
        Target() as target,
        start_proxy("--grace", "0.2", implementation=implementation) as service,
        open_connection(service.address, target.address) as client,
    ):
        accepted = target.accept()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait() == 0
        with pytest.raises(ConnectionResetError):
            client.connection.recv(1)
        with pytest.raises(ConnectionResetError):
            accepted.recv(1)
