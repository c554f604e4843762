"""``fastsocks tunnel`` through servers of other makes."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from harness.deadline import DEADLINE
from harness.pattern import pattern, read_exactly
from harness.services import (
    Implementation,
    PeerName,
    Service,
    require_implementation,
    start_peer_server,
    start_tunnel,
)
from harness.shadowsocks import generate_key
from harness.targets import ServingTarget, echo
from harness.udp import Echo, open_socket

BANNER = b"220 a target that speaks first\r\n"


@pytest.fixture(
    scope="module",
    params=[
        ("rust", "2022-blake3-aes-128-gcm"),
        ("rust", "chacha20-ietf-poly1305"),
        ("libev", "aes-256-gcm"),
    ],
    ids="-".join,
)
def server(request: pytest.FixtureRequest) -> Iterator[tuple[Service, str, str]]:
    peer: PeerName
    peer, method = request.param
    key = generate_key(method)
    with start_peer_server(peer, method, key) as service:
        yield service, method, key


def greet(connection: socket.socket) -> None:
    connection.sendall(BANNER)
    echo(connection)


@pytest.mark.parametrize("implementation", ["cython", "python"])
def test_through_a_server(server: tuple[Service, str, str], implementation: Implementation) -> None:
    """To a target that speaks first, and datagrams of two clients."""
    require_implementation(implementation)
    (service, method, key), payload = server, pattern(100_000)
    way = ("-s", service.address.host, "-p", str(service.address.port), "-m", method, "-k", key)
    with (
        ServingTarget(greet) as target,
        start_tunnel(target.address, *way, implementation=implementation) as tunnel,
        socket.create_connection(tunnel.address, DEADLINE) as client,
    ):
        assert read_exactly(client, len(BANNER)) == BANNER
        client.sendall(payload)
        assert read_exactly(client, len(payload)) == payload
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    with (
        Echo() as datagrams,
        start_tunnel(datagrams.address, *way, implementation=implementation) as tunnel,
        open_socket() as one,
        open_socket() as other,
    ):
        for size in (1, 1400):
            for client, payload in ((one, b"1" * size), (other, b"2" * size)):
                client.sendto(payload, tunnel.address)
                assert client.recvfrom(65536) == (payload, tunnel.address)
