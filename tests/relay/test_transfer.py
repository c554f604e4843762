"""What a relay carries: every byte, in order, both ways, to the end of each direction."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from harness.pattern import pattern
from relay_ends import Relayed, Twin, codec_pair

SIZE = 3_000_000

METHODS = [
    (None, None),
    ("aes-256-gcm", None),
    (None, "chacha20-ietf-poly1305"),
    ("2022-blake3-aes-128-gcm", "aes-128-gcm"),
    ("aes-256-gcm", "2022-blake3-chacha20-poly1305"),
    ("aes-256-cfb", "2022-blake3-aes-256-gcm"),
    ("none", "aes-128-ctr"),
]


@pytest.mark.parametrize(("inbound", "outbound"), METHODS)
def test_bytes_arrive_both_ways(
    run: Any, twin: Twin, inbound: str | None, outbound: str | None
) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        pairs = [codec_pair(twin.shadowsocks, method) for method in (inbound, outbound)]
        async with Relayed(engine, *pairs) as relayed:
            results = await asyncio.gather(
                relayed.client.send_pattern(SIZE, finish=True),
                relayed.target.send_pattern(SIZE + 1, finish=True),
                relayed.client.verify_to_end(),
                relayed.target.verify_to_end(),
            )
            assert list(results[2:]) == [SIZE + 1, SIZE]
            assert await relayed.error() is None
            assert (relayed.relay.bytes_up, relayed.relay.bytes_down) == (SIZE, SIZE + 1)

    run(scenario())


@pytest.mark.parametrize(("inbound", "outbound"), METHODS)
def test_small_messages_arrive_one_by_one(
    run: Any, twin: Twin, inbound: str | None, outbound: str | None
) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        pairs = [codec_pair(twin.shadowsocks, method) for method in (inbound, outbound)]
        sizes = random.Random(3)
        async with Relayed(engine, *pairs) as relayed:
            for start in range(50):
                question = pattern(sizes.randint(1, 2000), start)
                answer = pattern(sizes.randint(1, 2000), start + 1000)
                await relayed.client.send(question)
                assert await relayed.target.read(len(question)) == question
                await relayed.target.send(answer)
                assert await relayed.client.read(len(answer)) == answer

    run(scenario())


def test_many_relays_share_one_engine(run: Any, twin: Twin) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())

        async def exchange(number: int) -> None:
            inbound, outbound = METHODS[number % len(METHODS)]
            pairs = [codec_pair(twin.shadowsocks, method) for method in (inbound, outbound)]
            async with Relayed(engine, *pairs, buffer=16384) as relayed:
                sent = [pattern(200_000, 1000 * number + side) for side in (1, 2)]
                sends = (relayed.client.send(sent[0]), relayed.target.send(sent[1]))
                results = await asyncio.gather(
                    relayed.client.read(200_000), relayed.target.read(200_000), *sends
                )
                assert list(results[:2]) == [sent[1], sent[0]]

        await asyncio.gather(*(exchange(number) for number in range(21)))

    run(scenario())


@pytest.mark.parametrize("first", ["client", "target"])
@pytest.mark.parametrize("method", [None, "aes-256-gcm"])
def test_one_direction_ends_and_the_other_goes_on(
    run: Any, twin: Twin, first: str, method: str | None
) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        pair = codec_pair(twin.shadowsocks, method)
        async with Relayed(engine, pair) as relayed:
            ends = [relayed.client, relayed.target]
            if first == "target":
                ends.reverse()
            earlier, later = ends
            await earlier.send(b"all I have to say")
            earlier.finish()
            assert await later.read_to_end() == b"all I have to say"
            await asyncio.gather(later.send_pattern(SIZE), earlier.verify(SIZE))
            assert not relayed.ended.done()
            later.finish()
            assert await earlier.read_to_end() == b""
            assert await relayed.error() is None
            sizes = {"client": (17, SIZE), "target": (SIZE, 17)}[first]
            assert (relayed.relay.bytes_up, relayed.relay.bytes_down) == sizes

    run(scenario())


def test_both_ends_at_once_with_a_full_queue(run: Any, twin: Twin) -> None:
    """The queue of a slow reader is delivered though both directions have ended."""

    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        async with Relayed(engine, buffer=4096) as relayed:
            sending = asyncio.ensure_future(relayed.client.send_pattern(SIZE, finish=True))
            relayed.target.finish()
            assert await relayed.client.read_to_end() == b""
            assert await relayed.target.verify_to_end() == SIZE
            await sending
            assert await relayed.error() is None

    run(scenario())


@pytest.mark.parametrize("size", [1, 1000, 2_000_000])
@pytest.mark.parametrize("side", ["client", "target"])
def test_what_set_up_left_arrives_first(run: Any, twin: Twin, side: str, size: int) -> None:
    """Also where it is larger than the send buffer, and the other side talks already."""

    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        first = {f"to_{side}": pattern(size)}
        async with Relayed(engine, buffer=8192, first=first) as relayed:
            reader, writer = relayed.client, relayed.target
            if side == "target":
                reader, writer = writer, reader
            sending = asyncio.ensure_future(writer.send_pattern(SIZE, size, finish=True))
            assert await reader.verify_to_end() == size + SIZE
            await sending

    run(scenario())


def test_both_sides_get_what_set_up_left(run: Any, twin: Twin) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        async with Relayed(
            engine, first={"to_client": b"reply", "to_target": b"request"}
        ) as relayed:
            assert await relayed.client.read(5) == b"reply"
            assert await relayed.target.read(7) == b"request"
            # Neither is payload that the relay carried.
            assert (relayed.relay.bytes_up, relayed.relay.bytes_down) == (0, 0)

    run(scenario())


def test_an_end_that_came_before_the_relay(run: Any, twin: Twin) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        async with Relayed(engine, first={"to_target": b"request"}) as relayed:
            relayed.client.finish()
            relayed.target.finish()
            assert await relayed.target.read_to_end() == b"request"
            assert await relayed.client.read_to_end() == b""
            assert await relayed.error() is None

    run(scenario())


def test_counters(run: Any, twin: Twin) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        counters = engine.counters
        assert (counters.relays, counters.active) == (0, 0)
        async with Relayed(engine) as one:
            async with Relayed(engine, codec_pair(twin.shadowsocks, "aes-128-gcm")) as two:
                assert (counters.relays, counters.active) == (2, 2)
                for relayed, size in ((one, 10), (two, 1000)):
                    await relayed.client.send(bytes(size))
                    await relayed.target.read(size)
                    await relayed.target.send(bytes(3 * size))
                    await relayed.client.read(3 * size)
            assert (counters.relays, counters.active) == (2, 1)
        assert (counters.relays, counters.active) == (2, 0)
        assert (counters.bytes_up, counters.bytes_down) == (1010, 3030)

    run(scenario())
