"""Real clients of SOCKS and HTTP fetch a page, which equals the one fetched directly."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator

import httpx
import pytest
from python_socks.async_.asyncio import Proxy as AsyncProxy
from python_socks.sync import Proxy as SyncProxy

import socks as pysocks
from end_to_end.entrances import Entrance
from harness.deadline import DEADLINE
from harness.listener import SocketAddress, refusing_address
from harness.pattern import pattern, read_to_end
from harness.services import find_program
from harness.targets import ServingTarget, http_page

_BODY = pattern(300_000)
_HTTP_REQUEST = b"GET / HTTP/1.1\r\nHost: page\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def page() -> Iterator[SocketAddress]:
    """A web server on 127.0.0.1."""
    with ServingTarget(http_page(_BODY)) as target:
        yield target.address


def _curl(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    program = find_program("curl")
    # A no_proxy that names 127.0.0.1 would lead past the proxy.
    variables = {
        name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")
    }
    return subprocess.run(
        [program, "--silent", "--show-error", "--max-time", str(DEADLINE), *arguments],
        capture_output=True,
        env=variables,
        check=False,
    )


def _body(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    ("flags", "host"),
    [
        (("--socks4",), "127.0.0.1"),
        (("--socks4a",), "localhost"),
        (("--socks5",), "127.0.0.1"),
        (("--socks5-hostname",), "localhost"),
        (("--proxy",), "localhost"),
        (("--proxy1.0",), "127.0.0.1"),
        (("--proxytunnel", "--proxy"), "localhost"),
    ],
    ids=" ".join,
)
def test_curl(entrance: Entrance, page: SocketAddress, flags: list[str], host: str) -> None:
    url = f"http://{host}:{page.port}/"
    direct = _curl(url)
    relayed = _curl(*flags, str(entrance.address), url)
    assert direct.returncode == 0, direct.stderr
    assert relayed.returncode == 0, relayed.stderr
    assert direct.stdout == _BODY
    assert relayed.stdout == direct.stdout


def test_curl_does_not_pass_by_the_proxy(page: SocketAddress) -> None:
    with refusing_address() as nobody:
        assert _curl("--socks5", str(nobody), f"http://{page}/").returncode != 0


@pytest.mark.parametrize("remote_dns", [False, True])
@pytest.mark.parametrize("kind", [pysocks.SOCKS5, pysocks.SOCKS4, pysocks.HTTP])
def test_pysocks(entrance: Entrance, page: SocketAddress, kind: int, remote_dns: bool) -> None:
    host = "localhost" if remote_dns else page.host
    connection = pysocks.create_connection(
        (host, page.port),
        timeout=DEADLINE,
        proxy_type=kind,
        proxy_addr=entrance.address.host,
        proxy_port=entrance.address.port,
        proxy_rdns=remote_dns,
    )
    with connection:
        connection.sendall(_HTTP_REQUEST)
        assert _body(read_to_end(connection)) == _BODY


@pytest.mark.parametrize("scheme", ["socks4", "socks5", "http"])
def test_python_socks(entrance: Entrance, page: SocketAddress, scheme: str) -> None:
    proxy = SyncProxy.from_url(f"{scheme}://{entrance.address}", rdns=True)
    with proxy.connect("localhost", page.port, timeout=DEADLINE) as connection:
        connection.sendall(_HTTP_REQUEST)
        assert _body(read_to_end(connection)) == _BODY


def test_python_socks_on_asyncio(entrance: Entrance, page: SocketAddress) -> None:
    async def fetch() -> bytes:
        proxy = AsyncProxy.from_url(f"socks5://{entrance.address}")
        connection = await proxy.connect(page.host, page.port, timeout=DEADLINE)
        reader, writer = await asyncio.open_connection(sock=connection)
        writer.write(_HTTP_REQUEST)
        answer = await asyncio.wait_for(reader.read(), DEADLINE)
        writer.close()
        await writer.wait_closed()
        return answer

    assert _body(asyncio.run(fetch())) == _BODY


@pytest.mark.parametrize("scheme", ["socks5", "http"])
def test_httpx(entrance: Entrance, page: SocketAddress, scheme: str) -> None:
    with httpx.Client(
        proxy=f"{scheme}://{entrance.address}", trust_env=False, timeout=DEADLINE
    ) as client:
        answer = client.get(f"http://localhost:{page.port}/")
    assert answer.status_code == 200
    assert answer.content == _BODY
