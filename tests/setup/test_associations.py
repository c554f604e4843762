"""What connection set-up does with UDP ASSOCIATE, as its interface says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from datagram_ends import count_descriptors, settle
from fastsocks.address import Address
from fastsocks.errors import ListenError, ResolveError
from fastsocks.request import UDP_ASSOCIATE, Request
from fastsocks.setup.roles import Accepted
from setup_ends import Entrance, LineInbound, LineService, SetupTwin, Target

BOUND = Address.of("192.0.2.7", 5300)
LINE = b"192.0.2.1 53\n"


class Association:
    """Counts how often it is closed."""

    bound = BOUND

    def __init__(self) -> None:
        self.ended: Callable[[], None] | None = None
        self.closed = 0
        self.gone = asyncio.Event()

    def close(self) -> None:
        self.closed += 1
        self.gone.set()


class AssociatingInbound(LineInbound):
    """Every request of it is for an association."""

    def receive(self, data: bytes) -> Request | None:
        request = super().receive(data)
        return None if request is None else request._replace(command=UDP_ASSOCIATE)


class AssociatingService(LineService):
    """Answers at once, or once a test lets it."""

    def __init__(self, *, at_once: bool = True) -> None:
        super().__init__()
        self.go_on = asyncio.Event()
        if at_once:
            self.go_on.set()
        self.asked: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        self.made: list[Association] = []
        self.failure: Exception | None = None

    def inbound(self, accepted: Accepted) -> LineInbound:
        return AssociatingInbound(self)

    async def associate(self, request: Request, accepted: Accepted) -> Association:
        self.asked.put_nowait((request, accepted.peer, accepted.local_host))
        await self.go_on.wait()
        if self.failure is not None:
            raise self.failure
        self.made.append(Association())
        return self.made[-1]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_it_is_asked_for_and_answered(run: Any, twin: SetupTwin, host: str) -> None:
    async def scenario() -> None:
        service = AssociatingService()
        async with Entrance(twin, service, host=host) as entrance:
            client = await entrance.connect(LINE)
            assert await client.read(10) == b"connected\n"
            request, peer, local_host = service.asked.get_nowait()
            assert (request.address, request.command) == (Address.of("192.0.2.1", 53), 3)
            assert peer[:2] == client.socket.getsockname()[:2]
            assert local_host == host
            assert service.bounds == [BOUND]
            assert service.routed.empty()
            assert entrance.acceptor.active == 1
            (association,) = service.made
            client.socket.close()
            await entrance.acceptor.wait_idle()
            assert association.closed == 1
            assert service.reports.empty()

    run(scenario())


@pytest.mark.parametrize("end", ["finish", "reset"])
def test_it_goes_with_its_connection(run: Any, twin: SetupTwin, end: str) -> None:
    async def scenario() -> None:
        service = AssociatingService()
        async with Entrance(twin, service) as entrance:
            client = await entrance.connect(LINE + b"early data means nothing")
            assert await client.read(10) == b"connected\n"
            # Nor does what comes later, however much.
            await client.send(bytes(1_000_000))
            (association,) = service.made
            assert not association.gone.is_set()
            if end == "finish":
                client.finish()
                assert await client.receive() == b""
            else:
                client.reset()
            await association.gone.wait()
            await entrance.acceptor.wait_idle()
            assert association.closed == 1
            assert service.reports.empty()
            assert entrance.acceptor.failures == {}

    run(scenario())


def test_it_outlives_the_time_limit_of_a_handshake(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = AssociatingService()
        async with Entrance(twin, service, timeout=0.3) as entrance:
            client = await entrance.connect(LINE)
            assert await client.read(10) == b"connected\n"
            await asyncio.sleep(1)
            (association,) = service.made
            assert not association.gone.is_set()
            assert entrance.acceptor.active == 1
            client.socket.close()
            await association.gone.wait()

    run(scenario())


def test_its_own_end_ends_the_connection(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = AssociatingService()
        async with Entrance(twin, service) as entrance:
            client = await entrance.connect(LINE)
            assert await client.read(10) == b"connected\n"
            (association,) = service.made
            assert association.ended is not None
            association.ended()
            assert await client.read_to_end() == b""
            client.socket.close()
            await entrance.acceptor.wait_idle()
            assert service.reports.empty()

    run(scenario())


@pytest.mark.parametrize("error", [ListenError("no socket"), ResolveError("no such name")])
def test_a_failure_is_answered_and_reported(
    run: Any, twin: SetupTwin, error: ListenError | ResolveError
) -> None:
    async def scenario() -> None:
        service = AssociatingService()
        service.failure = error
        async with Entrance(twin, service) as entrance:
            client = await entrance.connect(LINE)
            assert await client.read_to_end() == b"failed %d\n" % error.reply
            report = await service.reports.get()
            assert report.error is error
            assert report.target == Address.of("192.0.2.1", 53)
            assert entrance.acceptor.failures == {error.status: 1}

    run(scenario())


def test_a_fault_ends_its_own_connection_only(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = AssociatingService()
        service.failure = RuntimeError("a bug")
        async with Entrance(twin, service, faults=1) as entrance:
            client = await entrance.connect(LINE)
            assert await client.end_error() is ConnectionResetError
            service.failure = None
            other = await entrance.connect(LINE)
            assert await other.read(10) == b"connected\n"

    run(scenario())


@pytest.mark.parametrize("made", [True, False])
def test_abort_ends_both(run: Any, twin: SetupTwin, made: bool) -> None:
    async def scenario() -> None:
        service = AssociatingService(at_once=made)
        async with Entrance(twin, service) as entrance:
            client = await entrance.connect(LINE)
            if made:
                assert await client.read(10) == b"connected\n"
            else:
                await service.asked.get()
            entrance.acceptor.stop_listening()
            assert not any(association.closed for association in service.made)
            entrance.acceptor.abort()
            await entrance.acceptor.wait_idle()
            await client.end_error()
            assert [association.closed for association in service.made] == [1] * made

    run(scenario())


def test_a_client_that_left_before_it_was_made(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = AssociatingService(at_once=False)
        async with Entrance(twin, service) as entrance:
            client = await entrance.connect(LINE)
            await service.asked.get()
            client.finish()
            service.go_on.set()
            await settle(lambda: bool(service.made), "it is not made")
            await service.made[0].gone.wait()
            await entrance.acceptor.wait_idle()
            assert service.made[0].closed == 1

    run(scenario())


def test_nothing_is_left(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = AssociatingService()
        async with Entrance(twin, service) as entrance:
            with Target():
                first = await entrance.connect(LINE)
                assert await first.read(10) == b"connected\n"
                before = count_descriptors()
                for number in range(30):
                    client = await entrance.connect(LINE)
                    assert await client.read(10) == b"connected\n"
                    if number % 2:
                        client.reset()
                    client.socket.close()
                await settle(lambda: entrance.acceptor.active == 1, "connections are left")
                await settle(lambda: count_descriptors() <= before, "descriptors are left")
                assert [one.closed for one in service.made] == [0] + [1] * 30

    run(scenario())
