"""The second stage of a relay of plain bytes, which the kernel moves through pipes."""

from __future__ import annotations

import asyncio
import gc
import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fastsocks.errors import ResetError, StoppedError
from relay_ends import End, Relayed, Twin, import_relay

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pipes serve on Linux only")

MORE = 3_000_000
SIDES = pytest.mark.parametrize("side", ["client", "target"])


@pytest.fixture
def twin() -> Twin:
    """The engine that splices."""
    return import_relay("cython", bare=True)


def ends(relayed: Relayed, side: str) -> tuple[End, End]:
    """Return both ends, that of `side` first."""
    pair = (relayed.client, relayed.target)
    return pair if side == "client" else (pair[1], pair[0])


def count_pipes() -> int:
    """Return how many ends of pipes this process holds."""
    links = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return sum(link.name.startswith("pipe:") for link in links)


def attach_nothing() -> None:
    """Have the running loop refuse transports."""
    loop: Any = asyncio.get_running_loop()

    def refuse(protocol: Any, sock: Any) -> Any:
        raise AssertionError("a relay of plain bytes got a transport")

    loop.connect_accepted_socket = refuse


@contextmanager
def no_more_descriptors() -> Iterator[None]:
    """Let this process open nothing more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as lowest:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest.fileno(), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_both_ways_at_once_and_to_the_ends(run: Any, twin: Twin) -> None:
    async def scenario() -> None:
        attach_nothing()
        engine = twin.engine(asyncio.get_running_loop())
        async with Relayed(engine) as relayed:
            sizes = await asyncio.gather(
                relayed.client.send_pattern(MORE, finish=True),
                relayed.target.send_pattern(MORE, finish=True),
                relayed.client.verify_to_end(),
                relayed.target.verify_to_end(),
            )
            assert list(sizes[2:]) == [MORE, MORE]
            assert await relayed.error() is None
            assert (relayed.relay.bytes_up, relayed.relay.bytes_down) == (MORE, MORE)
        assert (engine.counters.bytes_up, engine.counters.bytes_down) == (MORE, MORE)

    run(scenario())


@SIDES
def test_one_way_goes_on_after_the_other_has_ended(run: Any, twin: Twin, side: str) -> None:
    async def scenario() -> None:
        attach_nothing()
        async with Relayed(twin.engine(asyncio.get_running_loop())) as relayed:
            one, other = ends(relayed, side)
            await asyncio.gather(one.send_pattern(MORE), other.verify(MORE))
            one.finish()
            assert await other.read_to_end() == b""
            await asyncio.gather(other.send_pattern(MORE, finish=True), one.verify(MORE))
            assert await one.read_to_end() == b""
            assert await relayed.error() is None

    run(scenario())


@SIDES
def test_a_slow_reader_gets_all_in_order(run: Any, twin: Twin, side: str) -> None:
    """What a short send left over comes first, then what the pipe held."""

    async def scenario() -> None:
        attach_nothing()
        async with Relayed(twin.engine(asyncio.get_running_loop()), buffer=4096) as relayed:
            slow, sender = ends(relayed, side)
            sent = await sender.fill()
            assert 0 < sent < MORE
            verifier = await slow.verify(sent)
            await asyncio.gather(
                sender.send_pattern(MORE, sent, finish=True), slow.verify(MORE, verifier)
            )

    run(scenario())


@SIDES
def test_a_reset_amid_a_transfer(run: Any, twin: Twin, side: str) -> None:
    async def scenario() -> None:
        async with Relayed(twin.engine(asyncio.get_running_loop())) as relayed:
            breaking, other = ends(relayed, side)
            await other.fill()
            breaking.reset()
            assert isinstance(await relayed.error(), ResetError)
            assert await other.end_error() is ConnectionResetError

    run(scenario())


def test_pipes_are_held_by_flows_that_wait_only(run: Any, twin: Twin) -> None:
    async def scenario() -> None:
        # Engines of other tests that are garbage hold pipes until they are collected.
        gc.collect()
        before = count_pipes()
        engine = twin.engine(asyncio.get_running_loop())
        async with Relayed(engine) as one, Relayed(engine) as another:
            for relayed in (one, another):
                await asyncio.gather(relayed.client.send_pattern(MORE), relayed.target.verify(MORE))
            # One pipe served both, and waits for the next.
            assert count_pipes() == before + 2
            await one.client.fill()
            await another.client.fill()
            assert count_pipes() == before + 4
            engine.abort()
            assert isinstance(await one.error(), StoppedError)
            assert isinstance(await another.error(), StoppedError)
            # What they held must not get to anybody: those pipes are gone.
            assert count_pipes() == before

    run(scenario())


def test_pipes_have_their_part_of_the_open_files(
    run: Any, twin: Twin, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        gc.collect()
        before = count_pipes()
        with monkeypatch.context() as patch:
            patch.setattr(resource, "getrlimit", lambda _: (64, 64))
            engine = twin.engine(asyncio.get_running_loop())
        async with Relayed(engine) as one, Relayed(engine) as another:
            await one.client.fill()
            assert count_pipes() == before + 2
            # The second is copied.
            await asyncio.gather(another.client.send_pattern(MORE), another.target.verify(MORE))
            assert count_pipes() == before + 2
            engine.abort()
            await one.error()
            await another.error()
        # The part is given back.
        async with Relayed(engine) as one:
            await one.client.fill()
            assert count_pipes() == before + 2
            engine.abort()
            await one.error()
        assert count_pipes() == before

    run(scenario())


@SIDES
def test_without_pipes_bytes_are_copied(run: Any, twin: Twin, side: str) -> None:
    async def scenario() -> None:
        attach_nothing()
        async with Relayed(twin.engine(asyncio.get_running_loop())) as relayed:
            one, other = ends(relayed, side)
            with no_more_descriptors():
                await asyncio.gather(one.send_pattern(MORE, finish=True), other.verify(MORE))
                assert await other.read_to_end() == b""
            await asyncio.gather(other.send_pattern(MORE, finish=True), one.verify(MORE))
            assert await relayed.error() is None

    run(scenario())
