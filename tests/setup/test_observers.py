"""What observers see of connection set-up, in which order, and what their faults do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from fastsocks.errors import PolicyError
from fastsocks.journal.observer import Connection, Observer
from fastsocks.request import CONNECT
from setup_ends import (
    BAD_LINE,
    Entrance,
    LineInbound,
    LineService,
    SetupTwin,
    Target,
    listening,
    only_report,
    still_serves,
)


class Events(Observer):
    """Notes what it sees."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Connection]] = []

    def opened(self, connection: Connection) -> None:
        assert (connection.target, connection.command, connection.error) == (None, 0, None)
        self.seen.append(("opened", connection))

    def identified(self, connection: Connection) -> None:
        assert connection.target is not None
        assert (connection.command, connection.error) == (CONNECT, None)
        self.seen.append(("identified", connection))

    def refused(self, connection: Connection) -> None:
        assert connection.error is not None
        self.seen.append(("refused", connection))

    def failed(self, connection: Connection) -> None:
        assert connection.error is not None
        self.seen.append(("failed", connection))

    def closed(self, connection: Connection) -> None:
        self.seen.append(("closed", connection))

    def take(self, *expected: str) -> Connection:
        """Check what one connection has gone through, and forget it."""
        names = tuple(name for name, _ in self.seen)
        (connection,) = {one for _, one in self.seen}
        self.seen.clear()
        assert names == expected
        return connection


class ObservedService(LineService):
    """Tells an observer, too."""

    def __init__(self, *observers: Observer, **options: Any) -> None:
        super().__init__(**options)
        self._observers = observers

    def observers(self) -> list[Observer]:
        return [*self._observers, *super().observers()]


def test_a_connection_that_is_relayed(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        events = Events()
        async with Entrance(twin, ObservedService(events)) as entrance:
            with Target() as target:
                client = await entrance.connect(target.line + b"early")
                accepted = await target.accept()
                assert [name for name, _ in events.seen] == ["opened", "identified"]
                await accepted.send(b"answer")
                await client.send(b" question")
                assert await client.read(16) == b"connected\nanswer"
                assert await accepted.read(14) == b"early question"
                accepted.finish()
                client.finish()
                assert await client.read_to_end() == b""
                await entrance.acceptor.wait_idle()
            connection = events.take("opened", "identified", "closed")
            assert connection.peer[:2] == client.socket.getsockname()[:2]
            assert connection.client == "127.0.0.1"
            assert connection.network == "tcp"
            assert connection.target == target.address
            assert (connection.bytes_up, connection.bytes_down) == (14, 6)
            assert connection.error is None
            assert connection.name.endswith("-1")
            assert 0 <= connection.seconds < 10
            assert set(connection.stages) == {
                "handshake_seconds",
                "connect_seconds",
                "first_byte_seconds",
            }

    run(scenario())


def test_a_relay_that_breaks_has_failed(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        events = Events()
        async with Entrance(twin, ObservedService(events)) as entrance:
            with Target() as target:
                client = await entrance.connect(target.line)
                accepted = await target.accept()
                await client.send(b"question")
                assert await accepted.read(8) == b"question"
                accepted.reset()
                await entrance.acceptor.wait_idle()
            connection = events.take("opened", "identified", "failed", "closed")
            assert connection.error is not None
            assert connection.error.status == "reset"
            assert (connection.bytes_up, connection.bytes_down) == (8, 0)

    run(scenario())


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("handshake", ("opened", "refused", "closed")),
        ("policy", ("opened", "identified", "refused", "closed")),
        ("dial", ("opened", "identified", "refused", "closed")),
        ("silence", ("opened", "closed")),
    ],
)
def test_a_connection_that_comes_to_nothing(
    run: Any, twin: SetupTwin, how: str, expected: tuple[str, ...]
) -> None:
    async def scenario() -> None:
        events = Events()
        service = ObservedService(events)
        refusing = listening("127.0.0.1")
        port = refusing.getsockname()[1]
        refusing.close()
        if how == "policy":
            service.refusal = PolicyError("no")
        async with Entrance(twin, service) as entrance:
            line = {"handshake": BAD_LINE, "silence": b""}.get(how, b"127.0.0.1 %d\n" % port)
            client = await entrance.connect(line)
            if how == "silence":
                client.finish()
            else:
                await only_report(entrance, client)
            await entrance.acceptor.wait_idle()
            connection = events.take(*expected)
            assert (connection.bytes_up, connection.bytes_down) == (0, 0)
            statuses = {"handshake": "header", "policy": "not-allowed", "dial": "dial"}
            assert (connection.error and connection.error.status) == statuses.get(how)

    run(scenario())


def test_who_has_logged_in_before_a_request_that_is_none(
    run: Any, twin: SetupTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LineInbound, "user", "alice", raising=False)

    async def scenario() -> None:
        events = Events()
        async with Entrance(twin, ObservedService(events)) as entrance:
            client = await entrance.connect(BAD_LINE)
            await only_report(entrance, client)
            connection = events.take("opened", "refused", "closed")
            assert (connection.user, connection.target) == ("alice", None)

    run(scenario())


@pytest.mark.parametrize("when", ["handshake", "dial", "relay"])
def test_what_is_aborted_is_closed_once(run: Any, twin: SetupTwin, when: str) -> None:
    async def scenario() -> None:
        events = Events()
        async with Entrance(twin, ObservedService(events)) as entrance:
            with Target() as target:
                line = {"handshake": b"127", "dial": b"name.test 80\n"}.get(when, target.line)
                dialing = asyncio.Event()

                async def dial() -> Any:
                    dialing.set()
                    await asyncio.Event().wait()

                entrance.dialer.names["name.test"] = dial
                client = await entrance.connect(line)
                if when == "relay":
                    await target.accept()
                    assert await client.read(10) == b"connected\n"
                elif when == "dial":
                    await dialing.wait()
                else:
                    while not events.seen:
                        await asyncio.sleep(0)
                entrance.acceptor.abort()
                await entrance.acceptor.wait_idle()
            expected = {
                "handshake": ("opened", "closed"),
                "dial": ("opened", "identified", "closed"),
                "relay": ("opened", "identified", "failed", "closed"),
            }
            events.take(*expected[when])

    run(scenario())


def test_what_is_aborted_as_soon_as_it_is_accepted(run: Any, twin: SetupTwin) -> None:
    """Nobody need have seen it, but then it is not left open either."""

    async def scenario() -> None:
        events = Events()
        async with Entrance(twin, ObservedService(events)) as entrance:
            client = await entrance.connect()
            while not entrance.acceptor.active:
                await asyncio.sleep(0)
            entrance.acceptor.abort()
            assert await client.end_error() is ConnectionResetError
            await entrance.acceptor.wait_idle()
            assert entrance.service.limits.connections == 0
            assert [name for name, _ in events.seen] in ([], ["opened", "closed"])

    run(scenario())


class Aborting(Observer):
    """Ends all connections at once as soon as one of them gets somewhere."""

    def __init__(self, when: str) -> None:
        self.abort: Callable[[], None] = lambda: None
        setattr(self, when, lambda _: self.abort())


@pytest.mark.parametrize("when", ["opened", "identified", "refused"])
def test_an_observer_may_end_all_connections(run: Any, twin: SetupTwin, when: str) -> None:
    """By closing the service, say, where tasks are eager."""

    async def scenario() -> None:
        events, aborting = Events(), Aborting(when)
        async with Entrance(twin, ObservedService(aborting, events)) as entrance:
            aborting.abort = entrance.acceptor.abort
            with Target() as target:
                # The client may be told of it before it is told that it is connected.
                with contextlib.suppress(ConnectionResetError):
                    await entrance.connect(BAD_LINE if when == "refused" else target.line)
                while not events.seen:
                    await asyncio.sleep(0)
                await entrance.acceptor.wait_idle()
            assert entrance.service.limits.connections == 0
            names = ("opened",) if when == "opened" else ("opened", when)
            assert sorted(name for name, _ in events.seen) == sorted((*names, "closed"))

    run(scenario())


def test_an_observer_of_failures_may_end_all_connections(run: Any, twin: SetupTwin) -> None:
    """They are being ended then."""

    async def scenario() -> None:
        events, aborting = Events(), Aborting("failed")
        async with Entrance(twin, ObservedService(aborting, events)) as entrance:
            aborting.abort = entrance.acceptor.abort
            with Target() as target:
                for _ in range(3):
                    client = await entrance.connect(target.line)
                    await target.accept()
                    assert await client.read(10) == b"connected\n"
                entrance.acceptor.abort()
                await entrance.acceptor.wait_idle()
            names = [name for name, _ in events.seen]
            assert (names.count("failed"), names.count("closed")) == (3, 3)

    run(scenario())


class FaultyObserver(Observer):
    """Raises whenever it is told anything."""

    def opened(self, connection: Connection) -> None:
        raise ValueError("opened")

    def identified(self, connection: Connection) -> None:
        raise ValueError("identified")

    def refused(self, connection: Connection) -> None:
        raise ValueError("refused")

    def closed(self, connection: Connection) -> None:
        raise KeyError(connection.command)


def test_a_fault_of_an_observer_ends_nothing(run: Any, twin: SetupTwin) -> None:
    """The loop is told of each kind once, and other observers of everything."""

    async def scenario() -> None:
        events = Events()
        service = ObservedService(FaultyObserver(), events)
        async with Entrance(twin, service, faults=4) as entrance:
            for _ in range(2):
                await still_serves(entrance)
                events.take("opened", "identified", "closed")
                client = await entrance.connect(BAD_LINE)
                assert await client.read_to_end() == b"failed 1\n"
                client.finish()
                await entrance.acceptor.wait_idle()
                events.take("opened", "refused", "closed")
            kinds = [type(context["exception"]) for context in entrance.faults]
            assert kinds == [ValueError, ValueError, KeyError, ValueError]
            assert entrance.faults[0]["message"] == "an observer failed in opened"

    run(scenario())
