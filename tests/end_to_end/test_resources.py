"""Connections leave nothing behind, however they end."""

from __future__ import annotations

import pytest

from end_to_end.entrances import KEYS, METHODS, PROXY, Entrance
from harness.listener import refusing_address
from harness.pool import ServicePool
from harness.process import wait_for_sockets
from harness.services import Implementation, start_local, start_proxy, start_server
from harness.socks import Socks5Client, greeting, open_connection, request
from harness.targets import Target, reset

_ROUNDS = 20
# A listening socket and what an event loop has for itself.
_AT_REST = 6


@pytest.fixture(params=[PROXY, *METHODS])
def entrance(
    request: pytest.FixtureRequest, implementation: Implementation, pool: ServicePool
) -> Entrance:
    """Processes without UDP, whose associations of other tests would come and go here."""
    name, mode = request.param, ("--mode", "tcp_only")
    if name == PROXY:
        return Entrance(
            pool.get(
                (implementation, name, mode),
                lambda: start_proxy(*mode, implementation=implementation),
            )
        )
    key = KEYS[name]
    server = pool.get(
        (implementation, name, "server", mode),
        lambda: start_server(name, key, *mode, implementation=implementation),
    )
    local = pool.get(
        (implementation, name, "local", mode),
        lambda: start_local(server.address, name, key, *mode, implementation=implementation),
    )
    return Entrance(local, server, name, key)


def _rounds(entrance: Entrance) -> None:
    with Target() as target, refusing_address() as nobody:
        for _ in range(_ROUNDS):
            with open_connection(entrance.address, target.address) as client:
                accepted = target.accept()
                client.send(b"x")
                accepted.recv(1)
                accepted.close()
            with open_connection(entrance.address, target.address) as client:
                reset(target.accept())
            with open_connection(entrance.address, target.address) as client:
                accepted = target.accept()
                reset(client.connection)
            with Socks5Client(entrance.address) as client:
                client.send(greeting(0) + request(nobody))
                client.read_choice()
            with Socks5Client(entrance.address) as client:
                client.send(greeting(0))
            with Socks5Client(entrance.address) as client:
                client.send(b"\x05")


def test_sockets_are_closed(entrance: Entrance) -> None:
    processes = [service.process for service in entrance.services]
    for process in processes:
        wait_for_sockets(process, 0, _AT_REST)
    before = [process.sockets for process in processes]
    _rounds(entrance)
    for process, count in zip(processes, before, strict=True):
        wait_for_sockets(process, count, count)
