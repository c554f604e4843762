"""What arrives while set-up waits for something else reaches the relay."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from harness.pattern import pattern
from setup_ends import Entrance, LineService, SetupTwin, Target

ANSWER = b"connected\n"


class HeldDial:
    """A dial of ``name.test`` that stands when the test lets it."""

    def __init__(self, entrance: Entrance, target: Target) -> None:
        self.asked = asyncio.Event()
        self.release = asyncio.Event()
        self._target = target.socket.getsockname()
        entrance.dialer.names["name.test"] = self._dial

    async def _dial(self) -> socket.socket:
        self.asked.set()
        await self.release.wait()
        sock = socket.socket()
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, self._target)
        return sock


@pytest.mark.parametrize("size", [1, 1000, 300_000])
@pytest.mark.parametrize("finish", [False, True])
def test_the_client_goes_on_during_the_dial(
    run: Any, twin: SetupTwin, size: int, finish: bool
) -> None:
    async def scenario() -> None:
        async with Entrance(twin, LineService()) as entrance:
            with Target() as target:
                dial = HeldDial(entrance, target)
                client = await entrance.connect(b"name.test 80\n")
                await dial.asked.wait()
                sending = asyncio.ensure_future(client.send_pattern(size, finish=finish))
                for _ in range(5):  # set-up is told of it, and must remember
                    await asyncio.sleep(0)
                dial.release.set()
                accepted = await target.accept()
                if finish:
                    assert await accepted.verify_to_end() == size
                else:
                    await accepted.verify(size)
                await sending
                assert await client.read(len(ANSWER)) == ANSWER
                await accepted.send(b"goodbye")
                assert await client.read(7) == b"goodbye"

    run(scenario())


@pytest.mark.parametrize("size", [1, 70_000, 300_000])
def test_a_request_an_end_and_all_between_at_once(run: Any, twin: SetupTwin, size: int) -> None:
    async def scenario() -> None:
        async with Entrance(twin, LineService()) as entrance:
            with Target() as target:
                client = await entrance.connect()
                client.socket.setblocking(True)
                client.socket.sendall(target.line + pattern(size))
                client.finish()
                client.socket.setblocking(False)
                accepted = await target.accept()
                assert await accepted.verify_to_end() == size
                accepted.finish()
                assert await client.read_to_end() == ANSWER

    run(scenario())


def test_a_target_that_speaks_first(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = LineService()
        async with Entrance(twin, service) as entrance:
            with Target() as target:
                dial = HeldDial(entrance, target)
                client = await entrance.connect(b"name.test 80\n")
                dial.release.set()
                accepted = await target.accept()
                await accepted.send(b"welcome")
                accepted.finish()
                assert await client.read_to_end() == ANSWER + b"welcome"
                await client.send(b"goodbye")
                client.finish()
                assert await accepted.read_to_end() == b"goodbye"

    run(scenario())
