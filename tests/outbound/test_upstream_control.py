"""The connections that associations at SOCKS5 servers last as long as."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from fastsocks.outbound.upstream_control import UpstreamControl
from harness.deadline import DEADLINE


def pairs(count: int) -> tuple[list[socket.socket], list[socket.socket]]:
    made = [socket.socketpair() for _ in range(count)]
    for ours, theirs in made:
        ours.setblocking(False)
        theirs.setblocking(False)
    return [ours for ours, _ in made], [theirs for _, theirs in made]


@pytest.mark.parametrize("at_once", [True, False])
def test_its_end_closes_the_connections(run: Any, at_once: bool) -> None:
    async def scenario() -> None:
        ours, theirs = pairs(2)
        control = UpstreamControl(ours)
        ended: list[bool] = []
        control.ended = lambda: ended.append(True)
        if not at_once:
            await asyncio.sleep(0)
        control.close()
        control.close()
        for sock in theirs:
            with sock:
                assert await asyncio.get_running_loop().sock_recv(sock, 1) == b""
        assert ended == []

    run(scenario())


def test_the_end_of_one_connection_is_told_once(run: Any) -> None:
    async def scenario() -> None:
        ours, theirs = pairs(2)
        control = UpstreamControl(ours)
        ended = asyncio.Event()
        control.ended = ended.set
        # What a server says beside its end does not matter.
        theirs[1].send(b"x")
        theirs[1].close()
        await asyncio.wait_for(ended.wait(), DEADLINE)
        assert control.ended is None
        control.close()
        with theirs[0]:
            assert await asyncio.get_running_loop().sock_recv(theirs[0], 1) == b""

    run(scenario())
