"""What was recorded at one port passes at no other, and what only begins like it passes at all."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from pathlib import Path

import pytest

from end_to_end.entrances import AUTHENTICATED_METHODS
from fastsocks.address import Address
from fastsocks.shadowsocks import client_key, packet_client
from harness.deadline import DEADLINE, wait_until
from harness.listener import SocketAddress
from harness.services import Implementation, Service, start_fastsocks, start_server
from harness.shadowsocks import RequestWriter, address_header, generate_key
from harness.targets import Target
from harness.udp import UdpTarget, open_socket

#: What Outline's clients begin their salts with, to look like something else.
PREFIXES = (
    b"POST ",
    b"HTTP/1.1 ",
    b"\x05\xdc\x5f\xe0\x01\x20",
    b"\x16\x03\x01\x00\xa8\x01\x01",
    b"\x13\x03\x03\x3f",
    b"\x16\x03\x03\x40\x00\x02",
    b"SSH-2.0\r\n",
)


def _reaches(server: SocketAddress, recorded: bytes, target: Target) -> bool:
    """Send a request; returns whether the server dials, once its end has been answered."""
    with socket.create_connection(server, DEADLINE) as connection:
        connection.sendall(recorded)
        connection.shutdown(socket.SHUT_WR)
        reached = False
        while True:
            if target.was_dialed:
                target.accept().close()
                reached = True
            try:
                if not connection.recv(1000):
                    return reached
            except ConnectionError:
                return reached


def _start_two(
    folder: Path, method: str, key: str, workers: int, implementation: Implementation
) -> tuple[Service, list[SocketAddress]]:
    """Start one process, or one with its workers, that serves one key at two ports."""
    entry = {
        "server": "127.0.0.1",
        "server_port": 0,
        "method": method,
        "password": key,
        "mode": "tcp_and_udp",
    }
    path = folder / "config.json"
    path.write_text(json.dumps({"servers": [entry, entry], "workers": workers}))
    path.chmod(0o600)
    service = start_fastsocks(
        "server", "-c", str(path), "--allow-private", implementation=implementation
    )

    def ports() -> list[str]:
        return re.findall(r"listening on 127\.0\.0\.1:(\d+)", service.process.output)

    wait_until(lambda: len(ports()) == 2, "both ports listen")
    return service, [SocketAddress("127.0.0.1", int(port)) for port in ports()]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("method", AUTHENTICATED_METHODS)
def test_a_replay_passes_at_no_port_of_its_key(
    implementation: Implementation, tmp_path: Path, method: str, workers: int
) -> None:
    key = generate_key(method)
    packets = packet_client(client_key(method, key))
    service, ports = _start_two(tmp_path, method, key, workers, implementation)
    with service, Target() as target, UdpTarget() as udp, open_socket() as sender:
        assert len(ports) == 2
        recorded = RequestWriter(method, key).request(address_header(target.address), b"payload")
        with socket.create_connection(ports[0], DEADLINE) as first:
            first.sendall(recorded)
            target.accept().close()
        for port in ports:
            assert not _reaches(port, recorded, target)
        first_packet, second_packet = (
            packets.seal(Address.of(*udp.address), payload, time.time())
            for payload in (b"first", b"second")
        )
        sender.sendto(first_packet, ports[0])
        assert udp.receive().payload == b"first"
        # In this order: what comes out next is what was not dropped.
        for data in (first_packet, second_packet):
            sender.sendto(data, ports[1])
        assert udp.receive().payload == b"second"
        for data in (first_packet, second_packet):
            sender.sendto(data, ports[0])
        sender.sendto(packets.seal(Address.of(*udp.address), b"third", time.time()), ports[0])
        assert udp.receive().payload == b"third"


@pytest.mark.parametrize("method", AUTHENTICATED_METHODS)
def test_salts_that_begin_alike(implementation: Implementation, method: str) -> None:
    key = generate_key(method)
    size = len(RequestWriter(method, key).salt)
    with start_server(method, key, implementation=implementation) as server, Target() as target:
        for prefix in PREFIXES:
            for _ in range(3):
                writer = RequestWriter(method, key, prefix + os.urandom(size - len(prefix)))
                request = writer.request(address_header(target.address), b"payload")
                with socket.create_connection(server.address, DEADLINE) as connection:
                    connection.sendall(request)
                    with target.accept() as accepted:
                        assert accepted.recv(7) == b"payload"
                assert not _reaches(server.address, request, target)
