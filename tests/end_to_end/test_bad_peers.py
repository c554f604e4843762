"""A server is silent towards who does not know its key: no answer, no close, no dial."""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import NamedTuple

import pytest

from end_to_end.bad_peers import CANARY, BadFirstBytes, bad_first_bytes
from end_to_end.entrances import AUTHENTICATED_METHODS
from harness.deadline import DEADLINE
from harness.listener import SocketAddress
from harness.process import Process, wait_for_sockets
from harness.services import Implementation, Service, start_local, start_server
from harness.shadowsocks import RequestWriter, address_header, generate_key
from harness.socks import open_connection
from harness.targets import Target, reset

_OBSERVED_SECONDS = 1.5
# A listening socket and what an event loop has for itself.
_AT_REST = 6


class _Server(NamedTuple):
    service: Service
    method: str
    key: str


@pytest.fixture(scope="module")
def servers(implementation: Implementation) -> Iterator[list[_Server]]:
    """A server of its own for each method."""
    with ExitStack() as stack:
        found = []
        for method in AUTHENTICATED_METHODS:
            key = generate_key(method)
            service = start_server(method, key, implementation=implementation)
            found.append(_Server(stack.enter_context(service), method, key))
        yield found


def _connect(server: SocketAddress, source: str) -> socket.socket:
    connection = socket.create_connection(server, DEADLINE, source_address=(source, 0))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _read_canary(accepted: socket.socket) -> None:
    received = b""
    while len(received) < len(CANARY):
        received += accepted.recv(1000)
    assert received == CANARY


def _assert_served(target: Target, connection: socket.socket) -> None:
    accepted = target.accept()
    _read_canary(accepted)
    accepted.sendall(b"answer")
    assert connection.recv(1000)


def test_silence(servers: list[_Server]) -> None:
    observed: dict[socket.socket, tuple[_Server, BadFirstBytes]] = {}
    with Target() as target, ExitStack() as stack:
        for server in servers:
            good = RequestWriter(server.method, server.key).request(
                address_header(target.address), CANARY
            )
            with _connect(server.service.address, "127.0.0.1") as connection:
                connection.sendall(good)
                _assert_served(target, connection)
            cases = bad_first_bytes(server.method, server.key, target.address, replayed=good)
            # A host for each, because the log counts lines that are alike instead of writing them.
            for number, case in enumerate(cases, start=1):
                bad = _connect(server.service.address, f"127.0.1.{number}")
                stack.enter_context(closing(bad))
                bad.sendall(case.data)
                observed[bad] = server, case

        answered, _, _ = select.select(list(observed), [], [], _OBSERVED_SECONDS)
        names = [f"{observed[bad][0].method}: {observed[bad][1].name}" for bad in answered]
        assert names == [], "answered or closed"
        assert not target.was_dialed

        _assert_logged(observed)
        # More bytes change nothing, and the client's end is answered by an end.
        for bad in observed:
            bad.sendall(bytes(1000))
            bad.shutdown(socket.SHUT_WR)
        for bad, (server, case) in observed.items():
            assert bad.recv(1000) == b"", f"{server.method}: {case.name}"
        assert not target.was_dialed
    for server in servers:
        _assert_nothing_secret(server.service.process, server.key)


def _assert_logged(observed: dict[socket.socket, tuple[_Server, BadFirstBytes]]) -> None:
    problems = []
    for bad, (server, case) in observed.items():
        peer = SocketAddress(*bad.getsockname())
        if case.status is not None:
            server.service.process.wait_for_line(rf"\b{re.escape(str(peer))}\b")
        lines = [line for line in server.service.process.lines_of_test if f"{peer}:" in line]
        wanted = 0 if case.status is None else 1
        if len(lines) != wanted or (lines and f"({case.status})" not in lines[0]):
            problems.append((server.method, case.name, case.status, lines))
    assert problems == []


def _assert_nothing_secret(process: Process, key: str) -> None:
    output = process.output
    assert key not in output
    assert CANARY.decode() not in output
    assert CANARY.hex() not in output


@pytest.mark.parametrize("method", AUTHENTICATED_METHODS)
def test_verbose_log_holds_nothing_secret(implementation: Implementation, method: str) -> None:
    key = generate_key(method)
    with (
        Target() as target,
        start_server(method, key, "-v", implementation=implementation) as service,
        start_local(service.address, method, key, "-v", implementation=implementation) as local,
    ):
        with open_connection(local.address, target.address) as client:
            client.send(CANARY)
            accepted = target.accept()
            _read_canary(accepted)
            reset(accepted)
            with pytest.raises(ConnectionResetError):
                client.read(1)
        local.process.wait_for_line(re.escape(str(target.address)))
        service.process.wait_for_line(re.escape(str(target.address)))
    for process in (service.process, local.process):
        _assert_nothing_secret(process, key)


def test_good_clients_are_served_beside_bad_ones(servers: list[_Server]) -> None:
    with Target() as target, ExitStack() as stack:
        for server in servers:
            for _ in range(20):
                bad = stack.enter_context(_connect(server.service.address, "127.0.2.1"))
                bad.sendall(bytes(range(200)))
            with _connect(server.service.address, "127.0.0.1") as connection:
                writer = RequestWriter(server.method, server.key)
                connection.sendall(writer.request(address_header(target.address), CANARY))
                _assert_served(target, connection)


def test_what_bad_peers_leave_behind(servers: list[_Server]) -> None:
    for server in servers:
        process = server.service.process
        wait_for_sockets(process, 0, _AT_REST)
        before = process.sockets
        with ExitStack() as stack:
            for _ in range(50):
                bad = stack.enter_context(_connect(server.service.address, "127.0.3.1"))
                bad.sendall(bytes(range(200)))
            wait_for_sockets(process, before + 50, before + 50)
        wait_for_sockets(process, before, before)


def test_boundary_of_the_clock(servers: list[_Server]) -> None:
    (server,) = (server for server in servers if server.method.startswith("2022-"))
    with Target() as target:
        for skew in (-25, 25):
            writer = RequestWriter(server.method, server.key)
            header = address_header(target.address)
            with _connect(server.service.address, "127.0.0.1") as connection:
                connection.sendall(writer.request(header, CANARY, clock=time.time() + skew))
                _assert_served(target, connection)
