"""Connection set-up while the inbound waits for something else than its client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fastsocks.errors import AuthenticationError, PolicyError
from fastsocks.request import Request
from fastsocks.setup.roles import Accepted
from setup_ends import Entrance, LineInbound, LineService, SetupTwin, Target, still_serves

RESET = ConnectionResetError


class WaitingInbound(LineInbound):
    """Takes a word of two bytes, waits, and expects the line of a LineInbound then."""

    def __init__(self, service: WaitingService) -> None:
        super().__init__(service)
        self._waiting = service
        self._rounds = service.rounds
        self._said = b""

    def receive(self, data: bytes) -> Request | None:
        if not self._rounds:
            return super().receive(data)
        self._said += b"wait\n"
        self.pending = self._waiting.wrap(self._go_on(data[2:]))
        return None

    async def _go_on(self, data: bytes) -> Request | None:
        self._waiting.waits.put_nowait(self)
        try:
            await self._waiting.verdict
        except asyncio.CancelledError:
            self._waiting.cancelled += 1
            raise
        self.pending = None
        self._rounds -= 1
        self._said += b"go on\n"
        return self.receive(data) if data else None

    def take_outgoing(self) -> bytes:
        said, self._said = self._said, b""
        return super().take_outgoing() + said


class WaitingService(LineService):
    """Its inbounds wait for `verdict`.

    :param wrap: makes an awaitable of the coroutine.
    """

    def __init__(self, wrap: Callable[[Any], Awaitable[Any]] = lambda coroutine: coroutine) -> None:
        super().__init__()
        self.wrap = wrap
        self.verdict: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.rounds = 1
        self.waits: asyncio.Queue[WaitingInbound] = asyncio.Queue()
        self.cancelled = 0

    def inbound(self, accepted: Accepted) -> LineInbound:
        return WaitingInbound(self)


@pytest.mark.parametrize("ahead", [True, False])
@pytest.mark.parametrize("wrap", [lambda coroutine: coroutine, asyncio.ensure_future])
def test_the_request_comes_after_the_wait(
    run: Any, twin: SetupTwin, ahead: bool, wrap: Callable[[Any], Awaitable[Any]]
) -> None:
    async def scenario() -> None:
        service = WaitingService(wrap)
        with Target() as target:
            async with Entrance(twin, service) as entrance:
                client = await entrance.connect(b"ab" + target.line * ahead + b"early" * ahead)
                assert await client.read(5) == b"wait\n"
                await service.waits.get()
                assert entrance.acceptor.active == 1
                service.verdict.set_result(None)
                if not ahead:
                    assert await client.read(6) == b"go on\n"
                    await client.send(target.line + b"early")
                answers = b"go on\n" * ahead + b"connected\n"
                assert await client.read(len(answers)) == answers
                with await target.accept() as accepted:
                    assert await accepted.read(5) == b"early"
                    accepted.finish()
                    client.finish()
                    assert await client.read_to_end() == b""

    run(scenario())


def test_the_client_is_not_read_meanwhile(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = WaitingService()
        with Target() as target:
            async with Entrance(twin, service) as entrance:
                client = await entrance.connect(b"ab")
                assert await client.read(5) == b"wait\n"
                # It would be another word to wait for.
                await client.send(target.line)
                await client.send(b"early")
                service.verdict.set_result(None)
                assert await client.read(16) == b"go on\nconnected\n"
                with await target.accept() as accepted:
                    assert await accepted.read(5) == b"early"

    run(scenario())


def test_one_wait_after_the_other(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = WaitingService()
        service.rounds = 3
        service.verdict.set_result(None)
        with Target() as target:
            async with Entrance(twin, service) as entrance:
                client = await entrance.connect(b"abcd")
                assert await client.read(22) == 2 * b"wait\ngo on\n"
                await client.send(b"ef" + target.line)
                assert await client.read(21) == b"wait\ngo on\nconnected\n"
                assert service.waits.qsize() == 3

    run(scenario())


@pytest.mark.parametrize("error", [AuthenticationError("wrong"), PolicyError("no")])
def test_an_error_is_one_of_the_handshake(
    run: Any, twin: SetupTwin, error: AuthenticationError | PolicyError
) -> None:
    async def scenario() -> None:
        service = WaitingService()
        async with Entrance(twin, service) as entrance:
            client = await entrance.connect(b"ab127.0.0.1 80\n")
            await service.waits.get()
            service.verdict.set_exception(error)
            assert await client.read_to_end() == b"wait\nfailed 2\n"
            report = await service.reports.get()
            assert report.error is error
            assert entrance.acceptor.failures == {error.status: 1}

    run(scenario())


def test_a_fault_ends_its_own_connection_only(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = WaitingService()
        async with Entrance(twin, service, faults=1) as entrance:
            client = await entrance.connect(b"ab")
            await service.waits.get()
            service.verdict.set_exception(RuntimeError("a bug"))
            assert await client.read(5) == b"wait\n"
            assert await client.end_error() is RESET
            service.rounds = 0
            await still_serves(entrance)

    run(scenario())


def test_the_time_limit_goes_on(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = WaitingService()
        async with Entrance(twin, service, timeout=0.3) as entrance:
            client = await entrance.connect(b"ab127.0.0.1 80\n")
            assert await client.read_to_end() == b"wait\nfailed 1\n"
            report = await service.reports.get()
            assert report.error.status == "handshake-timeout"
            assert service.cancelled == 1
            assert service.verdict.cancelled()

    run(scenario())


def test_abort_cancels_it(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = WaitingService()
        async with Entrance(twin, service) as entrance:
            waiting = await entrance.connect(b"ab")
            assert await waiting.read(5) == b"wait\n"
            entrance.acceptor.abort()
            await entrance.acceptor.wait_idle()
            assert await waiting.end_error() is RESET
            await asyncio.sleep(0)
            assert service.cancelled == 1
            assert service.reports.empty()

    run(scenario())


def test_a_client_that_left_meanwhile(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = WaitingService()
        async with Entrance(twin, service) as entrance:
            client = await entrance.connect(b"ab")
            assert await client.read(5) == b"wait\n"
            client.socket.close()
            service.verdict.set_result(None)
            await entrance.acceptor.wait_idle()
            report = await service.reports.get()
            assert report.error.status in ("truncated", "reset")

    run(scenario())
