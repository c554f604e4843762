"""``fastsocks tunnel``: a fixed target for TCP and UDP."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.deadline import DEADLINE
from harness.listener import SocketAddress, free_port, refusing_address
from harness.pattern import pattern, read_exactly, read_to_end
from harness.process import Process
from harness.services import (
    Implementation,
    Service,
    environment,
    fastsocks_command,
    require_implementation,
    start_fastsocks,
    start_proxy,
    start_server,
    start_tunnel,
)
from harness.shadowsocks import generate_key
from harness.socks import open_connection as open_by_socks
from harness.targets import ServingTarget, Target, echo, exchange, exchange_patterns
from harness.udp import Echo, localhost, open_socket

METHODS = ("2022-blake3-aes-128-gcm", "aes-256-gcm")
BANNER = b"220 a target that speaks first\r\n"
#: For what no method is a matter of.
ONE_METHOD = pytest.mark.parametrize("server", METHODS[:1], indirect=True)
#: Far beyond what a test may take, and what a tunnel may be told.
LONG = ("--payload-wait", "10000")


class Server(NamedTuple):
    address: SocketAddress
    method: str
    key: str
    implementation: Implementation
    process: Process | None = None

    @property
    def entry(self) -> dict[str, object]:
        """Itself, in a configuration file."""
        host, port = self.address
        return {"server": host, "server_port": port, "method": self.method, "password": self.key}

    def tunnel(self, target: object, *extra: str) -> Service:
        """Start a tunnel through it."""
        host, port = self.address
        flags = ("-s", host, "-p", str(port), "-m", self.method, "-k", self.key)
        return start_tunnel(target, *flags, *extra, implementation=self.implementation)


@pytest.fixture(scope="module", params=METHODS)
def server(request: pytest.FixtureRequest, implementation: Implementation) -> Iterator[Server]:
    key = generate_key(request.param)
    flags = ("--access-log=-",)
    with start_server(request.param, key, *flags, implementation=implementation) as service:
        yield Server(service.address, request.param, key, implementation, service.process)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def connect(service: Service, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(service.address, DEADLINE, (source, 0))


def echoes(service: Service) -> None:
    with connect(service) as client:
        client.sendall(b"ping")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"ping"


def echoes_datagrams(service: Service, payload: bytes = b"ping") -> None:
    with open_socket() as client:
        client.connect(service.address)
        client.send(payload)
        assert client.recv(65536) == payload


def greet(connection: socket.socket) -> None:
    connection.sendall(BANNER)
    echo(connection)


def test_half_close_and_large_transfer(server: Server) -> None:
    size = 4 << 20
    with (
        ServingTarget(exchange(size)) as target,
        server.tunnel(target.address) as tunnel,
        connect(tunnel) as client,
    ):
        exchange_patterns(client, size)
    with ServingTarget(echo) as target, server.tunnel(target.address) as tunnel:
        echoes(tunnel)


def test_a_target_that_speaks_first_to_a_client_that_waits(server: Server) -> None:
    with (
        ServingTarget(greet) as target,
        server.tunnel(target.address) as tunnel,
        connect(tunnel) as client,
    ):
        assert read_exactly(client, len(BANNER)) == BANNER
        client.sendall(b"EHLO")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"EHLO"


def test_a_name_is_sent_on_to_the_server(server: Server) -> None:
    with ServingTarget(echo) as target:
        name = f"localhost:{target.address.port}"
        with server.tunnel(name) as tunnel:
            echoes(tunnel)
    assert server.process is not None
    server.process.wait_for_line(rf"-> {name}\b")


def test_datagrams_of_several_clients(server: Server) -> None:
    with Echo() as target, server.tunnel(target.address) as tunnel, ExitStack() as clients:
        found = [clients.enter_context(open_socket(f"127.0.0.{number}")) for number in (1, 1, 2)]
        for size in (0, 1, 1400, 8192):
            for number, client in enumerate(found):
                client.sendto(b"%d" % number + pattern(size), tunnel.address)
            for number, client in enumerate(found):
                data, source = client.recvfrom(65536)
                assert (data, source) == (b"%d" % number + pattern(size), tunnel.address)


def test_datagrams_to_a_name(server: Server) -> None:
    with (
        Echo(localhost()) as target,
        server.tunnel(f"localhost:{target.address.port}") as tunnel,
    ):
        echoes_datagrams(tunnel)


#: Bytes of an AEAD request: salt, and a record with the address 127.0.0.1 and a port.
_SALT, _RECORD, _ADDRESS = 32, 2 + 16 + 16, 7


@pytest.mark.parametrize("wait", [True, False])
def test_how_long_a_request_waits_for_a_payload(implementation: Implementation, wait: bool) -> None:
    """A payload within that time is in the record of the request; without it the request goes."""
    require_implementation(implementation)
    with Target() as listener:
        server = Server(listener.address, "aes-256-gcm", "secret", implementation)
        flags = LONG if wait else ("--payload-wait", "0")
        with (
            server.tunnel("127.0.0.1:9", *flags) as tunnel,
            connect(tunnel) as client,
            listener.accept() as accepted,
        ):
            request = b""
            if not wait:
                size = _SALT + _RECORD + _ADDRESS
                request = read_exactly(accepted, size)
                assert len(request) == size
            client.sendall(b"0123456789")
            client.shutdown(socket.SHUT_WR)
            found = len(request) + len(read_to_end(accepted))
    assert found == _SALT + _ADDRESS + 10 + (1 if wait else 2) * _RECORD


def test_a_dial_that_fails_resets_the_client(implementation: Implementation) -> None:
    with (
        refusing_address() as address,
        start_tunnel(address, "--mode", "tcp_only", implementation=implementation) as tunnel,
    ):
        with connect(tunnel) as client, pytest.raises(ConnectionResetError):
            client.recv(1)
        tunnel.process.wait_for_line(rf"-> {address}: Connection refused")


def test_without_a_server(stack: ExitStack, implementation: Implementation) -> None:
    """Directly, and through upstreams; a target that speaks first, and datagrams."""
    target = stack.enter_context(ServingTarget(greet))
    datagrams = stack.enter_context(Echo())
    proxy = stack.enter_context(start_proxy(implementation=implementation))
    for flags in ((), ("--upstream", f"socks5://{proxy.address}")):
        for one in (target.address, datagrams.address):
            tunnel = start_tunnel(one, *flags, implementation=implementation)
            with tunnel as tunnel:
                if one == datagrams.address:
                    echoes_datagrams(tunnel)
                    continue
                with connect(tunnel) as client:
                    assert read_exactly(client, len(BANNER)) == BANNER
    with start_tunnel(
        target.address, "--upstream", f"http://{proxy.address}", implementation=implementation
    ) as tunnel:
        tunnel.process.wait_for_line("UDP is not offered")
        with connect(tunnel) as client:
            assert read_exactly(client, len(BANNER)) == BANNER


def test_rules_and_caps(implementation: Implementation) -> None:
    flags = ("--rule", "deny from 127.0.0.2", "--max-connections-per-client", "1")
    with ServingTarget(echo) as target, Echo() as datagrams:
        with start_tunnel(target.address, *flags, implementation=implementation) as tunnel:
            with connect(tunnel, "127.0.0.2") as client, pytest.raises(ConnectionResetError):
                client.recv(1)
            with connect(tunnel) as first:
                first.sendall(b"x")
                assert first.recv(1) == b"x"
                with connect(tunnel) as second:
                    assert _is_closed(second)
        with start_tunnel(datagrams.address, *flags, implementation=implementation) as tunnel:
            with open_socket("127.0.0.2") as client:
                client.sendto(b"x", tunnel.address)
                tunnel.process.wait_for_line(r" 127\.0\.0\.2 -> .*: denied by --rule")
            echoes_datagrams(tunnel)


def _is_closed(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


@ONE_METHOD
def test_several_workers(server: Server) -> None:
    with ServingTarget(echo) as target, Echo() as datagrams:
        with server.tunnel(target.address, "--workers", "2") as tunnel:
            for _ in range(8):
                echoes(tunnel)
        with server.tunnel(datagrams.address, "--workers", "2") as tunnel:
            for number in range(8):
                echoes_datagrams(tunnel, b"%d" % number)


@ONE_METHOD
def test_a_file_of_shadowsocks_rust(stack: ExitStack, tmp_path: Path, server: Server) -> None:
    """A tunnel beside SOCKS, and the other server where the first is not there."""
    target = stack.enter_context(ServingTarget(echo))
    missing = stack.enter_context(refusing_address())
    ports = [free_port(), free_port()]
    content = {
        "servers": [{**server.entry, "server_port": missing.port}, server.entry],
        "locals": [
            {"local_address": "127.0.0.1", "local_port": ports[0]},
            {
                "protocol": "tunnel",
                "mode": "tcp_only",
                "local_address": "127.0.0.1",
                "local_port": ports[1],
                "forward_address": target.address.host,
                "forward_port": target.address.port,
            },
        ],
    }
    with _started("local", tmp_path, content, server.implementation) as service:
        service.process.wait_for_line(rf"listening on 127\.0\.0\.1:{ports[1]}")
        echoes(replace(service, address=SocketAddress("127.0.0.1", ports[1])))
        with open_by_socks(service.address, target.address) as client:
            client.send(b"ping")
            assert client.read(4) == b"ping"


@ONE_METHOD
def test_a_file_of_ss_tunnel(tmp_path: Path, server: Server) -> None:
    with ServingTarget(greet) as target:
        content = {**server.entry, "local_port": 0, "tunnel_address": str(target.address)}
        with (
            _started("tunnel", tmp_path, content, server.implementation) as tunnel,
            connect(tunnel) as client,
        ):
            assert read_exactly(client, len(BANNER)) == BANNER


def _started(
    command: str, folder: Path, content: object, implementation: Implementation
) -> Service:
    file = folder / "config.json"
    file.write_text(json.dumps(content), "utf-8")
    file.chmod(0o600)
    return start_fastsocks(command, "-c", str(file), implementation=implementation)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("-L", "example.com"), "--forward: write HOST:PORT"),
        (("-L", "a..b:80"), "--forward: "),
        ((), "target: it is missing; write HOST:PORT, or -L HOST:PORT"),
        (
            ("-L", "h:1", "--upstream", "http://127.0.0.1:1", "--mode", "udp_only"),
            "--mode: UDP cannot go through http://127.0.0.1:1; write tcp_only",
        ),
    ],
)
def test_what_is_wrong_is_named(flags: tuple[str, ...], message: str) -> None:
    found = subprocess.run(
        fastsocks_command("tunnel", *flags),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
    )
    assert found.returncode == 2
    assert message in found.stderr
    assert "Traceback" not in found.stderr


@ONE_METHOD
def test_a_target_is_told_who_the_client_is(server: Server) -> None:
    """By a PROXY header (v2), which comes before anything else."""
    with (
        Target() as target,
        server.tunnel(target.address, "--send-proxy-protocol", "--access-log") as tunnel,
        connect(tunnel) as client,
        target.accept() as accepted,
    ):
        header = read_exactly(accepted, 28)
        host, port = client.getsockname()
        ends = socket.inet_aton(host) + socket.inet_aton(target.address.host)
        ports = port.to_bytes(2, "big") + target.address.port.to_bytes(2, "big")
        assert header == b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + ends + ports
        client.sendall(b"first")
        assert read_exactly(accepted, 5) == b"first"
        client.close()
        accepted.close()
        # The header is none of the client's payload.
        tunnel.process.wait_for_line(r" up 5 down 0 bytes ")
