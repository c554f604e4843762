"""Accounts in processes: from a file that `fastsocks passwd` writes, in SOCKS5 and HTTP."""

from __future__ import annotations

import base64
import socket
import subprocess
from pathlib import Path

from harness.deadline import DEADLINE, wait_until
from harness.listener import SocketAddress
from harness.services import (
    Implementation,
    environment,
    fastsocks_command,
    start_proxy,
)
from harness.socks import (
    NONE_ACCEPTABLE,
    SUCCEEDED,
    USER_PASSWORD,
    Socks5Client,
    credentials,
    greeting,
    request,
)
from harness.targets import Target

PASSWORD = "a canary in a coal mine"


def passwd(path: Path, user: str, password: str) -> None:
    command = fastsocks_command("passwd", str(path), user)
    subprocess.run(
        command,
        input=password.encode(),
        env=environment(),
        check=True,
        timeout=DEADLINE,
        capture_output=True,
    )


def log_in(proxy: SocketAddress, user: str, password: str) -> bytes:
    """Return the server's answer to a login."""
    with Socks5Client(proxy) as client:
        client.send(greeting(0, USER_PASSWORD))
        assert client.read_choice() == USER_PASSWORD
        client.send(credentials(user.encode(), password.encode()))
        return client.read(2)


def over_http(proxy: SocketAddress, target: SocketAddress, user: str, password: str) -> bytes:
    """Return the status line of a CONNECT."""
    secret = base64.b64encode(f"{user}:{password}".encode())
    with socket.create_connection(proxy, DEADLINE) as connection:
        connection.sendall(
            b"CONNECT %b HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic %b\r\n\r\n"
            % (str(target).encode(), secret)
        )
        return connection.makefile("rb").readline()


def test_a_file_of_accounts(implementation: Implementation, tmp_path: Path) -> None:
    path = tmp_path / "accounts"
    passwd(path, "alice", PASSWORD)
    arguments = ("--accounts-file", str(path), "-v", "--access-log")
    with (
        start_proxy(*arguments, implementation=implementation) as service,
        Target() as target,
    ):
        proxy = service.address
        # Once there are accounts no authentication is not among the choices.
        with Socks5Client(proxy) as client:
            client.send(greeting(0))
            assert client.read_choice() == NONE_ACCEPTABLE
        # All at once, with a request that has to wait for the hash.
        with Socks5Client(proxy) as client:
            login = credentials(b"alice", PASSWORD.encode())
            client.send(greeting(USER_PASSWORD) + login + request(target.address) + b"early")
            assert client.read(4) == b"\x05\x02\x01\x00"
            assert client.read_reply().code == SUCCEEDED
            with target.accept() as accepted:
                assert accepted.recv(5) == b"early"
        service.process.wait_for_line(r"alice -> .*up 5 down 0")
        for _ in range(20):
            assert log_in(proxy, "alice", PASSWORD) == b"\x01\x00"
        assert over_http(proxy, target.address, "alice", PASSWORD).startswith(b"HTTP/1.1 200 ")
        assert over_http(proxy, target.address, "alice", "x").startswith(b"HTTP/1.1 407 ")
        for user, password in (("alice", PASSWORD[:-1]), ("bob", PASSWORD)):
            assert log_in(proxy, user, password) == b"\x01\x01"
        passwd(path, "bob", PASSWORD)
        wait_until(lambda: log_in(proxy, "bob", PASSWORD) == b"\x01\x00", "bob can log in")
        service.process.wait_for_line(r"read again, 2 accounts")
        output = service.process.output
    assert PASSWORD not in output
    assert PASSWORD[:-1] not in output
    assert "scrypt" not in output


def test_a_file_that_is_wrong(implementation: Implementation, tmp_path: Path) -> None:
    path = tmp_path / "accounts"
    path.write_text("alice:" + PASSWORD)
    for command in ("proxy", "check"):
        done = subprocess.run(
            fastsocks_command(*([command] if command == "proxy" else ["check", "proxy"]),
                              "-l", "0", "--accounts-file", str(path)),
            env=environment(implementation),
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert f"{path}: line 1: " in done.stderr
        assert PASSWORD not in done.stdout + done.stderr
