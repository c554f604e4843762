"""UDP across a link that carries 1280 bytes at a time, in a network namespace of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from harness.listener import SocketAddress
from harness.pattern import pattern
from harness.process import Process
from harness.services import (
    Implementation,
    Service,
    environment,
    fastsocks_command,
    find_program,
    require_implementation,
    start_local,
)
from harness.shadowsocks import generate_key
from harness.udp import UdpAssociation

_METHOD = "2022-blake3-aes-128-gcm"
#: The least that IPv6 asks of a link, in bytes.
_MTU = "1280"
_NEAR, _FAR = "10.213.77.1", "10.213.77.2"
_PORT = 20388

_ECHO = """
import socket
echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
echo.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
echo.bind(("127.0.0.1", 0))
print("port", echo.getsockname()[1], flush=True)
while True:
    data, source = echo.recvfrom(65536)
    echo.sendto(data, source)
"""

pytestmark = pytest.mark.root


def _ip(*arguments: str) -> None:
    subprocess.run([find_program("ip"), *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """A namespace at the other end of a narrow link."""
    name = f"fastsocks-{os.getpid()}"
    near = f"fs{os.getpid() % 100000}"
    _ip("netns", "add", name)
    try:
        _ip("link", "add", near, "type", "veth", "peer", "name", "far", "netns", name)
        _ip("address", "add", f"{_NEAR}/30", "dev", near)
        _ip("link", "set", near, "mtu", _MTU, "up")
        _ip("-n", name, "address", "add", f"{_FAR}/30", "dev", "far")
        _ip("-n", name, "link", "set", "far", "mtu", _MTU, "up")
        _ip("-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        # The link goes with it.
        _ip("netns", "delete", name)


@pytest.fixture
def tunnel(namespace: str, implementation: Implementation) -> Iterator[tuple[Service, int]]:
    """A local here, whose server is in the namespace; and the port of an echo beside that."""
    require_implementation(implementation)
    inside = [find_program("ip"), "netns", "exec", namespace]
    key = generate_key(_METHOD)
    server = Process(
        "server in the namespace",
        [
            *inside,
            *fastsocks_command("server", "-s", _FAR, "-p", str(_PORT), "--allow-private"),
            *("-k", key, "-m", _METHOD),
        ],
        environment(implementation),
    )
    echo = Process("echo in the namespace", [*inside, sys.executable, "-c", _ECHO])
    try:
        server.wait_for_line("listening on")
        port = int(echo.wait_for_line(r"port (\d+)")[1])
        address = SocketAddress(_FAR, _PORT)
        with start_local(address, _METHOD, key, implementation=implementation) as local:
            yield local, port
    finally:
        server.kill()
        echo.kill()


def test_every_size_crosses_a_narrow_link(tunnel: tuple[Service, int]) -> None:
    local, port = tunnel
    target = SocketAddress("127.0.0.1", port)
    with UdpAssociation(local.address) as client:
        for size in (0, 1, 1100, 1180, 1200, 1228, 1229, 1252, 1280, 1400, 4000, 9000, 60000):
            payload = pattern(size, start=size)
            assert client.exchange(payload, target) == payload


def test_batches_cross_a_narrow_link(tunnel: tuple[Service, int]) -> None:
    local, port = tunnel
    target = SocketAddress("127.0.0.1", port)
    with UdpAssociation(local.address) as client:
        # Sent as one message with segments where they fit the link, and one by one where not.
        for size in (1000, 1400):
            sent = [pattern(size, start=number) for number in range(20)]
            for payload in sent:
                client.send(payload, target)
            assert sorted(client.receive().payload for _ in sent) == sorted(sent)
