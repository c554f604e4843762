"""An end that is not clean on one side is not clean on the other either."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from typing import Any

import pytest

from fastsocks.errors import (
    HeaderError,
    ProtocolError,
    ReplayError,
    ResetError,
    StoppedError,
    TagError,
    TruncatedError,
)
from harness.pattern import pattern
from relay_ends import CodecPair, End, Relayed, Twin, codec_pair

RESET = ConnectionResetError


def ends(relayed: Relayed, first: str) -> tuple[End, End]:
    """Return both ends, the one called `first` first."""
    pair = (relayed.client, relayed.target)
    return pair if first == "client" else (pair[1], pair[0])


async def assert_both_reset(relayed: Relayed) -> None:
    for end in (relayed.client, relayed.target):
        assert await end.end_error() is RESET


async def assert_both_told(relayed: Relayed, at_fault: str) -> None:
    """A client of a server whose own bytes are at fault sees an end, and not one byte more."""
    if at_fault == "client":
        assert await relayed.client.receive_raw() == b""
    else:
        assert await relayed.client.end_error() is RESET
    assert await relayed.target.end_error() is RESET


async def assert_cut(client: End) -> None:
    """The answer ends, but inside a record: who has the key does not take it for whole."""
    while data := await client.receive_raw():
        assert client.codec.open(data) == b""
    assert client.codec.incomplete


@pytest.mark.parametrize("breaking", ["client", "target"])
@pytest.mark.parametrize("method", [None, "aes-256-gcm", "aes-256-cfb", "none"])
def test_a_reset_is_passed_on(run: Any, twin: Twin, breaking: str, method: str | None) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        async with Relayed(engine, codec_pair(twin.shadowsocks, method)) as relayed:
            one, other = ends(relayed, breaking)
            await one.send(b"half of it")
            assert await other.read(10) == b"half of it"
            one.reset()
            if method == "aes-256-gcm" and breaking == "target":
                await assert_cut(relayed.client)
            else:
                assert await other.end_error() is RESET
            assert isinstance(await relayed.error(), ResetError)
        assert engine.counters.active == 0

    run(scenario())


@pytest.mark.parametrize("method", ["aes-256-gcm", "2022-blake3-aes-128-gcm"])
@pytest.mark.parametrize("sent", [b"", b"half of it", bytes(200_000)])
def test_a_client_of_a_server_is_told_of_a_break_by_a_cut(
    run: Any, twin: Twin, method: str, sent: bytes
) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        async with Relayed(engine, codec_pair(twin.shadowsocks, method)) as relayed:
            await relayed.target.send(sent)
            assert await relayed.client.read(len(sent)) == sent
            relayed.target.reset()
            await assert_cut(relayed.client)
            assert isinstance(await relayed.error(), ResetError)
        assert engine.counters.active == 0

    run(scenario())


@pytest.mark.parametrize("method", ["aes-256-gcm", "2022-blake3-aes-128-gcm"])
def test_an_answer_that_has_ended_is_whole(run: Any, twin: Twin, method: str) -> None:
    """Whatever becomes of the other direction."""

    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        async with Relayed(engine, codec_pair(twin.shadowsocks, method)) as relayed:
            await relayed.target.send(b"all of it")
            relayed.target.finish()
            assert await relayed.client.read_to_end() == b"all of it"
            relayed.target.reset()
            with contextlib.suppress(ConnectionError):
                await relayed.client.send_pattern(5_000_000)
            assert isinstance(await relayed.error(), ResetError)

    run(scenario())


def test_a_client_that_does_not_take_the_rest(run: Any, twin: Twin) -> None:
    """Its end is queued behind what it does not read: that is kept for a while only."""

    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop(), half_open_timeout=0.4)
        async with Relayed(
            engine, codec_pair(twin.shadowsocks, "aes-256-gcm"), buffer=8192
        ) as relayed:
            await relayed.target.fill()
            relayed.client.codec = None
            await relayed.client.send(bytes(100))
            assert type(await relayed.error()) is TagError
            assert await relayed.client.end_error() is RESET

    run(scenario())


@pytest.mark.parametrize("breaking", ["client", "target"])
def test_a_reset_after_the_other_direction_ended(run: Any, twin: Twin, breaking: str) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        async with Relayed(engine) as relayed:
            one, other = ends(relayed, breaking)
            other.finish()
            assert await one.read_to_end() == b""
            one.reset()
            assert await other.end_error() is RESET
            assert isinstance(await relayed.error(), ResetError)

    run(scenario())


@pytest.mark.parametrize("breaking", ["client", "target"])
def test_a_reset_of_who_had_ended_its_own_direction(run: Any, twin: Twin, breaking: str) -> None:
    """It shows when something is sent there; the sender must hear of it."""

    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        async with Relayed(engine) as relayed:
            one, other = ends(relayed, breaking)
            one.finish()
            assert await other.read_to_end() == b""
            one.reset()
            with contextlib.suppress(ConnectionError):
                await other.send_pattern(5_000_000)
            # After an end of stream the kernel says EPIPE where it said ECONNRESET before.
            assert await other.hung_up() in (0, errno.EPIPE)
            assert isinstance(await relayed.error(), ResetError)

    run(scenario())


@pytest.mark.parametrize("breaking", ["client", "target"])
def test_a_reset_of_the_reader_with_a_full_queue(run: Any, twin: Twin, breaking: str) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        async with Relayed(engine, buffer=8192) as relayed:
            reader, writer = ends(relayed, breaking)
            await writer.fill()
            reader.reset()
            assert await writer.end_error() is RESET
            assert isinstance(await relayed.error(), ResetError)

    run(scenario())


@pytest.mark.parametrize("breaking", ["client", "target"])
def test_a_reset_of_the_writer_with_a_full_queue(run: Any, twin: Twin, breaking: str) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        async with Relayed(engine, buffer=8192) as relayed:
            writer, reader = ends(relayed, breaking)
            sent = await writer.fill()
            writer.reset()
            received = bytearray()
            with pytest.raises(ConnectionResetError):
                await reader.read_to_end(received)
            assert pattern(sent).startswith(received)
            assert isinstance(await relayed.error(), ResetError)

    run(scenario())


@pytest.mark.parametrize("method", ["aes-256-gcm", "2022-blake3-aes-256-gcm"])
@pytest.mark.parametrize("side", ["client", "target"])
def test_a_tag_that_fails_after_data(run: Any, twin: Twin, side: str, method: str) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        pairs = {"in": CodecPair(None, None), "out": CodecPair(None, None)}
        pairs["in" if side == "client" else "out"] = codec_pair(twin.shadowsocks, method)
        async with Relayed(engine, pairs["in"], pairs["out"]) as relayed:
            one, other = ends(relayed, side)
            await one.send(b"genuine")
            assert await other.read(7) == b"genuine"
            forged = bytearray(one.codec.seal(b"forged"))
            forged[-1] ^= 1
            one.codec = None
            await one.send(bytes(forged))
            await assert_both_told(relayed, side)
            assert type(await relayed.error()) is TagError

    run(scenario())


@pytest.mark.parametrize("side", ["client", "target"])
@pytest.mark.parametrize("missing", [1, 17, 23])
def test_a_stream_that_ends_inside_a_record(run: Any, twin: Twin, side: str, missing: int) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        pairs = {"in": CodecPair(None, None), "out": CodecPair(None, None)}
        pairs["in" if side == "client" else "out"] = codec_pair(twin.shadowsocks, "aes-128-gcm")
        async with Relayed(engine, pairs["in"], pairs["out"]) as relayed:
            one, other = ends(relayed, side)
            await one.send(b"whole")
            assert await other.read(5) == b"whole"
            record = bytes(one.codec.seal(b"a cut one"))
            one.codec = None
            await one.send(record[:-missing])
            one.finish()
            await assert_both_told(relayed, side)
            assert type(await relayed.error()) is TruncatedError

    run(scenario())


@pytest.mark.parametrize("method", ["aes-256-gcm", "aes-256-cfb", "2022-blake3-aes-128-gcm"])
def test_an_answer_that_ends_inside_its_salt(run: Any, twin: Twin, method: str) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        pair = codec_pair(twin.shadowsocks, method)
        async with Relayed(engine, outbound=pair) as relayed:
            answer = relayed.target.codec.seal(b"answer")
            relayed.target.codec = None
            await relayed.target.send(bytes(answer[:9]))
            relayed.target.finish()
            await assert_both_reset(relayed)
            assert type(await relayed.error()) is TruncatedError

    run(scenario())


def test_an_answer_that_does_not_begin_well(run: Any, twin: Twin) -> None:
    """The errors of the codec's begin end the relay like those of its records."""

    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        errors: list[type[ProtocolError]] = [TagError, ReplayError, HeaderError]
        pairs = [
            codec_pair(twin.shadowsocks, method)
            for method in ("2022-blake3-aes-128-gcm", "aes-256-gcm", "aes-256-gcm")
        ]
        # No begin of its own: nothing may be received.
        pairs[2] = CodecPair(twin.shadowsocks.Codec(), None)
        answers = [bytes(200), pairs[1].client._salt, b"anything"]
        for error, pair, answer in zip(errors, pairs, answers, strict=True):
            async with Relayed(engine, outbound=pair) as relayed:
                relayed.target.codec = None
                await relayed.target.send(answer)
                await assert_both_reset(relayed)
                assert type(await relayed.error()) is error

    run(scenario())


@pytest.mark.parametrize("direction", ["begin", "opening"])
def test_a_fault_in_a_codec_ends_only_its_relay(run: Any, twin: Twin, direction: str) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        faults: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: faults.append(context))
        engine = twin.engine(loop)
        shadowsocks = twin.shadowsocks

        def fault(_: object) -> None:
            raise ZeroDivisionError("a fault of ours")

        codec: Any
        if direction == "begin":
            codec = type("Faulty", (shadowsocks.Codec,), {"begin": lambda *_: fault(0)})()
        else:
            codec = shadowsocks.Codec()
            codec.sealer = shadowsocks.session_ciphers.record_sealer(
                shadowsocks.METHODS["aes-128-gcm"],
                shadowsocks.session_ciphers.session_aead(
                    shadowsocks.METHODS["aes-128-gcm"], bytes(16), bytes(16)
                ),
                opening=fault,
            )
        async with Relayed(engine) as healthy:
            async with Relayed(engine, outbound=CodecPair(codec, None)) as relayed:
                sender = relayed.target if direction == "begin" else relayed.client
                await sender.send(b"anything")
                await assert_both_reset(relayed)
                error = await relayed.error()
                assert type(error) is ResetError
                assert isinstance(error.__cause__, ZeroDivisionError)
            await healthy.client.send(b"still here")
            assert await healthy.target.read(10) == b"still here"
        assert [type(context["exception"]) for context in faults] == [ZeroDivisionError]

    run(scenario())


def test_abort_resets_every_relay(run: Any, twin: Twin) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        async with contextlib.AsyncExitStack() as stack:
            relays = [
                await stack.enter_async_context(Relayed(engine, buffer=8192)) for _ in range(3)
            ]
            fresh, half_open, full = relays
            half_open.client.finish()
            assert await half_open.target.read_to_end() == b""
            await full.client.fill()
            engine.abort()
            await assert_both_reset(fresh)
            assert await half_open.client.end_error() is RESET
            assert await half_open.target.hung_up() == errno.EPIPE
            await assert_both_reset(full)
            for relayed in relays:
                assert type(await relayed.error()) is StoppedError
            assert engine.counters.active == 0

    run(scenario())


def test_abort_before_the_first_turn_of_the_loop(run: Any, twin: Twin) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        async with Relayed(engine, first={"to_client": b"x", "to_target": b"y"}) as relayed:
            engine.abort()
            await assert_both_reset(relayed)
            assert type(await relayed.error()) is StoppedError

    run(scenario())


@pytest.mark.parametrize("which", ["client", "target"])
def test_a_reset_before_the_relay(run: Any, twin: Twin, which: str) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        async with Relayed(engine, first={"to_client": b"x", "to_target": b"y"}) as relayed:
            one, other = ends(relayed, which)
            one.reset()
            assert await other.end_error() is RESET
            assert isinstance(await relayed.error(), ResetError)

    run(scenario())


@pytest.mark.parametrize("which", [(0,), (1,), (0, 1)])
def test_a_socket_that_cannot_be_attached(run: Any, twin: Twin, which: tuple[int, ...]) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        refused = [False, False]
        for place in which:
            refused[place] = True

        class Loop:
            """The running loop, which refuses some sockets."""

            def __getattr__(self, name: str) -> Any:
                return getattr(loop, name)

            async def connect_accepted_socket(self, factory: Any, sock: Any) -> Any:
                if refused.pop(0):
                    raise OSError(errno.ENOMEM, "no memory")
                return await loop.connect_accepted_socket(factory, sock)

        engine = twin.engine(Loop())
        # What set-up left has a relay attached from the start.
        async with Relayed(engine, first={"to_client": b"x"}) as relayed:
            assert isinstance(await relayed.error(), ResetError)
            await assert_both_reset(relayed)
        assert engine.counters.active == 0

    run(scenario())
