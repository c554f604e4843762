"""The page about troubles quotes lines that really appear."""

from __future__ import annotations

import re
import socket
import time

from harness.deadline import DEADLINE
from harness.documents import ROOT
from harness.listener import SocketAddress, refusing_address, silent_address
from harness.process import Process
from harness.services import (
    Service,
    environment,
    fastsocks_command,
    start_fastsocks,
    start_local,
    start_proxy,
    start_server,
)
from harness.shadowsocks import RequestWriter, address_header, generate_key
from harness.socks import credentials, greeting, request

METHOD = "2022-blake3-aes-128-gcm"
PAGE = (ROOT / "docs" / "how-to" / "troubleshooting.md").read_text("utf-8")
KEY, USER_KEY = generate_key(METHOD), generate_key(METHOD)


def quoted(section: str) -> list[str]:
    """Return the lines that the table of a section quotes, in its first column."""
    text = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.*?) \|", text, re.MULTILINE)
    return [line for row in rows[1:] for line in re.findall(r"`([^`]*\([a-z][\w -]+\).*?)`", row)]


def check(line: str, service: Service, *parts: bytes) -> None:
    """Send `parts`, each but the last one answered, and wait for the line."""
    with socket.create_connection(service.address, DEADLINE) as connection:
        for number, part in enumerate(parts):
            if number:
                assert connection.recv(65536)
            connection.sendall(part)
        service.process.wait_for_line(re.escape(line))


def test_lines_of_a_server() -> None:
    with (
        silent_address() as silent,
        refusing_address() as refusing,
        start_server(METHOD, KEY, "--user", f"alice:{USER_KEY}", "-t", "1") as server,
        start_fastsocks("server", "-s", "127.0.0.1", "-p", "0", "-m", METHOD, "-k", KEY) as public,
        start_server(METHOD, KEY, "--rule", "deny port 25") as ruled,
        start_server(METHOD, KEY, "--max-connections-per-client", "1") as limited,
    ):

        def writes(address: SocketAddress, key: str = f"{KEY}:{USER_KEY}", late: int = 0) -> bytes:
            header = address_header(address)
            return RequestWriter(METHOD, key).request(header, b"x", clock=time.time() - late)

        refused = writes(refusing)
        told = {
            "refused (dial)": (server, refused),
            "(replay)": (server, refused),
            "(tag)": (server, refused[:40] + bytes(20) + refused[60:]),
            "(header)": (server, b"abc"),
            "(timestamp)": (server, writes(refusing, late=3600)),
            "(unknown-user)": (server, writes(refusing, f"{KEY}:{generate_key(METHOD)}")),
            "permits it) (not-allowed)": (public, writes(refusing, KEY)),
            '25" (not-allowed)': (ruled, writes(SocketAddress("127.0.0.1", 25), KEY)),
            "(limit)": (limited, b"of the second one"),
            "(host-name)": (ruled, writes(SocketAddress("no name", 80), KEY)),
            "(resolve)": (server, writes(SocketAddress("nothing.invalid", 80))),
            "timed out (dial)": (server, writes(silent)),
        }
        lines = quoted("What the log of the server says")
        assert len(lines) == len(told)
        with socket.create_connection(limited.address) as first:
            first.sendall(b"the first one")
            for end, (service, data) in told.items():
                (line,) = (line for line in lines if line.endswith(end))
                check(line.replace("4096", "1"), service, data)


def test_lines_of_a_local_and_a_proxy() -> None:
    with (
        silent_address() as silent,
        refusing_address() as refusing,
        start_local(silent, METHOD, KEY, "-t", "1") as lost,
        start_local(refusing, METHOD, KEY) as refused,
        start_proxy("--user", "alice:secret") as proxy,
    ):
        asks = (greeting(0), request(SocketAddress("192.0.2.1", 80)))
        told = {
            "Connection refused": (refused, asks),
            "connect timed out": (lost, asks),
            "byte 0x16": (proxy, (b"\x16\x03\x01",)),
            "the client does not offer": (proxy, asks[:1]),
            "wrong username": (proxy, (greeting(2), credentials(b"alice", b"wrong"))),
        }
        lines = quoted("What the log of local or proxy says")
        assert len(lines) == len(told)
        for start, (service, parts) in told.items():
            (line,) = (line for line in lines if line.startswith(start))
            check(line, service, *parts)


def test_the_line_of_a_port_in_use() -> None:
    (line,) = quoted("It does not start")
    with start_proxy() as proxy:
        port = str(proxy.address.port)
        second = Process("second", fastsocks_command("proxy", "-l", port), environment())
        second.wait_for_line(re.escape(line.replace("1080", port)))
        assert second.wait() == 3
