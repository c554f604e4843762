"""The PROXY protocol: fronts that name clients to us, and upstreams that we name them to."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fastsocks.address import Address
from fastsocks.proxy_protocol import build_header
from harness.listener import SocketAddress
from harness.pattern import read_exactly
from harness.services import (
    Implementation,
    Service,
    environment,
    fastsocks_command,
    find_program,
    start_local,
    start_proxy,
    start_server,
    wait_until_listening,
)
from harness.shadowsocks import generate_key
from harness.socks import open_connection
from harness.targets import ServingTarget, echo, exchange, exchange_patterns
from harness.udp import Echo, UdpAssociation

METHOD = "2022-blake3-aes-128-gcm"
ACCEPT = ("--accept-proxy-protocol", "127.0.0.1", "--access-log")
#: A client of the front, by its own address of loopback.
CLIENT = "127.0.0.9"
SIZE = 1_000_000


@contextmanager
def haproxy(folder: Path, to: SocketAddress, how: str) -> Iterator[Service]:
    """Start the real one in front of a service."""
    program = find_program("haproxy")

    def command(port: int) -> list[str]:
        (folder / "haproxy.cfg").write_text(
            "defaults\n mode tcp\n timeout connect 9s\n timeout client 60s\n timeout server 60s\n"
            f"frontend f\n bind 127.0.0.1:{port}\n default_backend b\n"
            f"backend b\n server s {to.host}:{to.port} {how}\n",
            "utf-8",
        )
        return [program, "-db", "-f", str(folder / "haproxy.cfg")]

    with wait_until_listening("haproxy", command) as front:
        yield front


def connected_from(host: str, to: SocketAddress) -> socket.socket:
    return socket.create_connection((to.host, to.port), timeout=30, source_address=(host, 0))


@pytest.mark.parametrize("how", ["send-proxy", "send-proxy-v2"])
def test_a_server_behind_haproxy(implementation: Implementation, tmp_path: Path, how: str) -> None:
    key = generate_key(METHOD)
    with (
        ServingTarget(exchange(SIZE)) as target,
        start_server(METHOD, key, *ACCEPT, implementation=implementation) as server,
        haproxy(tmp_path, server.address, how) as front,
        start_local(front.address, METHOD, key, implementation=implementation) as local,
    ):
        with open_connection(local.address, target.address) as client:
            exchange_patterns(client.connection, SIZE)
        server.process.wait_for_line(rf"127\.0\.0\.1:\d+ - -> {target.address.host}:")


def test_the_client_is_who_haproxy_says(implementation: Implementation, tmp_path: Path) -> None:
    """Rules, caps and the log see it, and not the front."""
    rule = ("--rule", f"deny from {CLIENT}", "--max-connections-per-client", "1")
    with (
        ServingTarget(echo) as target,
        start_proxy(*ACCEPT, *rule, implementation=implementation) as proxy,
        haproxy(tmp_path, proxy.address, "send-proxy-v2") as front,
    ):
        with connected_from(CLIENT, front.address) as sock:
            wire = Address.of(target.address.host, target.address.port).wire
            sock.sendall(b"\x05\x01\x00\x05\x01\x00" + wire)
            assert sock.recv(2) == b"\x05\x00"
            assert sock.recv(10)[:2] == b"\x05\x02"
        proxy.process.wait_for_line(rf"{CLIENT}:\d+ -> .* denied by")
        with connected_from("127.0.0.10", front.address) as first:
            first.sendall(b"\x05\x01\x00")
            assert first.recv(2) == b"\x05\x00"
            with connected_from("127.0.0.10", front.address) as second:
                second.sendall(b"\x05\x01\x00")
                assert second.recv(2) == b""
            with connected_from("127.0.0.11", front.address) as other:
                other.sendall(b"\x05\x01\x00")
                assert other.recv(2) == b"\x05\x00"


def test_health_checks_of_haproxy_are_no_news(
    implementation: Implementation, tmp_path: Path
) -> None:
    how = "send-proxy-v2 check-send-proxy check inter 50ms rise 1"
    with (
        ServingTarget(echo) as target,
        start_proxy(*ACCEPT, implementation=implementation) as proxy,
        haproxy(tmp_path, proxy.address, how) as front,
        open_connection(front.address, target.address) as client,
    ):
        client.send(b"ping")
        assert client.read(4) == b"ping"
        client.finish()
        proxy.process.wait_for_line("-> ")
        assert "proxy-header" not in proxy.process.output
        assert "truncated" not in proxy.process.output


def test_who_is_no_front_is_closed(implementation: Implementation) -> None:
    header = build_header(Address.of("192.0.2.1", 1), Address.of("192.0.2.2", 2))
    with start_proxy(*ACCEPT, implementation=implementation) as proxy:
        for data in (b"", b"\x05\x01\x00", header):
            with connected_from(CLIENT, proxy.address) as sock:
                if data:
                    sock.sendall(data)
                assert sock.recv(1) == b""
        proxy.process.wait_for_line(rf"{CLIENT}:\d+: .*accept_proxy_protocol.* \(proxy-header\)")
        with connected_from("127.0.0.1", proxy.address) as sock:
            sock.sendall(header + b"\x05\x01\x00")
            assert sock.recv(2) == b"\x05\x00"


@pytest.mark.parametrize("hop", ["socks5", "ss"])
def test_an_upstream_is_told_of_the_client(implementation: Implementation, hop: str) -> None:
    key = generate_key(METHOD)
    accept = ("--accept-proxy-protocol", "127.0.0.0/8", "--access-log")
    if hop == "ss":
        upstream = start_server(METHOD, key, *accept, implementation=implementation)
        url = f"ss://{METHOD}:{key.replace('/', '%2F')}@{upstream.address}"
    else:
        upstream = start_proxy(*accept, implementation=implementation)
        url = f"socks5://{upstream.address}"
    with (
        ServingTarget(exchange(SIZE)) as target,
        upstream,
        start_proxy(
            *("--upstream", url, "--send-proxy-protocol", "--user", "al:secret"),
            implementation=implementation,
        ) as proxy,
        connected_from(CLIENT, proxy.address) as sock,
    ):
        wire = Address.of(target.address.host, target.address.port).wire
        sock.sendall(b"\x05\x01\x02\x01\x02al\x06secret\x05\x01\x00" + wire)
        assert read_exactly(sock, 6) == b"\x05\x02\x01\x00\x05\x00"
        read_exactly(sock, 8)
        exchange_patterns(sock, SIZE)
        sock.close()
        upstream.process.wait_for_line(rf"{CLIENT}:\d+ \S+ -> {target.address.host}:")


def test_associations_through_an_upstream_are_not_of_a_client(
    implementation: Implementation,
) -> None:
    with (
        Echo() as target,
        start_proxy(
            "--accept-proxy-protocol", "127.0.0.1", implementation=implementation
        ) as upstream,
        start_proxy(
            *("--upstream", f"socks5://{upstream.address}", "--send-proxy-protocol"),
            implementation=implementation,
        ) as proxy,
        UdpAssociation(proxy.address) as association,
    ):
        assert association.exchange(b"ping", target.address) == b"ping"


def test_what_is_told_nobody_is_an_error() -> None:
    ended = subprocess.run(
        fastsocks_command("proxy", "-l", "0", "--send-proxy-protocol"),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ended.returncode == 2
    assert "--send-proxy-protocol: there is no upstream" in ended.stderr


def test_a_network_that_is_none_is_an_error() -> None:
    ended = subprocess.run(
        fastsocks_command("proxy", "-l", "0", "--accept-proxy-protocol", "10.0.0.1/8"),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ended.returncode == 2
    assert "--accept-proxy-protocol" in ended.stderr
    assert "10.0.0.0/8?" in ended.stderr
