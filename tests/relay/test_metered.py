"""Relays of users: what they carry is counted, ends at a quota, and waits under a speed limit."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from fastsocks.errors import QuotaError, StoppedError
from harness.pattern import Verifier
from relay_ends import PLAIN, CodecPair, End, Relayed, Twin, codec_pair
from twins import import_twin

MORE = 3_000_000
METHODS = pytest.mark.parametrize("method", [None, "aes-256-gcm", "2022-blake3-aes-256-gcm"])
SIDES = pytest.mark.parametrize("side", ["client", "target"])

#: What one read may have beyond a quota.
READ = 256 * 1024

#: What a relay calls when it has waited for a turn.
TURNS = {"deliver_late", "_deliver_late", "go_on"}


def new_meter(twin: Twin) -> Any:
    """Make the meter of a user."""
    words = memoryview(bytearray(8 * 48)).cast("Q")
    return import_twin("fastsocks.relay", "_meter", twin.implementation).Meter("alice", words, 0)


def counted(meter: Any) -> tuple[int, ...]:
    """Return relays, payload up and down, and how many relays run."""
    return (*meter.words[1:4], meter.words[46])


def take_over_turns(seconds: float) -> list[tuple[float, Callable[[], None]]]:
    """Have what waits for its turn go on after so many seconds.

    :return: how long each was to wait, and what has it go on.
    """
    loop: Any = asyncio.get_running_loop()
    call_later = loop.call_later
    turns: list[tuple[float, Callable[[], None]]] = []

    def call(delay: float, callback: Any, *arguments: Any, **more: Any) -> Any:
        if callback.__name__ in TURNS:
            turns.append((delay, partial(callback, *arguments)))
            delay = seconds
        return call_later(delay, callback, *arguments, **more)

    loop.call_later = call
    return turns


def pairs(twin: Twin, method: str | None, side: str = "client") -> tuple[CodecPair, CodecPair]:
    """Return codecs of both ends: that of `side` speaks Shadowsocks, if there is a method."""
    pair = codec_pair(twin.shadowsocks, method)
    return (pair, PLAIN) if side == "client" else (PLAIN, pair)


def ends(relayed: Relayed, side: str) -> tuple[End, End]:
    """Return both ends, that of `side` first."""
    found = (relayed.client, relayed.target)
    return found if side == "client" else (found[1], found[0])


@METHODS
@SIDES
@pytest.mark.parametrize("size", [1, MORE])
def test_every_byte_is_counted(
    run: Any, twin: Twin, size: int, side: str, method: str | None
) -> None:
    async def scenario() -> None:
        meter = new_meter(twin)
        engine = twin.engine(asyncio.get_running_loop())
        async with Relayed(engine, *pairs(twin, method, side), first={"meter": meter}) as relayed:
            assert counted(meter) == (1, 0, 0, 1)
            await asyncio.gather(
                relayed.client.send_pattern(size, finish=True),
                relayed.target.send_pattern(2 * size, finish=True),
                relayed.target.verify_to_end(),
                relayed.client.verify_to_end(),
            )
            assert await relayed.error() is None
        assert counted(meter) == (1, size, 2 * size, 0)
        assert (relayed.relay.bytes_up, relayed.relay.bytes_down) == (size, 2 * size)

    run(scenario())


def test_relays_of_one_user_count_together(run: Any, twin: Twin) -> None:
    async def scenario() -> None:
        meter = new_meter(twin)
        engine = twin.engine(asyncio.get_running_loop())
        relays = [Relayed(engine, first={"meter": meter}) for _ in range(3)]
        for relayed in relays:
            await relayed.client.send(b"12345")
            assert await relayed.target.read(5) == b"12345"
        assert counted(meter) == (3, 15, 0, 3)
        for relayed in relays:
            async with relayed:
                relayed.client.reset()
                await relayed.error()
        assert counted(meter) == (3, 15, 0, 0)

    run(scenario())


def test_who_was_removed_is_not_counted(run: Any, twin: Twin) -> None:
    async def scenario() -> None:
        meter = new_meter(twin)
        meter.words[0] += 1
        engine = twin.engine(asyncio.get_running_loop())
        async with Relayed(engine, first={"meter": meter}) as relayed:
            await relayed.client.send(b"12345")
            assert await relayed.target.read(5) == b"12345"
        assert counted(meter) == (0, 0, 0, 0)

    run(scenario())


@METHODS
@SIDES
@pytest.mark.parametrize("quota", [0, 10_000, 1_000_000])
def test_a_quota_ends_a_relay_within_a_read(
    run: Any, twin: Twin, quota: int, side: str, method: str | None
) -> None:
    async def scenario() -> None:
        meter = new_meter(twin)
        meter.set_quota(quota)
        engine = twin.engine(asyncio.get_running_loop())
        async with Relayed(engine, *pairs(twin, method), first={"meter": meter}) as relayed:
            source, sink = ends(relayed, side)
            got = bytearray()

            async def read() -> None:
                while data := await sink.receive():
                    got.extend(data)

            sending = asyncio.ensure_future(source.send_pattern(20_000_000))
            results = await asyncio.gather(sending, read(), return_exceptions=True)
            assert any(isinstance(result, ConnectionError) for result in results)
            error = await relayed.error()
            assert isinstance(error, QuotaError)
            assert (error.status, str(error)) == ("quota", "nothing is left of the user's quota")
            Verifier().feed(bytes(got))
            carried = relayed.relay.bytes_up + relayed.relay.bytes_down
            assert len(got) <= carried
            assert quota <= carried < quota + READ
            assert sum(counted(meter)[1:3]) == carried
        assert meter.quota == 0
        assert counted(meter)[3] == 0

    run(scenario())


def test_a_quota_that_is_set_while_a_relay_runs(run: Any, twin: Twin) -> None:
    async def scenario() -> None:
        meter = new_meter(twin)
        engine = twin.engine(asyncio.get_running_loop())
        async with Relayed(engine, first={"meter": meter}) as relayed:
            sending = asyncio.ensure_future(relayed.client.send_pattern(MORE))
            verifier = await relayed.target.verify(MORE)
            await sending
            meter.set_quota(10)
            await relayed.client.send_pattern(5, MORE)
            await relayed.target.verify(5, verifier)
            assert meter.quota == 5
            meter.set_quota(0)
            await relayed.target.send(b"no more")
            assert isinstance(await relayed.error(), QuotaError)
            assert counted(meter)[:3] == (1, MORE + 5, 0)

    run(scenario())


@METHODS
@SIDES
def test_a_speed_limit_has_a_relay_wait(
    run: Any, twin: Twin, side: str, method: str | None
) -> None:
    """It is known when each byte was to pass, though nobody waits so long."""
    speed, burst = 1_000_000, 0.25

    async def scenario() -> None:
        meter = new_meter(twin)
        meter.limit(**{"up" if side == "client" else "down": speed}, burst=burst)
        turns = take_over_turns(0.0)
        engine = twin.engine(asyncio.get_running_loop())
        began = time.monotonic()
        async with Relayed(engine, *pairs(twin, method), first={"meter": meter}) as relayed:
            source, sink = ends(relayed, side)
            # The other direction has no limit.
            await asyncio.gather(sink.send_pattern(MORE), source.verify(MORE))
            assert not turns
            sending = asyncio.ensure_future(source.send_pattern(MORE, finish=True))
            size = await sink.verify_to_end()
            await sending
            assert size == MORE
            waits = [seconds for seconds, _ in turns]
            wanted = MORE / speed - burst
            took = time.monotonic() - began
            assert wanted - took - 0.05 < waits[-1] < wanted + 0.05
            # It waits for each piece: nothing is sent in lumps.
            record = 0 if method is None else 66_000
            steps = [after - before for before, after in itertools.pairwise(waits)]
            assert max(steps) < (20_000 + record) / speed + 0.01
            sink.finish()
            assert await relayed.error() is None
        assert sorted(counted(meter)) == [0, 1, MORE, MORE]

    run(scenario())


def test_relays_of_one_user_wait_in_one_row(run: Any, twin: Twin) -> None:
    speed, size, relays = 1_000_000, 300_000, 10

    async def scenario() -> None:
        meter = new_meter(twin)
        meter.limit(down=speed, burst=0.0)
        turns = take_over_turns(0.0)
        engine = twin.engine(asyncio.get_running_loop())
        began = time.monotonic()
        running = [Relayed(engine, first={"meter": meter}) for _ in range(relays)]
        await asyncio.gather(
            *(relayed.target.send_pattern(size, finish=True) for relayed in running),
            *(relayed.client.verify(size) for relayed in running),
        )
        wanted = relays * size / speed
        took = time.monotonic() - began
        last = max(seconds for seconds, _ in turns)
        assert wanted - took - 0.05 < last < wanted + 0.05
        for relayed in running:
            async with relayed:
                relayed.client.finish()
        assert counted(meter) == (relays, 0, relays * size, 0)

    run(scenario())


@METHODS
def test_a_speed_limit_slows_the_sender_and_is_lifted(
    run: Any, twin: Twin, method: str | None
) -> None:
    """Set while a relay runs; what waits is one piece, and is not lost."""

    async def scenario() -> None:
        meter = new_meter(twin)
        engine = twin.engine(asyncio.get_running_loop())
        codecs = pairs(twin, method, "client")
        async with Relayed(engine, *codecs, buffer=16384, first={"meter": meter}) as relayed:
            _, verifier = await asyncio.gather(
                relayed.target.send_pattern(200_000), relayed.client.verify(200_000)
            )
            meter.limit(down=20_000, burst=0.0)
            turns = take_over_turns(3600.0)
            sent = await relayed.target.fill(200_000)
            assert sent < 1_000_000
            meter.limit()
            ((_, go_on),) = turns
            go_on()
            await relayed.client.verify(sent, verifier)
            relayed.target.finish()
            relayed.client.finish()
            assert await relayed.client.read_to_end() == b""
            assert await relayed.error() is None
        assert counted(meter) == (1, 0, 200_000 + sent, 0)

    run(scenario())


def test_an_end_while_something_waits(run: Any, twin: Twin) -> None:
    """Nothing is left to be done when its turn comes."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        meter = new_meter(twin)
        meter.limit(up=1, down=1, burst=0.0)
        engine = twin.engine(loop)
        for end in (engine.abort, None):
            async with Relayed(engine, first={"meter": meter}) as relayed:
                before = counted(meter)[1]
                await relayed.client.send(b"1" * 2048)
                while counted(meter)[1] == before:
                    await asyncio.sleep(0)
                # Only a piece is read.
                assert counted(meter)[1] == before + 1024
                if end is not None:
                    end()
                else:
                    relayed.client.reset()
                    relayed.target.reset()
                error = await relayed.error()
                assert end is None or isinstance(error, StoppedError)
        assert counted(meter)[3] == 0

    run(scenario())


def test_the_end_of_the_stream_comes_behind_what_waits(run: Any, twin: Twin) -> None:
    async def scenario() -> None:
        meter = new_meter(twin)
        meter.limit(up=100_000, burst=0.0)
        take_over_turns(0.0)
        engine = twin.engine(asyncio.get_running_loop())
        async with Relayed(engine, first={"meter": meter}) as relayed:
            await relayed.client.send_pattern(5000, finish=True)
            assert await relayed.target.verify_to_end() == 5000
            relayed.target.finish()
            assert await relayed.error() is None

    run(scenario())


@pytest.mark.parametrize("method", [None, "aes-256-gcm"])
def test_a_meter_without_limits_changes_nothing(run: Any, twin: Twin, method: str | None) -> None:
    """A reader that stops makes the sender stop, as ever."""

    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        first = {"meter": new_meter(twin)}
        async with Relayed(engine, *pairs(twin, method), buffer=16384, first=first) as relayed:
            sent = await relayed.target.fill()
            assert sent < 1_000_000
            await relayed.client.verify(sent)
            assert relayed.target.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0

    run(scenario())
