"""A reader that stops makes the sender stop; no buffer of one relay serves another."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from typing import Any

import pytest

from fastsocks.net.tcp import SHORT_PATH_SEND_BUFFER
from harness.pattern import Verifier, pattern
from relay_ends import PLAIN, End, Relayed, Twin, codec_pair, connect

_KIB = 1024
#: Set on both sockets of each connection; the kernel doubles it.
BUFFER = 16 * _KIB
#: What four socket buffers, one read and its records can hold, with room to spare.
MOST_ON_THE_WAY = 1024 * _KIB
AFTERWARDS = 1_000_000
#: asm-generic/socket.h, since Linux 5.14.
SO_BUF_LOCK = 72
#: Bytes that two turns of the loop carry.
MOST_AT_ONE_GO = 2_200_000
#: Bytes that two socket buffers hold, with a first read of 64 KiB and one of 16 KiB.
MOST_READ_FOR_ONE_THAT_STOPS = 200 * _KIB


@pytest.mark.parametrize("method", [None, "aes-256-gcm", "2022-blake3-aes-256-gcm", "aes-256-cfb"])
@pytest.mark.parametrize("reader", ["client", "target"])
def test_a_reader_that_stops_stops_the_sender(
    run: Any, twin: Twin, reader: str, method: str | None
) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        pair = codec_pair(twin.shadowsocks, method)
        # What the relay seals piles up: the worst case, since it must be copied.
        pairs = (pair, PLAIN) if reader == "client" else (PLAIN, pair)
        async with Relayed(engine, *pairs, buffer=BUFFER) as relayed:
            slow, sender = relayed.client, relayed.target
            if reader == "target":
                slow, sender = sender, slow
            verifier = Verifier()
            for _ in range(3):
                sent = await sender.fill(verifier.size)
                assert sent < MOST_ON_THE_WAY
                await slow.verify(sent, verifier)
            sending = asyncio.ensure_future(
                sender.send_pattern(AFTERWARDS, verifier.size, finish=True)
            )
            await slow.verify(AFTERWARDS, verifier)
            assert await slow.read_to_end() == b""
            await sending

    run(scenario())


def test_a_full_direction_does_not_hold_up_the_other(run: Any, twin: Twin) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        async with Relayed(engine, buffer=BUFFER) as relayed:
            up = await relayed.client.fill()
            await asyncio.gather(
                relayed.target.send_pattern(AFTERWARDS), relayed.client.verify(AFTERWARDS)
            )
            await relayed.target.verify(up)

    run(scenario())


def test_both_directions_full_at_once(run: Any, twin: Twin) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        async with Relayed(engine, buffer=BUFFER) as relayed:
            up, down = await relayed.client.fill(), await relayed.target.fill()
            await asyncio.gather(relayed.client.verify(down), relayed.target.verify(up))
            relayed.client.finish()
            relayed.target.finish()
            assert await relayed.error() is None

    run(scenario())


def test_an_end_behind_a_full_queue(run: Any, twin: Twin) -> None:
    """The sender ends while it is not read; the reader gets all and the end."""

    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        async with Relayed(engine, buffer=BUFFER) as relayed:
            sent = await relayed.client.fill()
            relayed.client.finish()
            assert await relayed.target.verify_to_end() == sent
            await relayed.target.send(b"thank you")
            assert await relayed.client.read(9) == b"thank you"

    run(scenario())


@pytest.mark.parametrize("method", [None, "aes-256-gcm"])
def test_a_queue_is_not_the_buffer_of_the_engine(run: Any, twin: Twin, method: str | None) -> None:
    """What waits for a slow reader stays what it was while other relays use the buffers."""

    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())

        def pair() -> Any:
            return codec_pair(twin.shadowsocks, method)

        async with (
            Relayed(engine, pair(), buffer=BUFFER) as downwards,
            Relayed(engine, PLAIN, pair(), buffer=BUFFER) as upwards,
            Relayed(engine, pair()) as other,
        ):
            down, up = await downwards.target.fill(), await upwards.client.fill()
            noise = bytes([0xA5]) * 2_000_000
            for sender, reader in ((other.client, other.target), (other.target, other.client)):
                sending = asyncio.ensure_future(sender.send(noise))
                assert await reader.read(len(noise)) == noise
                await sending
            await downwards.client.verify(down)
            await upwards.target.verify(up)

    run(scenario())


def test_bytes_left_by_set_up_hold_back_the_other_side(run: Any, twin: Twin) -> None:
    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        left = bytes(2_000_000)
        for side in ("client", "target"):
            async with Relayed(engine, buffer=BUFFER, first={f"to_{side}": left}) as relayed:
                slow, sender = relayed.client, relayed.target
                if side == "target":
                    slow, sender = sender, slow
                sent = await sender.fill()
                assert sent < MOST_ON_THE_WAY
                received = 0
                while received < len(left):
                    data = await slow.receive_raw(len(left) - received)
                    assert data == bytes(len(data))
                    received += len(data)
                await slow.verify(sent)

    run(scenario())


@pytest.mark.parametrize("method", [None, "aes-256-gcm"])
def test_a_fast_sender_leaves_the_others_their_turn(
    run: Any, twin: Twin, method: str | None
) -> None:
    """What waits for a relay is not carried at one go while another waits."""

    async def scenario() -> None:
        engine = twin.engine(asyncio.get_running_loop())
        async with (
            Relayed(engine, outbound=codec_pair(twin.shadowsocks, method)) as busy,
            Relayed(engine) as other,
        ):
            verifier = Verifier()
            for relayed in (busy, other):  # both have got beyond their beginning
                await asyncio.gather(
                    relayed.client.send_pattern(AFTERWARDS), relayed.target.verify(AFTERWARDS)
                )
            verifier.size = AFTERWARDS
            waiting = fill_at_once(busy.client, AFTERWARDS)
            assert waiting > MOST_AT_ONE_GO + 500_000, "too little to show anything"
            before = engine.counters.bytes_up
            other.client.socket.send(b"?")
            assert await other.target.read(1) == b"?"
            assert engine.counters.bytes_up - before < MOST_AT_ONE_GO
            await busy.target.verify(waiting, verifier)

    run(scenario())


@pytest.mark.parametrize("method", [None, "aes-256-gcm"])
def test_bulk_over_a_short_path_has_a_bounded_send_buffer(
    run: Any, twin: Twin, method: str | None
) -> None:
    """A buffer that somebody has set stays as it is."""

    async def scenario() -> None:
        pair = codec_pair(twin.shadowsocks, method)
        engine = twin.engine(asyncio.get_running_loop())
        near_client, far_client = connect()
        near_target, far_target = connect(BUFFER)
        ended = asyncio.get_running_loop().create_future()
        with near_client.dup() as tuned, near_target.dup() as fixed:
            if not bound_is_known(tuned):
                pytest.skip("this kernel does not tell whether a buffer has been set")
            engine.start(near_client, None, near_target, pair.client, ended.set_result)
            with far_client, far_target:
                client, target = End(far_client), End(far_target, pair.server)
                await asyncio.gather(client.send_pattern(AFTERWARDS), target.verify(AFTERWARDS))
                # The kernel doubles what it is told.
                assert send_buffer(tuned) == 2 * SHORT_PATH_SEND_BUFFER
                assert send_buffer(fixed) == 2 * BUFFER
        await ended

    run(scenario())


def test_little_is_kept_for_a_receiver_that_stops(run: Any, twin: Twin) -> None:
    """Whatever waits in the kernel to be read, no more is read than the other end takes."""

    async def scenario() -> None:
        pair = codec_pair(twin.shadowsocks, "aes-256-gcm")
        engine = twin.engine(asyncio.get_running_loop())
        near_client, far_client = connect(BUFFER)
        near_target, far_target = connect()
        ended = asyncio.get_running_loop().create_future()
        engine.start(near_client, pair.server, near_target, None, ended.set_result)
        with far_client, far_target:
            waiting = fill_at_once(End(far_target), 0)
            assert waiting > 2 * MOST_READ_FOR_ONE_THAT_STOPS, "too little to show anything"
            await End(far_target).fill(waiting)
            assert engine.counters.bytes_down < MOST_READ_FOR_ONE_THAT_STOPS
        await ended

    run(scenario())


def send_buffer(sock: socket.socket) -> int:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)


def bound_is_known(sock: socket.socket) -> bool:
    try:
        sock.getsockopt(socket.SOL_SOCKET, SO_BUF_LOCK)
    except OSError:
        return False
    return sys.platform == "linux"


def fill_at_once(end: End, start: int) -> int:
    """Send the pattern from `start` on, without a turn of the loop, until no more is taken."""
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += end.socket.send(pattern(65536, start + sent))
    return sent
