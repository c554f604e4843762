"""How connection set-up ends, or goes on: abort, no more listening, no more descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import resource
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.listener import silent_address
from setup_ends import (
    BAD_LINE,
    Entrance,
    LineService,
    SetupTwin,
    Target,
    spying_codec,
    still_serves,
)

RESET = ConnectionResetError

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc: Linux only")


def test_abort_in_every_state(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        service = LineService()
        dialing: asyncio.Future[Any] = loop.create_future()
        with silent_address() as (host, port), Target() as target:
            async with Entrance(twin, service) as entrance:
                entrance.dialer.names["name.test"] = lambda: dialing
                relayed = await entrance.connect(target.line)
                accepted = await target.accept()
                assert await relayed.read(10) == b"connected\n"
                service.new_codec = lambda: spying_codec(twin, [])
                service.payload_wait = 1000.0
                waiting = await entrance.connect(target.line)
                waited_for = await target.accept()
                assert await waiting.read(10) == b"connected\n"
                lines = [b"", b"half a requ", b"name.test 80\n", f"{host} {port}\n".encode()]
                others = [await entrance.connect(line) for line in lines]
                draining = await entrance.connect(BAD_LINE)
                assert await draining.read_to_end() == b"failed 1\n"
                for _ in range(4):
                    await service.routed.get()
                while not service.inbounds.empty():
                    service.inbounds.get_nowait()
                assert entrance.acceptor.active == 7

                entrance.acceptor.abort()
                await entrance.acceptor.wait_idle()
                assert entrance.acceptor.active == 0
                for end in (relayed, accepted, waiting, waited_for, *others):
                    assert await end.end_error() is RESET
                # The end of its stream came with the refusal.
                assert await draining.hung_up() == errno.EPIPE
                for _ in range(3):
                    await asyncio.sleep(0)
                assert dialing.cancelled()
                # Only the relay and the refusal are anybody's failure.
                assert entrance.acceptor.failures == {"header": 1, "stopped": 1}

                # It goes on after that.
                service.new_codec = lambda: None
                await still_serves(entrance)

    run(scenario())


def test_a_dial_that_ends_after_abort(run: Any, twin: SetupTwin) -> None:
    """The socket that it brings is closed."""
    if twin.implementation == "python":
        pytest.skip("the dial is part of the coroutine that is cancelled")

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        async with Entrance(twin, LineService()) as entrance:
            with Target() as target:
                dialed = asyncio.Event()

                async def dial() -> socket.socket:
                    sock = await target.dial()
                    dialed.set()
                    with contextlib.suppress(asyncio.CancelledError):
                        await loop.create_future()
                    # As if the connection had won the race against the end.
                    return sock

                entrance.dialer.names["name.test"] = dial
                client = await entrance.connect(b"name.test 80\n")
                with await target.accept() as accepted:
                    await dialed.wait()
                    entrance.acceptor.abort()
                    assert await client.end_error() is RESET
                    assert await accepted.end_error() in (None, RESET)

    run(scenario())


def test_stop_listening_lets_connections_go_on(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        async with Entrance(twin, LineService()) as entrance:
            await entrance.acceptor.wait_idle()
            with Target() as target:
                relayed = await entrance.connect(target.line)
                accepted = await target.accept()
                half = await entrance.connect(target.line[:3])
                for _ in range(2):
                    await entrance.service.inbounds.get()
                entrance.acceptor.stop_listening()
                entrance.acceptor.stop_listening()
                idle = asyncio.ensure_future(entrance.acceptor.wait_idle())
                with pytest.raises(ConnectionRefusedError):
                    await entrance.connect()
                assert await relayed.read(10) == b"connected\n"
                await half.send(target.line[3:])
                later = await target.accept()
                assert await half.read(10) == b"connected\n"
                for client, end in ((relayed, accepted), (half, later)):
                    assert not idle.done()
                    with end:
                        await client.send(b"go on")
                        assert await end.read(5) == b"go on"
                        client.finish()
                        end.finish()
                        assert await client.read_to_end() == b""
                await idle

    run(scenario())


def test_listening_again(run: Any, twin: SetupTwin) -> None:
    """Nothing is in the way of a new listening socket after all was over."""

    async def scenario() -> None:
        async with Entrance(twin, LineService()) as entrance:
            await still_serves(entrance)
            entrance.acceptor.stop_listening()
            await entrance.acceptor.wait_idle()
            await asyncio.sleep(0)
            async with Entrance(twin, entrance.service) as other:
                entrance.acceptor.listen(other.socket.dup())
                other.acceptor.stop_listening()
                entrance._address = other._address
                await still_serves(entrance)

    run(scenario())


class _Signal(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.came = asyncio.Event()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self.came.set()


@linux_only
def test_accepting_goes_on_after_the_descriptors_ran_out(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = LineService()
        signal = _Signal()
        log = logging.getLogger("fastsocks")
        entrance = Entrance(twin, service)
        clients = [await entrance.connect() for _ in range(8)]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        log.addHandler(signal)
        try:
            async with entrance:
                # Room for three more.
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit_for(3), hard))
                await signal.came.wait()
                assert entrance.acceptor.accepted == 3
                assert "Too many open files" in signal.lines[0]
                # What is open is served meanwhile, and what it frees is used.
                for client in clients[:3]:
                    await client.send(BAD_LINE)
                    assert await client.read_to_end() == b"failed 1\n"
                    client.reset()
                for _ in range(6):
                    await service.inbounds.get()
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                for _ in range(2):
                    await service.inbounds.get()
                assert entrance.acceptor.accepted == 8
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            log.removeHandler(signal)

    run(scenario())


def limit_for(more: int) -> int:
    """Return the RLIMIT_NOFILE that leaves `more` descriptors."""
    used = {int(path.name) for path in Path("/proc/self/fd").iterdir()}
    limit = free = 0
    while free < more:
        free += not is_open(limit, used)
        limit += 1
    return limit


def is_open(descriptor: int, used: set[int]) -> bool:
    # The folder that listed them is closed again.
    if descriptor not in used:
        return False
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
