"""The stage of a relay before its transports, and the passage to them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
from collections.abc import Callable
from typing import Any

import pytest

from fastsocks.errors import ResetError, StoppedError
from harness.pattern import pattern
from relay_ends import CodecPair, End, Relayed, Twin, codec_pair, import_relay

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="relays begin without transports on Linux only"
)

#: Bytes of payload that a relay carries without transports.
BRIEF_SIZE = 64 * 1024
MORE = 1_000_000


@pytest.fixture
def twin() -> Twin:
    """The engine whose relays begin without transports, and all get them in the end."""
    bare = import_relay("cython", bare=True)
    return bare._replace(engine=functools.partial(bare.engine, splice=False))


def count_attached() -> list[Any]:
    """Return a list that grows by what the running loop is asked to attach."""
    loop: Any = asyncio.get_running_loop()
    attached: list[Any] = []
    attach = loop.connect_accepted_socket

    def counted(protocol: Any, sock: Any) -> Any:
        attached.append(protocol)
        return attach(protocol, sock)

    loop.connect_accepted_socket = counted
    return attached


class Hooked:
    """An engine that calls `hook` from within its call of what a relay's end is told to."""

    def __init__(self, engine: Any, hook: Callable[[], object]) -> None:
        self._engine = engine
        self._hook = hook

    def start(self, *given: Any, **first: bytes) -> Any:
        *ends_and_codecs, ended = given

        def call_both(relay: Any) -> None:
            ended(relay)
            self._hook()

        return self._engine.start(*ends_and_codecs, call_both, **first)


def codecs(twin: Twin, side: str, method: str | None) -> tuple[CodecPair, CodecPair]:
    """Return a pair for `side`, and plain bytes for the other."""
    plain, pair = CodecPair(None, None), codec_pair(twin.shadowsocks, method)
    return (pair, plain) if side == "client" else (plain, pair)


def ends(relayed: Relayed, first: str) -> tuple[End, End]:
    """Return both ends, the one called `first` first."""
    pair = (relayed.client, relayed.target)
    return pair if first == "client" else (pair[1], pair[0])


@pytest.mark.parametrize("first", ["client", "target"])
@pytest.mark.parametrize("method", [None, "aes-256-gcm", "2022-blake3-aes-128-gcm"])
def test_a_short_exchange_needs_no_transport(
    run: Any, twin: Twin, first: str, method: str | None
) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        attached = count_attached()
        async with Relayed(engine, codec_pair(twin.shadowsocks, method)) as relayed:
            one, other = ends(relayed, first)
            for _ in range(3):
                await relayed.client.send(b"question")
                assert await relayed.target.read(8) == b"question"
                await relayed.target.send(b"the answer")
                assert await relayed.client.read(10) == b"the answer"
            one.finish()
            assert await other.read_to_end() == b""
            await other.send(b"goodbye")
            assert await one.read(7) == b"goodbye"
            other.finish()
            assert await one.read_to_end() == b""
            assert await relayed.error() is None
        assert attached == []
        assert engine.counters.active == 0

    run(scenario())


@pytest.mark.parametrize("side", ["client", "target"])
@pytest.mark.parametrize("more", [0, 1])
def test_the_size_that_needs_transports(run: Any, twin: Twin, side: str, more: int) -> None:
    async def scenario() -> None:
        attached = count_attached()
        async with Relayed(twin.engine(asyncio.get_running_loop())) as relayed:
            one, other = ends(relayed, side)
            await asyncio.gather(one.send_pattern(BRIEF_SIZE - 1000), other.verify(64536))
            await other.send(bytes(1000 + more))
            assert await one.read(1000 + more) == bytes(1000 + more)
            assert len(attached) == (2 if more else 0)
            # Whatever drives it: it goes on.
            await asyncio.gather(other.send_pattern(MORE), one.verify(MORE))
            await asyncio.gather(one.send_pattern(MORE), other.verify(MORE))
            assert len(attached) == 2

    run(scenario())


@pytest.mark.parametrize("method", [None, "aes-256-gcm"])
@pytest.mark.parametrize("side", ["client", "target"])
def test_both_sides_send_while_it_is_attached(
    run: Any, twin: Twin, side: str, method: str | None
) -> None:
    """What waits in the kernel, ends of streams included, comes after what was carried."""

    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        attached = count_attached()
        async with Relayed(engine, *codecs(twin, side, method)) as relayed:
            # Both have more on the way than the first stage carries before anybody reads.
            sizes = await asyncio.gather(
                relayed.client.send_pattern(MORE, finish=True),
                relayed.target.send_pattern(MORE, finish=True),
                relayed.client.verify_to_end(),
                relayed.target.verify_to_end(),
            )
            assert list(sizes[2:]) == [MORE, MORE]
            assert await relayed.error() is None
            assert (relayed.relay.bytes_up, relayed.relay.bytes_down) == (MORE, MORE)
        assert len(attached) == 2

    run(scenario())


@pytest.mark.parametrize("method", [None, "aes-256-gcm"])
@pytest.mark.parametrize("reader", ["client", "target"])
def test_what_a_reader_does_not_take_comes_in_order(
    run: Any, twin: Twin, reader: str, method: str | None
) -> None:
    """A send that comes short has the relay attached; the rest waits its turn."""

    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        attached = count_attached()
        async with Relayed(engine, *codecs(twin, reader, method), buffer=2048) as relayed:
            slow, sender = ends(relayed, reader)
            sending = asyncio.ensure_future(sender.send_pattern(60_000, finish=True))
            while not attached:
                await asyncio.sleep(0)
            assert relayed.relay.bytes_up + relayed.relay.bytes_down <= BRIEF_SIZE
            assert await slow.verify_to_end() == 60_000
            await sending
            slow.finish()
            assert await relayed.error() is None

    run(scenario())


@pytest.mark.parametrize("size", [1, BRIEF_SIZE, BRIEF_SIZE + 1, 3 * BRIEF_SIZE])
@pytest.mark.parametrize("first", ["client", "target"])
def test_an_end_together_with_the_last_bytes(run: Any, twin: Twin, first: str, size: int) -> None:
    async def scenario() -> None:
        async with Relayed(twin.engine(asyncio.get_running_loop())) as relayed:
            one, other = ends(relayed, first)
            one.socket.setblocking(True)  # all of it is there before the relay has its turn
            one.socket.sendall(pattern(size))
            one.finish()
            one.socket.setblocking(False)
            assert await other.verify_to_end() == size
            await asyncio.gather(other.send_pattern(MORE, finish=True), one.verify(MORE))
            assert await one.read_to_end() == b""
            assert await relayed.error() is None

    run(scenario())


@pytest.mark.parametrize("first", ["client", "target"])
def test_an_end_long_before_it_is_attached(run: Any, twin: Twin, first: str) -> None:
    """The transport meets the end that was passed on before: once is enough."""

    async def scenario() -> None:
        attached = count_attached()
        async with Relayed(twin.engine(asyncio.get_running_loop())) as relayed:
            one, other = ends(relayed, first)
            one.finish()
            assert await other.read_to_end() == b""
            assert attached == []
            await asyncio.gather(other.send_pattern(MORE), one.verify(MORE))
            assert len(attached) == 2
            assert not relayed.ended.done()
            other.finish()
            assert await one.read_to_end() == b""
            assert await relayed.error() is None

    run(scenario())


@pytest.mark.parametrize("breaking", ["client", "target"])
def test_a_reset_after_an_end_is_noticed_at_once(run: Any, twin: Twin, breaking: str) -> None:
    async def scenario() -> None:
        async with Relayed(twin.engine(asyncio.get_running_loop())) as relayed:
            one, other = ends(relayed, breaking)
            one.finish()
            assert await other.read_to_end() == b""
            one.reset()
            assert isinstance(await relayed.error(), ResetError)

    run(scenario())


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_abort_while_it_is_attached(run: Any, twin: Twin, turns: int) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        attached = count_attached()
        async with Relayed(engine) as relayed:
            sending = asyncio.ensure_future(relayed.client.send_pattern(MORE))
            while not attached:
                await asyncio.sleep(0)
            for _ in range(turns):
                await asyncio.sleep(0)
            engine.abort()
            assert await relayed.target.end_error() is ConnectionResetError
            assert type(await relayed.error()) is StoppedError
            with contextlib.suppress(ConnectionError):
                await sending
        assert engine.counters.active == 0

    run(scenario())


@pytest.mark.parametrize("way", ["reset", "finish"])
def test_an_end_that_ends_the_others(run: Any, twin: Twin, way: str) -> None:
    """Among the events of one turn are some of relays that an earlier one has closed."""

    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        relays = [Relayed(Hooked(engine, engine.abort)) for _ in range(8)]
        for relayed in relays:
            await relayed.client.send(b"question")
            assert await relayed.target.read(8) == b"question"
        # All become ready while the loop does not look.
        for relayed in relays:
            for end in (relayed.client, relayed.target):
                end.reset() if way == "reset" else end.finish()
        async with asyncio.timeout(10):
            for relayed in relays:
                await relayed.error()
        assert engine.counters.active == 0
        for relayed in relays:
            relayed.client.socket.close()
            relayed.target.socket.close()

    run(scenario())


def test_a_relay_begun_where_another_ended(run: Any, twin: Twin) -> None:
    """It takes the place of the other at once; what was told of that one is not for it."""

    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        successors: list[Relayed] = []
        hooked = Hooked(engine, lambda: successors.append(Relayed(engine)))
        relays = [Relayed(hooked) for _ in range(4)]
        for relayed in relays:
            relayed.client.finish()
            relayed.target.finish()
        for relayed in relays:
            async with relayed:
                assert await relayed.error() is None
        assert len(successors) == len(relays)
        for relayed in successors:
            async with relayed:
                await relayed.client.send(b"hello")
                assert await relayed.target.read(5) == b"hello"

    run(scenario())
