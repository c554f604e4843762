"""Connections leave nothing behind, however they end."""

from __future__ import annotations

from end_to_end.entrances import Entrance
from harness.listener import refusing_address
from harness.process import wait_for_sockets
from harness.socks import Socks5Client, greeting, open_connection, request
from harness.targets import Target, reset

_ROUNDS = 20
# A listening socket and what an event loop has for itself.
_AT_REST = 6


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
