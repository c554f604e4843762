"""Several users of one server (SIP023 identity headers)."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from harness.deadline import DEADLINE
from harness.listener import SocketAddress
from harness.services import Implementation, Service, start_local, start_server
from harness.shadowsocks import RequestWriter, address_header, generate_key
from harness.targets import Target
from harness.transfer import both_ways, finish_client_first

_METHOD = "2022-blake3-aes-128-gcm"
_USERS = ("alice", "bob")
_OBSERVED_SECONDS = 0.5


class _Server(NamedTuple):
    service: Service
    key: str
    users: dict[str, str]


@pytest.fixture(scope="module")
def server(implementation: Implementation) -> Iterator[_Server]:
    """A server with two users."""
    key = generate_key(_METHOD)
    users = {name: generate_key(_METHOD) for name in _USERS}
    flags = [flag for name, psk in users.items() for flag in ("--user", f"{name}:{psk}")]
    with start_server(_METHOD, key, *flags, implementation=implementation) as service:
        yield _Server(service, key, users)
    for secret in (key, *users.values()):
        assert secret not in service.process.output


@pytest.mark.parametrize("name", _USERS)
def test_each_user_is_served(server: _Server, implementation: Implementation, name: str) -> None:
    key = f"{server.key}:{server.users[name]}"
    with start_local(server.service.address, _METHOD, key, implementation=implementation) as local:
        both_ways(local.address, 100_000)
        finish_client_first(local.address, 1000)


@pytest.mark.parametrize("case", ["unknown user", "no identity header", "unknown server key"])
def test_others_get_silence(server: _Server, case: str) -> None:
    known, stranger = server.users["alice"], generate_key(_METHOD)
    key, status = {
        "unknown user": (f"{server.key}:{stranger}", "unknown-user"),
        "no identity header": (server.key, "unknown-user"),
        "unknown server key": (f"{stranger}:{known}", "unknown-user"),
    }[case]
    writer = RequestWriter(_METHOD, key)
    with (
        Target() as target,
        socket.create_connection(server.service.address, DEADLINE) as connection,
    ):
        peer = SocketAddress(*connection.getsockname())
        connection.sendall(writer.request(address_header(target.address), b"x" * 100))
        server.service.process.wait_for_line(rf"{peer}: .*\({status}\)")
        assert not select.select([connection], [], [], _OBSERVED_SECONDS)[0]
        assert not target.was_dialed
