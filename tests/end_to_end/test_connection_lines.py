"""What the log tells of one connection: who, joined to what else is said of it, and how long."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

import pytest

from harness.listener import SocketAddress
from harness.services import Implementation, Service, start_local, start_proxy, start_server
from harness.shadowsocks import generate_key
from harness.socks import USER_PASSWORD, Socks5Client, credentials, greeting, open_connection
from harness.socks import request as socks_request
from harness.targets import Target

METHOD = "2022-blake3-aes-128-gcm"
#: Both end within a test.
SHORT = ("-t", "1")


def ask(service: Service, target: SocketAddress) -> bytes:
    """Send something through a service, and return what comes before its end."""
    with open_connection(service.address, target) as client:
        client.send(b"hello")
        try:
            return client.read_to_end()
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize("case", ["password", "user"])
def test_who_has_the_wrong_key_is_told(implementation: Implementation, case: str) -> None:
    key, wrong = generate_key(METHOD), generate_key(METHOD)
    users: tuple[str, ...] = ()
    if case == "user":
        users, wrong = ("--user", f"alice:{generate_key(METHOD)}"), f"{key}:{wrong}"
    with (
        Target() as target,
        start_server(METHOD, key, *SHORT, *users, implementation=implementation) as server,
        start_local(server.address, METHOD, wrong, *SHORT, implementation=implementation) as local,
    ):
        assert ask(local, target.address) == b""
        local.process.wait_for_line(
            f"-> {target.address.host}:{target.address.port}: the Shadowsocks server "
            rf"{server.address.host}:{server.address.port} took 5 bytes and answered nothing for "
            r"\d s \(unanswered\); password, method or user differ"
        )


def test_a_server_that_stays_silent_is_told_of(implementation: Implementation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = SocketAddress(*listener.getsockname())
        with (
            start_local(
                server, METHOD, generate_key(METHOD), *SHORT, implementation=implementation
            ) as local,
            open_connection(local.address, SocketAddress("192.0.2.1", 80)) as client,
        ):
            client.send(b"hello")
            local.process.wait_for_line(
                f"the Shadowsocks server {server.host}:{server.port} has answered to nobody"
            )


def test_no_line_where_all_is_well(implementation: Implementation) -> None:
    key = generate_key(METHOD)
    with (
        Target() as target,
        start_server(METHOD, key, *SHORT, implementation=implementation) as server,
        start_local(server.address, METHOD, key, *SHORT, implementation=implementation) as local,
    ):
        for _ in range(8):
            with open_connection(local.address, target.address) as client:
                client.send(b"hello")
                with target.accept() as accepted:
                    assert accepted.recv(5) == b"hello"
                    accepted.sendall(b"answer")
                    assert client.read(6) == b"answer"
    assert "unanswered" not in local.process.output


def lines(service: Service) -> list[dict[str, Any]]:
    """Return what a service has logged about connections, after its end."""
    service.stop()
    found = [json.loads(line) for line in service.process.lines]
    return [line for line in found if "connection" in line]


def test_lines_of_a_connection_have_one_name_and_its_user(implementation: Implementation) -> None:
    arguments = ("--user", "alice:secret", "--access-log", "--log-format", "json", "--rule", "deny")
    with start_proxy(*arguments, implementation=implementation) as proxy:
        for _ in range(2):
            with Socks5Client(proxy.address) as client:
                client.send(greeting(USER_PASSWORD))
                client.read(2)
                client.send(credentials(b"alice", b"secret"))
                client.read(2)
                client.send(socks_request(SocketAddress("192.0.2.1", 80)))
                client.read_to_end()
        found = lines(proxy)
    failures = [line for line in found if line["logger"] == "fastsocks.proxy"]
    accesses = [line for line in found if line["logger"] == "fastsocks.access"]
    assert len(failures) == len(accesses) == 2
    names = [line["connection"] for line in failures]
    assert sorted(names) == sorted(line["connection"] for line in accesses)
    assert len(set(names)) == 2
    for line in (*failures, *accesses):
        assert line["user"] == "alice"
        assert line["message"].endswith(f" [{line['connection']}]")
    assert " alice -> 192.0.2.1:80: denied by" in failures[0]["message"]


def test_how_long_the_stages_took(implementation: Implementation) -> None:
    with (
        Target() as target,
        start_proxy("--access-log", "--log-format", "json", implementation=implementation) as proxy,
    ):
        with (
            open_connection(
                proxy.address, SocketAddress("localhost", target.address.port)
            ) as client,
            target.accept() as accepted,
        ):
            threading.Event().wait(0.3)
            accepted.sendall(b"answer")
            assert client.read(6) == b"answer"
            accepted.close()
            client.finish()
            assert client.read_to_end() == b""
        (line,) = lines(proxy)
    stages = [line[f"{name}_seconds"] for name in ("handshake", "connect", "first_byte")]
    assert all(stage >= 0 for stage in stages)
    assert stages[-1] >= 0.29
    assert sum(stages) + line.get("lookup_seconds", 0) <= line["seconds"] + 0.01
