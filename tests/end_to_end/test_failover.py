"""Several servers of `local`: one is used, and another one when it is not there."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from harness import socks
from harness.deadline import DEADLINE
from harness.listener import SocketAddress, refusing_address, silent_address
from harness.services import Implementation, Service, start_fastsocks, start_server
from harness.shadowsocks import generate_key
from harness.socks import ReplyError, open_connection
from harness.targets import ServingTarget, echo
from harness.udp import Echo, UdpAssociation

METHODS = ("2022-blake3-aes-128-gcm", "chacha20-ietf-poly1305")
KEYS = {method: generate_key(method) for method in METHODS}


class Started(NamedTuple):
    local: Service
    servers: list[Service]


def start(
    stack: ExitStack, folder: Path, implementation: Implementation, *first: SocketAddress
) -> Started:
    """Start local with addresses of no servers of ours in front, and two servers of ours."""
    servers = [
        stack.enter_context(start_server(method, KEYS[method], implementation=implementation))
        for method in METHODS
    ]
    entries = [(address, METHODS[0]) for address in first]
    entries += [(one.address, method) for one, method in zip(servers, METHODS, strict=True)]
    file = folder / "local.json"
    content = {
        "servers": [
            {
                "server": address.host,
                "server_port": address.port,
                "method": method,
                "password": KEYS[method],
            }
            for address, method in entries
        ]
    }
    file.write_text(json.dumps(content), "utf-8")
    file.chmod(0o600)
    local = start_fastsocks(
        *("local", "-c", str(file), "-b", "127.0.0.1", "-l", "0"), implementation=implementation
    )
    return Started(stack.enter_context(local), servers)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def echoes(local: Service, address: SocketAddress) -> None:
    with open_connection(local.address, address) as client:
        client.send(b"ping")
        assert client.read(4) == b"ping"


def test_requests_go_on_when_a_server_is_killed(
    stack: ExitStack, tmp_path: Path, implementation: Implementation
) -> None:
    with ServingTarget(echo) as target, Echo() as datagrams:
        local, servers = start(stack, tmp_path, implementation)
        for _ in range(3):
            echoes(local, target.address)
        servers[0].process.kill()
        for _ in range(5):
            echoes(local, target.address)
        local.process.wait_for_line(rf"server {servers[0].address}: ")
        first, second = (server.address for server in servers)
        local.process.wait_for_line(rf"now by server {second} .*not {first}")
        with UdpAssociation(local.address) as client:
            assert client.exchange(b"ping", datagrams.address) == b"ping"
        servers[1].process.kill()
        with pytest.raises(ReplyError) as caught:
            open_connection(local.address, target.address)
        assert caught.value.code == socks.CONNECTION_REFUSED
        local.process.wait_for_line("none of the Shadowsocks servers can be reached")


def is_sent_to(address: SocketAddress) -> bool:
    """Tell whether a UDP socket of this host is connected to an address."""
    table = Path("/proc/net/udp").read_text("ascii").splitlines()[1:]
    return any(int(line.split()[2].partition(":")[2], 16) == address.port for line in table)


@pytest.mark.skipif(sys.platform != "linux", reason="looks sockets up in /proc: Linux only")
def test_an_association_goes_on_when_its_server_is_killed(
    stack: ExitStack, tmp_path: Path, implementation: Implementation
) -> None:
    with Echo() as target:
        local, servers = start(stack, tmp_path, implementation)
        with UdpAssociation(local.address) as client:
            assert client.exchange(b"ping", target.address) == b"ping"
            used = next(one for one in servers if is_sent_to(one.address))
            (other,) = (one for one in servers if one is not used)
            used.process.kill()
            deadline = time.monotonic() + DEADLINE
            client.socket.settimeout(0.2)
            answer = b""
            # The first one is refused; where the second one goes, what follows goes too.
            while answer != b"again" and time.monotonic() < deadline:
                client.send(b"again", target.address)
                with contextlib.suppress(TimeoutError):
                    answer = client.receive().payload
            assert answer == b"again"
        local.process.wait_for_line(
            rf"{used.address} refuses UDP: on by {other.address} in a new session"
        )


def test_the_same_request_falls_over(
    stack: ExitStack, tmp_path: Path, implementation: Implementation
) -> None:
    with ServingTarget(echo) as target, refusing_address() as nobody, silent_address() as silent:
        local, _ = start(stack, tmp_path, implementation, silent, nobody)
        # Early data is kept for the server that is there.
        with socks.Socks5Client(local.address) as client:
            client.negotiate()
            client.send(socks.request(target.address) + b"early")
            assert client.read_reply().code == socks.SUCCEEDED
            assert client.read(5) == b"early"
        echoes(local, target.address)


def test_direct_rules_are_no_matter_of_servers(
    tmp_path: Path, implementation: Implementation
) -> None:
    file = tmp_path / "local.json"
    with refusing_address() as one, refusing_address() as other, ServingTarget(echo) as target:
        content = {
            "rules": ["direct to 127.0.0.0/8"],
            "servers": [
                {
                    "server": address.host,
                    "server_port": address.port,
                    "method": METHODS[0],
                    "password": KEYS[METHODS[0]],
                }
                for address in (one, other)
            ],
        }
        file.write_text(json.dumps(content), "utf-8")
        file.chmod(0o600)
        with start_fastsocks(
            *("local", "-c", str(file), "-b", "127.0.0.1", "-l", "0"),
            implementation=implementation,
        ) as local:
            echoes(local, target.address)
