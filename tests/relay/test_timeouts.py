"""Relays on which nothing moves end with a reset; others live."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from typing import Any

import pytest

from fastsocks.errors import IdleTimeoutError
from relay_ends import End, Relayed, Twin, codec_pair

#: Seconds. Long enough that a busy machine does not pause for so long.
LIMIT = 0.7
NEVER = 1000.0
#: How many seconds a relay must outlive to show that it does.
LONGER = 2.5 * LIMIT
STEP = 0.1
#: More than what is read in that time.
SIZE = 400_000


async def assert_reset(relayed: Relayed) -> None:
    for end in (relayed.client, relayed.target):
        assert await end.end_error() is ConnectionResetError
    assert type(await relayed.error()) is IdleTimeoutError


def test_an_idle_relay_ends(run: Any, twin: Twin) -> None:
    async def scenario() -> None:
        engine = twin.engine(
            asyncio.get_running_loop(), idle_timeout=LIMIT, half_open_timeout=NEVER
        )
        async with Relayed(engine) as relayed:
            await assert_reset(relayed)
        # And the next one: looking for silent relays begins again.
        async with Relayed(engine) as relayed:
            await assert_reset(relayed)

    run(scenario())


@pytest.mark.parametrize("first", ["client", "target"])
def test_a_half_open_relay_ends(run: Any, twin: Twin, first: str) -> None:
    async def scenario() -> None:
        engine = twin.engine(
            asyncio.get_running_loop(), idle_timeout=NEVER, half_open_timeout=LIMIT
        )
        async with Relayed(engine) as relayed, Relayed(engine) as untouched:
            one, other = relayed.client, relayed.target
            if first == "target":
                one, other = other, one
            one.finish()
            assert await other.read_to_end() == b""
            assert await one.end_error() is ConnectionResetError
            # The reset of a stream that has ended already.
            assert await other.hung_up() == errno.EPIPE
            assert type(await relayed.error()) is IdleTimeoutError
            assert not untouched.ended.done()

    run(scenario())


def test_bytes_keep_a_relay_alive(run: Any, twin: Twin) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        engine = twin.engine(loop, idle_timeout=LIMIT, half_open_timeout=LIMIT)

        async def one(half_open: bool, method: str | None) -> None:
            async with Relayed(engine, codec_pair(twin.shadowsocks, method)) as relayed:
                if half_open:
                    await relayed.client.send(b"?")
                    relayed.client.finish()
                    assert await relayed.target.read_to_end() == b"?"
                end = loop.time() + LONGER
                while loop.time() < end:
                    await relayed.target.send(b"x")
                    assert await relayed.client.read(1) == b"x"
                    await asyncio.sleep(STEP)
                assert not relayed.ended.done()
                # Only now nothing moves.
                assert type(await relayed.error()) is IdleTimeoutError

        await asyncio.gather(
            *(
                one(half_open, method)
                for half_open in (False, True)
                for method in (None, "aes-256-gcm")
            )
        )

    run(scenario())


async def sip(end: End, seconds: float) -> None:
    """Read a little of what waits, again and again."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while loop.time() < until:
        assert await end.receive_raw(2000)
        await asyncio.sleep(STEP / 5)


def test_a_slow_reader_keeps_a_relay_alive(run: Any, twin: Twin) -> None:
    """Nothing comes in while the queue gets shorter, be it ours or the kernel's."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        engine = twin.engine(loop, idle_timeout=LIMIT, half_open_timeout=LIMIT)

        async def one(half_open: bool, send_buffer: int) -> None:
            async with Relayed(engine, buffer=8192, send_buffer=send_buffer) as relayed:
                if half_open:
                    relayed.target.finish()
                    assert await relayed.client.read_to_end() == b""
                sending = asyncio.ensure_future(relayed.client.send_pattern(SIZE))
                await sip(relayed.target, LONGER)
                assert not relayed.ended.done()
                with contextlib.suppress(ConnectionError):
                    await sending
                assert type(await relayed.error()) is IdleTimeoutError

        await asyncio.gather(
            *(one(half_open, size) for half_open in (False, True) for size in (8192, SIZE))
        )

    run(scenario())


def test_a_reader_that_stopped_does_not(run: Any, twin: Twin) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        engine = twin.engine(loop, idle_timeout=LIMIT, half_open_timeout=NEVER)
        async with Relayed(engine, buffer=8192) as relayed:
            await relayed.client.fill()
            assert type(await relayed.error()) is IdleTimeoutError
            assert await relayed.client.end_error() is ConnectionResetError

    run(scenario())


def test_a_reader_that_stopped_after_both_ended_does_not(run: Any, twin: Twin) -> None:
    """Both directions are over, but for a queue that nobody reads."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        engine = twin.engine(loop, idle_timeout=NEVER, half_open_timeout=LIMIT)
        async with Relayed(engine, first={"to_target": bytes(3_000_000)}, buffer=8192) as relayed:
            relayed.client.finish()
            relayed.target.finish()
            assert await relayed.client.read_to_end() == b""
            assert type(await relayed.error()) is IdleTimeoutError
            assert await relayed.target.end_error() is ConnectionResetError

    run(scenario())
