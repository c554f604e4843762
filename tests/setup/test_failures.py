"""Connections that never come to a relay: what the client sees and what is reported."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

import pytest

from fastsocks.errors import (
    FastsocksError,
    HandshakeTimeoutError,
    HeaderError,
    ResetError,
    TruncatedError,
)
from fastsocks.policy import ClientLimits
from relay_ends import End
from setup_ends import (
    BAD_LINE,
    Entrance,
    LineService,
    SetupTwin,
    Target,
    only_report,
    spying_codec,
)
from twins import import_twin

#: Seconds. The limits under test, which a busy machine must not reach early.
LIMIT = 0.6
#: A coarse clock may be this late when a connection is accepted.
SLACK = 0.02

JUNK = bytes(range(200)) * 5000


def test_a_refusal_reaches_a_client_that_still_sends(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        async with Entrance(twin, LineService()) as entrance:
            client = await entrance.connect(BAD_LINE)
            peer = client.socket.getsockname()
            await client.send(JUNK)
            assert await client.read_to_end() == b"failed 1\n"
            await client.send(JUNK)
            report = await only_report(entrance, client)
            assert type(report.error) is HeaderError
            assert report.peer[:2] == peer
            assert report.target is None

    run(scenario())


def test_a_refusal_does_not_wait_for_ever(
    run: Any, twin: SetupTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        ending = "_setup" if twin.implementation == "cython" else "_connection"
        module = import_twin("fastsocks.setup", ending, twin.implementation)
        monkeypatch.setattr(module, "LINGER", LIMIT)
        async with Entrance(twin, LineService(), timeout=LIMIT) as entrance:
            client = await entrance.connect(BAD_LINE)
            assert await client.read_to_end() == b"failed 1\n"
            # The client keeps its side open.
            await entrance.acceptor.wait_idle()

    run(scenario())


@pytest.mark.parametrize("junk", [b"", JUNK])
def test_a_silent_refusal_drains_to_its_deadline(
    run: Any, twin: SetupTwin, junk: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(random, "random", lambda: 0.5)
        async with Entrance(twin, LineService(silent=True), timeout=LIMIT) as entrance:
            begun = loop.time()
            client = await entrance.connect(BAD_LINE)
            report = await entrance.service.reports.get()
            assert type(report.error) is HeaderError
            await client.send(junk)
            # Neither a byte nor a reset: all that was sent has been read.
            assert await client.read_to_end() == b""
            assert loop.time() - begun > 1.5 * LIMIT - SLACK
            await entrance.acceptor.wait_idle()
            assert entrance.acceptor.failures == {"header": 1}

    run(scenario())


def test_the_end_of_a_refused_client_ends_the_drain(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        async with Entrance(twin, LineService(silent=True), timeout=1000.0) as entrance:
            for leave in (End.finish, End.reset):
                client = await entrance.connect(BAD_LINE)
                await entrance.service.reports.get()
                leave(client)
                await entrance.acceptor.wait_idle()
            assert entrance.acceptor.failures == {"header": 2}

    run(scenario())


@pytest.mark.parametrize("line", [b"", b"half a requ", BAD_LINE])
def test_each_silent_deadline_is_drawn_by_itself(
    run: Any, twin: SetupTwin, line: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a prober sends, its connection ends between `timeout` and twice that."""

    async def scenario() -> None:
        draws = [0.0, 10_000.0]
        monkeypatch.setattr(random, "random", lambda: draws.pop(0))
        async with Entrance(twin, LineService(silent=True), timeout=LIMIT) as entrance:
            early = await entrance.connect(line)
            await entrance.service.inbounds.get()
            late = await entrance.connect(line)
            await entrance.service.inbounds.get()
            assert draws == []
            assert await early.read_to_end() == b""
            with pytest.raises(BlockingIOError):
                late.socket.recv(1)
            assert entrance.acceptor.active == 1

    run(scenario())


def test_a_full_cap_does_not_tell_when_a_handshake_fails(run: Any, twin: SetupTwin) -> None:
    """What has failed counts as what has not, and a new connection is closed whatever it says."""

    async def scenario() -> None:
        service = LineService(silent=True)
        service.limits = ClientLimits(max_handshakes_per_client=3)
        async with Entrance(twin, service) as entrance:
            admitted = [await entrance.connect(said) for said in (BAD_LINE, b"", b"half")]
            for _ in admitted:
                await service.inbounds.get()
            for said in (b"", b"h", BAD_LINE):
                refused = await entrance.connect()
                with contextlib.suppress(ConnectionError):
                    await refused.send(said)
                await refused.end_error()
            # One more of the three fails only now.
            await admitted[1].send(BAD_LINE)
            assert [(await service.reports.get()).error.status for _ in range(2)] == 2 * ["header"]
            assert entrance.acceptor.failures["limit"] == 3
            for client in admitted:
                with pytest.raises(BlockingIOError):
                    client.socket.recv(1)
            assert service.limits.handshakes == 3
            admitted[0].finish()
            assert await admitted[0].read_to_end() == b""
            await entrance.connect(BAD_LINE)
            assert (await service.reports.get()).error.status == "header"

    run(scenario())


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("sent", [b"", b"half a requ"])
def test_a_handshake_timeout(run: Any, twin: SetupTwin, silent: bool, sent: bytes) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        service = LineService(silent=silent)
        async with Entrance(twin, service, timeout=LIMIT) as entrance:
            begun = loop.time()
            client = await entrance.connect(sent)
            assert await client.read_to_end() == (b"" if silent else b"failed 1\n")
            assert loop.time() - begun > LIMIT - SLACK
            report = await only_report(entrance, client)
            assert type(report.error) is HandshakeTimeoutError

    run(scenario())


def test_a_client_that_leaves_without_a_word(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        async with Entrance(twin, LineService()) as entrance:
            client = await entrance.connect()
            await entrance.service.inbounds.get()
            client.finish()
            assert await client.read_to_end() == b""
            await entrance.acceptor.wait_idle()
            # That is nobody's problem.
            assert entrance.service.reports.empty()
            assert entrance.acceptor.failures == {}

    run(scenario())


@pytest.mark.parametrize("sent", [b"", b"half a requ"])
def test_a_client_that_resets(run: Any, twin: SetupTwin, sent: bytes) -> None:
    async def scenario() -> None:
        async with Entrance(twin, LineService(greeting=b"hello")) as entrance:
            client = await entrance.connect(sent)
            await entrance.service.inbounds.get()
            if sent:
                assert await client.read(5) == b"hello"
            client.reset()
            report = await only_report(entrance)
            assert type(report.error) is ResetError

    run(scenario())


def test_a_client_that_leaves_amid_its_request(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        async with Entrance(twin, LineService()) as entrance:
            client = await entrance.connect(b"half a requ")
            client.finish()
            assert await client.read_to_end() == b"failed 1\n"
            report = await only_report(entrance, client)
            assert type(report.error) is TruncatedError

    run(scenario())


@pytest.mark.parametrize("breaking", ["client", "target"])
def test_a_relay_that_breaks_is_reported_once(run: Any, twin: SetupTwin, breaking: str) -> None:
    async def scenario() -> None:
        async with Entrance(twin, LineService()) as entrance:
            with Target() as target:
                client = await entrance.connect(target.line)
                with await target.accept() as accepted:
                    assert await client.read(10) == b"connected\n"
                    one, other = client, accepted
                    if breaking == "target":
                        one, other = other, one
                    one.reset()
                    assert await other.end_error() is ConnectionResetError
                    report = await only_report(entrance)
                    assert type(report.error) is ResetError
                    assert report.target == target.address

    run(scenario())


def test_time_limits_reach_the_relay(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        async with Entrance(twin, LineService(), idle_timeout=LIMIT) as entrance:
            with Target() as target:
                client = await entrance.connect(target.line)
                with await target.accept() as accepted:
                    assert await client.end_error() is ConnectionResetError
                    assert await accepted.end_error() is ConnectionResetError
                report: FastsocksError = (await only_report(entrance)).error
                assert report.status == "idle-timeout"

    run(scenario())


@pytest.mark.parametrize("wait", [0.0, 0.05, 1000.0])
def test_a_target_that_leaves_during_the_wait(run: Any, twin: SetupTwin, wait: float) -> None:
    """The client hears of it as of any other reset, whenever it is noticed."""

    async def scenario() -> None:
        service = LineService()
        service.new_codec = lambda: spying_codec(twin, [])
        service.payload_wait = wait
        async with Entrance(twin, service) as entrance:
            with Target() as target:
                client = await entrance.connect(target.line)
                accepted = await target.accept()
                assert await client.read(10) == b"connected\n"
                accepted.reset()
                if wait > 1:
                    await client.send(b"payload")
                assert await client.end_error() is ConnectionResetError
                report = await only_report(entrance)
                assert type(report.error) is ResetError

    run(scenario())
