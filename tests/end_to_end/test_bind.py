"""BIND as its users know it: FTP in active mode, through the proxy, from a real server."""

from __future__ import annotations

import ftplib
import io
import random
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from end_to_end.entrances import Entrance
from harness.deadline import DEADLINE
from harness.listener import SocketAddress, free_port, require_loopback
from harness.pattern import read_exactly
from harness.process import Process
from harness.services import Implementation, start_proxy
from harness.socks import (
    BIND,
    COMMAND_NOT_SUPPORTED,
    GENERAL_FAILURE,
    SUCCEEDED,
    TTL_EXPIRED,
    Reply,
    Socks5Client,
    open_connection,
    request,
)

CONTENT = random.Random(7).randbytes(3_000_000)


@contextmanager
def ftp_server(host: str, folder: Path) -> Iterator[SocketAddress]:
    """Run pyftpdlib, for anonymous users who may write."""
    address = SocketAddress(host, free_port())
    command = [sys.executable, "-W", "ignore", "-m", "pyftpdlib", "-w", "-i", host]
    process = Process("pyftpdlib", [*command, "-p", str(address.port), "-d", str(folder)])
    try:
        process.wait_for_line("starting FTP server")
        yield address
    finally:
        process.kill()


class BoundPort:
    """Stands for the listening socket of an FTP client in active mode."""

    def __init__(self, proxy: SocketAddress, expected: SocketAddress) -> None:
        self._client = Socks5Client(proxy)
        self.first = bind(self._client, expected)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the connection open: it is that of the data now."""

    def settimeout(self, _: object) -> None:
        """Nothing: the harness has its own deadline."""

    def accept(self) -> tuple[socket.socket, SocketAddress]:
        """Wait for the second reply."""
        second = self._client.read_reply()
        assert second.code == SUCCEEDED
        return self._client.connection, second.bound


class ActiveFTP(ftplib.FTP):
    """An FTP client in active mode, whose connections all go through a proxy."""

    def __init__(self, proxy: SocketAddress, server: SocketAddress) -> None:
        super().__init__(timeout=DEADLINE)
        self._proxy = proxy
        self._server = server
        self.sock = open_connection(proxy, server).connection
        self.af = socket.AF_INET6 if ":" in server.host else socket.AF_INET
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()
        self.set_pasv(False)
        self.login()

    def makeport(self) -> Any:
        """Have the proxy listen, and tell the server where."""
        port = BoundPort(self._proxy, self._server)
        assert port.first.code == SUCCEEDED
        (self.sendeprt if ":" in port.first.bound.host else self.sendport)(*port.first.bound)
        return port


def bind(client: Socks5Client, expected: SocketAddress) -> Reply:
    """Greet, ask for a BIND, and return the first reply."""
    client.negotiate()
    client.send(request(expected, BIND))
    return client.read_reply()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_active_transfer(proxy: Entrance, tmp_path: Path, host: str) -> None:
    require_loopback(host)
    (tmp_path / "down").write_bytes(CONTENT)
    with ftp_server(host, tmp_path) as server, ActiveFTP(proxy.address, server) as ftp:
        assert ftp.nlst() == ["down"]
        received = io.BytesIO()
        ftp.retrbinary("RETR down", received.write)
        assert received.getvalue() == CONTENT
        ftp.storbinary("STOR up", io.BytesIO(CONTENT))
        ftp.quit()
        assert (tmp_path / "up").read_bytes() == CONTENT


def test_only_the_expected_peer_comes_through(proxy: Entrance) -> None:
    with Socks5Client(proxy.address) as client:
        first = bind(client, SocketAddress("127.0.0.5", 21))
        assert first.code == SUCCEEDED
        with socket.create_connection(first.bound, DEADLINE, ("127.0.0.4", 0)) as stranger:
            assert stranger.recv(1) == b""
        with socket.create_connection(first.bound, DEADLINE, ("127.0.0.5", 0)) as peer:
            second = client.read_reply()
            assert second == Reply(SUCCEEDED, SocketAddress(*peer.getsockname()))
            peer.sendall(b"answer")
            assert client.read(6) == b"answer"
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(first.bound, DEADLINE)
            client.finish()
            assert peer.recv(1) == b""


def test_options(implementation: Implementation) -> None:
    port = free_port()
    with start_proxy(
        *("--bind-address", "127.0.0.8", "--bind-ports", f"{port}-{port}", "--bind-timeout", "1"),
        "--access-log",
        implementation=implementation,
    ) as service:
        anybody = SocketAddress("0.0.0.0", 0)
        with Socks5Client(service.address) as client, Socks5Client(service.address) as other:
            assert bind(client, anybody) == Reply(SUCCEEDED, SocketAddress("127.0.0.8", port))
            assert bind(other, anybody).code == GENERAL_FAILURE
            assert other.read_to_end() == b""
            assert client.read_reply().code == TTL_EXPIRED
            assert client.read_to_end() == b""
        service.process.wait_for_line(f"all ports of {port}-{port} are in use")
        service.process.wait_for_line("the expected peer has not connected in 1 s")
        with Socks5Client(service.address) as client:
            bound = bind(client, anybody).bound
            with socket.create_connection(bound, DEADLINE) as peer:
                name = str(SocketAddress(*peer.getsockname()))
                client.read_reply()
                peer.sendall(b"12345")
                assert client.read(5) == b"12345"
        service.process.wait_for_line(rf"-> {name} up 0 down 5 bytes")


def test_shadowsocks_cannot_carry_it(tunnel_2022: Entrance) -> None:
    with Socks5Client(tunnel_2022.address) as client:
        assert bind(client, SocketAddress("0.0.0.0", 0)).code == COMMAND_NOT_SUPPORTED
        assert client.read_to_end() == b""


@pytest.mark.parametrize(
    "expected",
    [b"\0\0" + bytes(4) + b"\0", b"\0\x15\x7f\0\0\1\0", b"\0\x15\0\0\0\1\0localhost\0"],
    ids=["anybody", "address", "name"],
)
def test_socks4_is_told_where(proxy: Entrance, expected: bytes) -> None:
    """Also where the peer's name has an IPv6 address as well, which no reply of SOCKS4 can tell."""
    with socket.create_connection(proxy.address, DEADLINE) as client:
        client.sendall(b"\4\2" + expected)
        first = read_exactly(client, 8)
        assert first[:2] == b"\0\x5a"
        assert first[4:] == b"\x7f\0\0\1"
        with socket.create_connection(
            ("127.0.0.1", int.from_bytes(first[2:4])), DEADLINE, ("127.0.0.1", 0)
        ) as peer:
            port = peer.getsockname()[1]
            assert read_exactly(client, 8) == b"\0\x5a" + port.to_bytes(2) + b"\x7f\0\0\1"
            peer.sendall(b"answer")
            assert read_exactly(client, 6) == b"answer"
