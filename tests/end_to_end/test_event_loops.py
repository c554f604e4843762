"""The same services on plain asyncio, without uvloop."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.listener import SocketAddress
from harness.services import (
    Implementation,
    Service,
    environment,
    start_local,
    start_proxy,
    start_server,
)
from harness.shadowsocks import generate_key
from harness.socks import open_connection
from harness.targets import Target, reset
from harness.transfer import (
    both_ways,
    download,
    finish_client_first,
    finish_target_first,
    upload,
)

_METHOD = "2022-blake3-aes-128-gcm"
_SIZE = 1_000_000


@pytest.fixture(scope="module", params=["proxy", "local and server"])
def socks_server(
    request: pytest.FixtureRequest, implementation: Implementation
) -> Iterator[SocketAddress]:
    """A proxy, then local and server, with FASTSOCKS_LOOP=asyncio."""
    if request.param == "proxy":
        with start_proxy(implementation=implementation, FASTSOCKS_LOOP="asyncio") as proxy:
            _assert_asyncio(proxy)
            yield proxy.address
        return
    key = generate_key(_METHOD)
    with (
        start_server(
            _METHOD, key, implementation=implementation, FASTSOCKS_LOOP="asyncio"
        ) as server,
        start_local(
            server.address, _METHOD, key, implementation=implementation, FASTSOCKS_LOOP="asyncio"
        ) as local,
    ):
        _assert_asyncio(server)
        _assert_asyncio(local)
        yield local.address


def test_without_uvloop_installed(implementation: Implementation, tmp_path: Path) -> None:
    missing = 'raise ModuleNotFoundError("hidden by a test", name="uvloop")'
    (tmp_path / "uvloop.py").write_text(missing, encoding="ascii")
    path = os.pathsep.join((str(tmp_path), environment()["PYTHONPATH"]))
    with start_proxy(implementation=implementation, PYTHONPATH=path) as proxy:
        _assert_asyncio(proxy)
        both_ways(proxy.address, _SIZE)


def _assert_asyncio(service: Service) -> None:
    assert any("asyncio" in line for line in service.process.lines)
    assert "uvloop" not in service.process.output


@pytest.mark.parametrize("size", [0, 1, _SIZE])
def test_transfers(socks_server: SocketAddress, size: int) -> None:
    upload(socks_server, size)
    download(socks_server, size)
    both_ways(socks_server, size)


def test_half_close(socks_server: SocketAddress) -> None:
    finish_client_first(socks_server, _SIZE)
    finish_target_first(socks_server, _SIZE)


def test_reset(socks_server: SocketAddress) -> None:
    with Target() as target, open_connection(socks_server, target.address) as client:
        accepted = target.accept()
        accepted.sendall(b"data")
        assert client.read(4) == b"data"
        reset(accepted)
        with pytest.raises(ConnectionResetError):
            client.connection.recv(1)
