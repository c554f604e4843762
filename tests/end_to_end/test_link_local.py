"""Link-local IPv6 keeps its scope: where we listen, dial and relay datagrams."""

from __future__ import annotations

import ctypes
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from harness import socks
from harness.listener import SocketAddress
from harness.services import (
    Implementation,
    find_program,
    require_implementation,
    start_fastsocks,
)
from harness.shadowsocks import generate_key
from harness.targets import ServingTarget, echo
from harness.udp import Echo, build_datagram, read_datagram

METHOD = "2022-blake3-aes-128-gcm"
HOST, INTERFACE = "fe80::a", "fs0"
_CLONE_NEWNET = 0x40000000


def _ip(*arguments: str) -> None:
    subprocess.run([find_program("ip"), *arguments], check=True, capture_output=True)


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += sock.recv(size - len(data))
    return data


def _ask(port: int, command: int, target: SocketAddress) -> tuple[socket.socket, int]:
    """Ask the SOCKS5 server at the link-local address; return the connection and a port."""
    sock = socket.create_connection((f"{HOST}%{INTERFACE}", port), 10)
    sock.sendall(b"\x05\x01\x00" + socks.request(target, command))
    assert _exactly(sock, 2) == b"\x05\x00"
    head = _exactly(sock, 4)
    assert head[1] == socks.SUCCEEDED
    bound = _exactly(sock, 6 if head[3] == 1 else 18)
    return sock, int.from_bytes(bound[-2:], "big")


def _datagram_socket(port: int) -> tuple[socket.socket, Any]:
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.settimeout(10)
    ((*_, relay), *_) = socket.getaddrinfo(f"{HOST}%{INTERFACE}", port, type=socket.SOCK_DGRAM)
    return sock, relay


@pytest.mark.root
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_connections_and_datagrams(implementation: Implementation, loop: str) -> None:
    require_implementation(implementation)

    def scenario() -> None:
        assert ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) == 0, ctypes.get_errno()
        _ip("link", "set", "lo", "up")
        _ip("link", "add", INTERFACE, "type", "veth", "peer", "name", "far")
        _ip("link", "set", "far", "up")
        _ip("address", "add", f"{HOST}/64", "dev", INTERFACE, "nodad")
        _ip("link", "set", INTERFACE, "up")
        key, here = generate_key(METHOD), f"{HOST}%{INTERFACE}"
        way = ("-m", METHOD, "-k", key, "-s", here)
        how: Any = {"implementation": implementation, "FASTSOCKS_LOOP": loop}
        with (
            ServingTarget(echo) as target,
            Echo() as far,
            start_fastsocks("server", *way, "-p", "0", "--allow-private", **how) as server,
            start_fastsocks(
                "local", *way, "-p", str(server.address.port), "-b", here, "-l", "0", **how
            ) as local,
        ):
            port = local.address.port
            client, _ = _ask(port, socks.CONNECT, target.address)
            with client:
                client.sendall(b"ping")
                assert _exactly(client, 4) == b"ping"
            control, relay_port = _ask(port, socks.UDP_ASSOCIATE, SocketAddress("::", 0))
            sock, relay = _datagram_socket(relay_port)
            with control, sock:
                sock.sendto(build_datagram(b"ping", far.address), relay)
                assert read_datagram(sock.recv(100)).payload == b"ping"

    with ThreadPoolExecutor(1) as pool:
        pool.submit(scenario).result()
