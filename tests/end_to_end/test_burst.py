"""A burst of 1,000 connections overflows no queue and loses none of them."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from end_to_end.entrances import PROXY, Entrance, find_entrance
from harness.deadline import wait_until
from harness.listener import SocketAddress, accept_queue
from harness.pool import ServicePool
from harness.services import Implementation
from harness.socks import NO_AUTHENTICATION, SUCCEEDED, Socks5Client, greeting, request
from harness.targets import Target

_CONNECTIONS = 1000
_QUEUE_LIMIT = Path("/proc/sys/net/core/somaxconn")
_DESCRIPTORS = 2 * _CONNECTIONS + 200


@pytest.fixture(autouse=True)
def _room_for_all() -> Iterator[None]:
    if int(_QUEUE_LIMIT.read_text(encoding="ascii")) < _CONNECTIONS:
        pytest.skip(f"needs {_CONNECTIONS} in {_QUEUE_LIMIT}")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _DESCRIPTORS:
        pytest.skip(f"needs {_DESCRIPTORS} open files: raise ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, _DESCRIPTORS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _wait_until_all_are_queued(address: SocketAddress) -> None:
    wait_until(
        lambda: (accept_queue(address) or 0) >= _CONNECTIONS, f"all are in the queue of {address}"
    )


@pytest.mark.parametrize("name", [PROXY, "aes-256-gcm"])
def test_burst(pool: ServicePool, implementation: Implementation, name: str) -> None:
    entrance: Entrance = find_entrance(pool, implementation, name)
    processes = [service.process for service in entrance.services]
    with Target() as target, ExitStack() as stack:
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        try:
            clients = []
            for number in range(_CONNECTIONS):
                client = stack.enter_context(Socks5Client(entrance.address))
                token = number.to_bytes(4, "big")
                client.send(greeting(NO_AUTHENTICATION) + request(target.address) + token)
                clients.append(client)
            for service in entrance.services:
                _wait_until_all_are_queued(service.address)
                service.process.send_signal(signal.SIGCONT)
        finally:
            for process in processes:
                process.send_signal(signal.SIGCONT)
        for _ in range(_CONNECTIONS):
            accepted = target.accept()
            token = b""
            while len(token) < 4:
                token += accepted.recv(4)
            accepted.sendall(token)
            accepted.close()
        for number, client in enumerate(clients):
            assert client.read_choice() == NO_AUTHENTICATION
            assert client.read_reply().code == SUCCEEDED
            assert client.read_to_end() == number.to_bytes(4, "big")
