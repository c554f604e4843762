"""The programs in examples/ do what they say."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.documents import OF_0_1_0, ROOT
from harness.listener import SocketAddress
from harness.process import Process
from harness.services import Implementation, Service, environment, start_server
from harness.shadowsocks import generate_key
from harness.socks import open_connection
from harness.targets import ServingTarget, http_page

#: Those of today, and of 0.1.0, which go on working.
_EXAMPLES = [ROOT / "examples", OF_0_1_0 / "examples"]
_METHOD = "2022-blake3-aes-128-gcm"
_PAGE = b"a page of an example"


@contextmanager
def _example(path: Path, *arguments: str, implementation: Implementation) -> Iterator[Process]:
    command = [sys.executable, str(path), *arguments]
    process = Process(path.name, command, environment(implementation))
    try:
        yield process
    finally:
        process.kill()


@pytest.fixture(params=_EXAMPLES, ids=["today", "0.1.0"])
def examples(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.param
    return folder


@pytest.fixture(scope="module")
def key() -> str:
    return generate_key(_METHOD)


@pytest.fixture(scope="module")
def server(key: str) -> Iterator[Service]:
    service = start_server(_METHOD, key)
    yield service
    service.process.kill()


def test_open_connection(
    examples: Path, implementation: Implementation, server: Service, key: str
) -> None:
    escaped = key.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    url = f"ss://{_METHOD}:{escaped}@{server.address.host}:{server.address.port}"
    with (
        ServingTarget(http_page(_PAGE)) as target,
        _example(
            examples / "open_connection.py",
            *(url, target.address.host, str(target.address.port)),
            implementation=implementation,
        ) as example,
    ):
        example.wait_for_line(_PAGE.decode())
        assert example.wait() == 0


def test_embedded_local(
    examples: Path, implementation: Implementation, server: Service, key: str
) -> None:
    with (
        ServingTarget(http_page(_PAGE)) as target,
        _example(
            examples / "embedded_local.py",
            *(server.address.host, str(server.address.port), _METHOD, key),
            implementation=implementation,
        ) as example,
    ):
        found = example.wait_for_line(r"socks5-hostname ([^:]+):(\d+)")
        entrance = SocketAddress(found[1], int(found[2]))
        with open_connection(entrance, target.address) as client:
            client.connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            received = b""
            while data := client.connection.recv(65536):
                received += data
        assert received.endswith(_PAGE)


def test_server_with_counters(examples: Path, implementation: Implementation, key: str) -> None:
    path = examples / "server_with_counters.py"
    with _example(path, "0", key, implementation=implementation) as example:
        example.wait_for_line(r"listening on \[\('127\.0\.0\.1', \d+\)\]")
        example.wait_for_line("0 active, 0 bytes up, 0 bytes down")
