"""Sockets that the kernel does not watch, for want of memory or of a user's share of watches."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datagram_ends import (
    Engine,
    Far,
    ShadowsocksClient,
    SocksClient,
    UdpTwin,
    bound,
    count_descriptors,
    import_udp,
    new_packet_way,
)
from fastsocks.address import Address
from fastsocks.relay.packet_way import PacketWay

METHOD = "2022-blake3-aes-128-gcm"


@pytest.fixture
def twin() -> UdpTwin:
    """The one that watches by itself; the other leaves it to its loop."""
    return import_udp("cython")


class Unwatched:
    """A UDP socket with the descriptor of a file, which epoll refuses."""

    def __init__(self) -> None:
        self._socket = bound()
        self._file = os.open(Path(__file__), os.O_RDONLY)
        self.closed = False

    def fileno(self) -> int:
        return self._file

    def bind(self, _: Any) -> None:
        """It is bound."""

    def connect(self, address: Any) -> None:
        self._socket.connect(address)

    def setsockopt(self, *option: Any) -> None:
        self._socket.setsockopt(*option)

    def getsockname(self) -> Any:
        return self._socket.getsockname()

    @property
    def family(self) -> socket.AddressFamily:
        return self._socket.family

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._socket.close()
            os.close(self._file)


@pytest.fixture
def unwatched(monkeypatch: pytest.MonkeyPatch, twin: UdpTwin) -> Iterator[list[Unwatched]]:
    """Have no socket of associations watched, as long as the list says so by being empty."""
    made: list[Unwatched] = []

    def open_one(_: int) -> Unwatched:
        made.append(Unwatched())
        return made[-1]

    monkeypatch.setattr(twin.udp, "open_datagram_socket", open_one)
    yield made
    assert all(one.closed for one in made)


def test_a_client_is_told(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            before = count_descriptors()
            sock = Unwatched()
            with pytest.raises(PermissionError):
                engine.engine.associate(sock, "127.0.0.1", 0, None)
            assert sock.closed
            assert count_descriptors() == before
            assert engine.counters.associations == 0

    run(scenario())


def test_a_server_is_told(run: Any, twin: UdpTwin) -> None:
    from packet_ends import new_packet_server

    async def scenario() -> None:
        async with Engine(twin) as engine:
            sock = Unwatched()
            with pytest.raises(PermissionError):
                engine.engine.serve(sock, new_packet_server(twin.shadowsocks, METHOD))
            assert sock.closed

    run(scenario())


def test_towards_targets(
    run: Any, twin: UdpTwin, unwatched: list[Unwatched], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            _, relay = engine.associate()
            with SocksClient(relay) as client, Far() as target:
                target.echo()
                for _ in range(3):
                    client.ask(b"x", target.address)
                await engine.dropped("not-sent", 3)
                assert len(unwatched) == 3
                monkeypatch.undo()
                client.ask(b"y", target.address)
                assert await client.answer() == (b"y", target.address)

    run(scenario())


@pytest.mark.parametrize("kind", ["socks", "shadowsocks"])
def test_towards_servers(run: Any, twin: UdpTwin, unwatched: list[Unwatched], kind: str) -> None:
    async def scenario() -> None:
        async def find(_: str) -> PacketWay:
            return new_packet_way(twin, METHOD, Address.of("127.0.0.1", 9))

        async with Engine(twin, find_way=find) as engine:
            if kind == "socks":
                client: SocksClient | ShadowsocksClient = SocksClient(engine.associate()[1])
            else:
                client = ShadowsocksClient(twin, METHOD, engine.serve(METHOD))
            with client:
                for _ in range(3):
                    client.ask(b"x", Address.of("127.0.0.1", 9))
                await engine.dropped("upstream", 3)
                assert len(unwatched) == 1, "it was tried again without a rest"
                assert engine.counters.associations == 1

    run(scenario())


def test_a_packet_way_that_was_given(run: Any, twin: UdpTwin, unwatched: list[Unwatched]) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            before = count_descriptors()
            with pytest.raises(PermissionError):
                engine.associate(
                    packet_way=new_packet_way(twin, METHOD, Address.of("127.0.0.1", 9))
                )
            assert len(unwatched) == 1
            assert unwatched[0].closed
            assert count_descriptors() == before

    run(scenario())
