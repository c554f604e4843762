"""Servers that do not answer are noticed, and those that do are not suspected."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from fastsocks.address import Address
from fastsocks.journal.observer import Connection
from fastsocks.setup.answers import Answers
from setup_ends import Entrance, LineService, SetupTwin, Target, spying_codec

SERVER = Address.of("192.0.2.1", 8388)
QUICK, LONG = 0.1, 11.0


def ended(seconds: float = QUICK) -> Connection:
    """Make a connection that got no answer."""
    connection = Connection(("127.0.0.1", 1), "name", target=SERVER)
    connection.bytes_up, connection.seconds, connection.server = 10, seconds, SERVER
    return connection


class Watch:
    """Answers, and what it tells."""

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout: float = 1000.0) -> None:
        self.told: list[int] = []
        self.silences: asyncio.Queue[Address] = asyncio.Queue()
        self.counters = SimpleNamespace(active=1, bytes_up=0, bytes_down=0)
        self.answers = Answers(
            loop,
            self.counters,
            timeout=timeout,
            unanswered=lambda _, in_a_row: self.told.append(in_a_row),
            silent=lambda server, _: self.silences.put_nowait(server),
        )


def test_one_that_lasted_is_enough_where_there_never_was_an_answer(run: Any) -> None:
    async def scenario() -> None:
        watch = Watch(asyncio.get_running_loop())
        watch.answers.missing(ended(LONG))
        assert watch.told == [1]

    run(scenario())


def test_short_ones_may_be_targets_that_are_not_there(run: Any) -> None:
    async def scenario() -> None:
        watch = Watch(asyncio.get_running_loop())
        for _ in range(4):
            watch.answers.missing(ended())
        assert watch.told == [3, 4]

    run(scenario())


@pytest.mark.parametrize("seconds", [QUICK, LONG])
def test_where_there_are_answers_it_takes_more(run: Any, seconds: float) -> None:
    async def scenario() -> None:
        watch = Watch(asyncio.get_running_loop())
        watch.answers.came()
        for _ in range(3):
            for _ in range(4):
                watch.answers.missing(ended(seconds))
            watch.answers.came()
        assert watch.told == []
        for _ in range(5):
            watch.answers.missing(ended(seconds))
        assert watch.told == [5]

    run(scenario())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"bytes_up": 1}, True),
        ({}, False),
        ({"bytes_up": 1, "bytes_down": 1}, False),
        ({"bytes_up": 1, "active": 0}, False),
    ],
)
def test_who_answers_to_nobody(run: Any, change: dict[str, int], told: bool) -> None:
    async def scenario() -> None:
        watch = Watch(asyncio.get_running_loop(), timeout=0.02)
        watch.answers.awaited(SERVER, 0)
        vars(watch.counters).update(change)
        if told:
            assert await watch.silences.get() == SERVER
        # What was asked for is over, and is asked for again.
        follower = Watch(asyncio.get_running_loop(), timeout=0.03)
        follower.answers.awaited(SERVER, 1)
        assert await follower.silences.get() == SERVER
        assert watch.silences.empty()

    run(scenario())


def test_an_end_asks_no_more(run: Any) -> None:
    async def scenario() -> None:
        watch = Watch(asyncio.get_running_loop(), timeout=0.01)
        watch.answers.awaited(SERVER, 1)
        watch.answers.close()
        follower = Watch(asyncio.get_running_loop(), timeout=0.02)
        follower.answers.awaited(SERVER, 1)
        await follower.silences.get()
        assert watch.silences.empty()

    run(scenario())


def through_server(twin: SetupTwin) -> LineService:
    """Make a service that leads to servers."""
    service = LineService()
    service.new_codec = lambda: spying_codec(twin, [])
    return service


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("early", [b"", b"early"])
def test_a_connection_that_got_nothing(
    run: Any, twin: SetupTwin, early: bytes, reset: bool
) -> None:
    async def scenario() -> None:
        service = through_server(twin)
        async with Entrance(twin, service) as entrance:
            with Target() as target:
                for number in range(3):
                    client = await entrance.connect(target.line + early)
                    with await target.accept() as accepted:
                        await client.read(10)
                        await client.send(b"question")
                        wanted = b"<%s %s>" % (str(target.address).encode(), early) + b"question"
                        assert await accepted.read(len(wanted)) == wanted
                        if reset:
                            accepted.reset()
                        else:
                            accepted.finish()
                            client.finish()
                            assert await accepted.read_to_end() == b""
                    await entrance.acceptor.wait_idle()
                    assert len(service.missing) == (number == 2)
            told, in_a_row = service.missing[0]
            assert in_a_row == 3
            assert told.bytes_up == len(early) + 8
            assert (told.target, told.server) == (target.address, target.address)
            assert told.peer[:2] == client.socket.getsockname()[:2]

    run(scenario())


@pytest.mark.parametrize("sends", ["both", "answer", "nothing"])
def test_one_that_got_an_answer_or_asked_for_none(run: Any, twin: SetupTwin, sends: str) -> None:
    async def scenario() -> None:
        service = through_server(twin)
        async with Entrance(twin, service) as entrance:
            with Target() as target:
                for _ in range(4):
                    client = await entrance.connect(target.line)
                    with await target.accept() as accepted:
                        await client.read(10)
                        if sends == "both":
                            await client.send(b"question")
                        if sends != "nothing":
                            await accepted.send(b"answer")
                            assert await client.read(6) == b"answer"
                        client.finish()
                        accepted.finish()
                        assert await client.read_to_end() == b""
                        await accepted.read_to_end()
                    await entrance.acceptor.wait_idle()
            assert service.missing == []

    run(scenario())


def test_who_leads_to_no_server_is_not_asked(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = LineService()
        async with Entrance(twin, service) as entrance:
            with Target() as target:
                for _ in range(6):
                    client = await entrance.connect(target.line + b"question")
                    with await target.accept() as accepted:
                        assert await accepted.read(8) == b"question"
                        client.finish()
                        accepted.finish()
                        await client.read_to_end()
                    await entrance.acceptor.wait_idle()
            assert service.missing == []

    run(scenario())


def test_a_server_that_is_silent_to_an_open_connection(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = through_server(twin)
        async with Entrance(twin, service, timeout=0.1) as entrance:
            with Target() as target:
                client = await entrance.connect(target.line + b"question")
                with await target.accept():
                    await client.read(10)
                    while not service.silences:
                        await asyncio.sleep(0.01)
        assert service.silences == [(target.address, 0.1)]

    run(scenario())
