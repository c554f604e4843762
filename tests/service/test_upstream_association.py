"""The connection that an association at a SOCKS5 server lasts as long as."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from datagram_ends import Engine, UdpTwin, import_udp, settle
from fastsocks.service.datagrams import SocksAssociation
from fastsocks.service.upstream_association import UpstreamAssociation


@pytest.fixture
def twin(implementation: str) -> UdpTwin:
    return import_udp(implementation)


@pytest.mark.parametrize("at_once", [True, False])
def test_its_end_closes_the_connection(run: Any, twin: UdpTwin, at_once: bool) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            control, server = socket.socketpair()
            control.setblocking(False)
            server.setblocking(False)
            with server:
                there = UpstreamAssociation(SocksAssociation(*engine.associate()), control)
                if not at_once:
                    await asyncio.sleep(0)
                there.close()
                assert await asyncio.get_running_loop().sock_recv(server, 1) == b""

    run(scenario())


def test_the_end_of_the_connection_ends_it(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            control, server = socket.socketpair()
            control.setblocking(False)
            association, bound = engine.associate()
            there = UpstreamAssociation(SocksAssociation(association, bound), control)
            ended = asyncio.Event()
            there.ended = ended.set
            server.close()
            await asyncio.wait_for(ended.wait(), 5)
            assert not association.active
            await settle(lambda: control.fileno() < 0, "the connection is left")

    run(scenario())
