"""Connections that never come to a relay leave no memory behind."""

from __future__ import annotations

from typing import Any

import pytest

from harness.listener import refusing_address
from harness.memory import check_connections
from setup_ends import BAD_LINE, Entrance, LineService, SetupTwin, Target, import_setup


@pytest.fixture
def twin(implementation: str) -> SetupTwin:
    return import_setup(implementation)


def test_memory_is_given_back(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = LineService()
        with Target() as target, refusing_address() as nobody:
            refused = f"{nobody[0]} {nobody[1]}\n".encode()
            async with Entrance(twin, service) as entrance:

                async def once() -> None:
                    for said, answer in (
                        (BAD_LINE, b"failed 1\n"),
                        (refused, b"failed 5\n"),
                        (b"unfinished", b"failed 1\n"),
                    ):
                        with await entrance.connect(said) as client:
                            client.finish()
                            assert await client.read_to_end() == answer
                    (await entrance.connect(b"unfinished")).reset()
                    await entrance.connect(target.line)
                    (await target.accept()).reset()
                    target.forget()
                    await entrance.acceptor.wait_idle()
                    entrance.forget()

                await check_connections(once, 100)

    run(scenario())
