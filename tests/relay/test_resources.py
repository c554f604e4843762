"""What two thousand relays leave behind: nothing."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest

from harness.memory import check_connections
from relay_ends import Relayed, Twin, codec_pair

ROUNDS = 40
AT_ONCE = 50

DESCRIPTORS = Path("/proc/self/fd")


def alive() -> dict[str, int]:
    """Count the objects of the relay modules that the collector has not got at yet."""
    counts: dict[str, int] = {}
    for thing in gc.get_objects():
        kind = type(thing)
        module = str(kind.__module__).startswith("fastsocks.relay.")
        if module and kind.__name__.endswith(("Relay", "Endpoint", "Descriptor")):
            counts[kind.__name__] = counts.get(kind.__name__, 0) + 1
    return counts


async def one_relay(engine: Any, twin: Twin, number: int) -> None:
    pair = codec_pair(twin.shadowsocks, "aes-128-gcm" if number % 2 else None)
    async with Relayed(engine, pair) as relayed:
        await relayed.client.send(b"question")
        assert await relayed.target.read(8) == b"question"
        await relayed.target.send(b"answer")
        assert await relayed.client.read(6) == b"answer"
        if number % 3 == 0:
            relayed.client.finish()
            relayed.target.finish()
            await relayed.error()
        elif number % 3 == 1:
            relayed.target.reset()


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc: Linux only")
def test_nothing_is_left(run: Any, twin: Twin) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        await one_relay(engine, twin, 0)
        # No collection: what reference counts cannot free would pile up until one comes by.
        gc.collect()
        gc.disable()
        try:
            before = len(os.listdir(DESCRIPTORS))  # noqa: PTH208
            for _ in range(ROUNDS):
                await asyncio.gather(*(one_relay(engine, twin, n) for n in range(AT_ONCE)))
            await asyncio.sleep(0)
            assert len(os.listdir(DESCRIPTORS)) == before  # noqa: PTH208
            assert alive() == {}
        finally:
            gc.enable()
        assert engine.counters.relays == ROUNDS * AT_ONCE + 1
        assert engine.counters.active == 0

    run(scenario())


async def _half_a_record(relayed: Relayed) -> None:
    record = relayed.client.codec.seal(bytes(3000))
    await asyncio.get_running_loop().sock_sendall(relayed.client.socket, record[:2000])
    relayed.client.finish()


async def _what_nobody_sealed(relayed: Relayed) -> None:
    await asyncio.get_running_loop().sock_sendall(relayed.client.socket, bytes(3000))


async def _reset_by_the_client(relayed: Relayed) -> None:
    relayed.client.reset()


async def _reset_by_the_target(relayed: Relayed) -> None:
    relayed.target.reset()


async def _clean(relayed: Relayed) -> None:
    relayed.client.finish()
    relayed.target.finish()


async def _more_than_bare(relayed: Relayed) -> None:
    await asyncio.gather(relayed.client.send(bytes(200_000)), relayed.target.read(200_000))


async def _with_a_queue(relayed: Relayed) -> None:
    await relayed.client.send(bytes(20_000))
    relayed.client.reset()


ENDINGS = (
    *(_half_a_record, _what_nobody_sealed, _reset_by_the_client, _reset_by_the_target),
    *(_clean, _more_than_bare, _with_a_queue),
)


def test_memory_is_given_back(run: Any, twin: Twin) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())

        async def once() -> None:
            for end in ENDINGS:
                pair = codec_pair(twin.shadowsocks, "2022-blake3-aes-128-gcm")
                plain = codec_pair(twin.shadowsocks, None)
                async with Relayed(engine, pair, plain, buffer=8192) as relayed:
                    await end(relayed)
                    # Of those that end by themselves; the others are left by their far ends.
                    if end not in {_more_than_bare, _with_a_queue}:
                        await relayed.error()
            async with Relayed(engine) as relayed:
                await _more_than_bare(relayed)
            async with Relayed(engine) as relayed:
                engine.abort()
                await relayed.error()
            # uvloop gives back its handles in a later turn.
            await asyncio.sleep(0)

        await check_connections(once, 100)

    run(scenario())


def test_codecs_and_engine_go_with_the_relay(run: Any, twin: Twin) -> None:
    class Codec(twin.shadowsocks.Codec):  # type: ignore[name-defined,misc]
        """One that can be referred to weakly."""

        __slots__ = ("__weakref__",)

    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        codec = Codec()
        codec.transparent = True
        gone = weakref.ref(codec)
        pair = codec_pair(twin.shadowsocks, None)._replace(client=codec)
        async with Relayed(engine, outbound=pair) as relayed:
            await relayed.client.send(b"x")
            assert await relayed.target.read(1) == b"x"
        relay = relayed.relay
        del codec, pair, relayed
        await asyncio.sleep(0)
        gc.collect()
        assert gone() is None
        # Who keeps the relay may still ask it.
        assert (relay.bytes_up, relay.bytes_down, relay.error) != (0, 0, None)

    run(scenario())
