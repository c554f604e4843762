"""The table of a connection's states: both twins keep to it, each of its transitions is walked."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import re
import socket
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastsocks.address import Address
from fastsocks.errors import (
    AuthenticationError,
    HeaderError,
    ListenError,
    ResolveError,
)
from fastsocks.inbound import Accepted
from fastsocks.request import BIND, UDP_ASSOCIATE, Request
from fastsocks.setup import states
from fastsocks.setup.roles import Opened, Route
from fastsocks.setup.states import TRANSITIONS, State
from harness.listener import silent_address
from setup_ends import BAD_LINE, Entrance, LineInbound, LineService, SetupTwin, Target, spying_codec
from twins import import_twin

_DOCUMENT = Path(__file__).parents[2] / "docs" / "design" / "setup-states.md"

Walk = tuple[State, State]

#: In pure Python the dialer connects, too.
NOT_IN_PYTHON = {
    (State.HANDSHAKE, State.CONNECTING),
    (State.CONNECTING, State.DIALING),
    (State.CONNECTING, State.DRAINING),
}


class FaultError(Exception):
    """Stands for a programming error."""


class Inbound(LineInbound):
    """Asks for what the service says."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._made = service

    def receive(self, data: bytes) -> Request | None:
        request = super().receive(data)
        if request is None or self._made.check is None:
            return request and request._replace(command=self._made.command)
        self.pending = self._wait(self._made.check, request)
        return None

    async def _wait(self, check: asyncio.Future[None], request: Request) -> Request:
        await check
        self.pending = None
        return request


class BreakingCodec:
    """Opens nothing."""

    def seal(self, data: bytes) -> bytes:
        return data

    def open(self, data: bytes) -> bytes:
        raise HeaderError("broken")

    incomplete = False


class Service(LineService):
    """Does what a walk needs."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target
        self.command = 1
        self.check: asyncio.Future[None] | None = None
        self.found: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.faulty = ""
        self.codec: Any = None
        self.retried: Route | None = None
        self.associations: list[Any] = []

    def inbound(self, accepted: Accepted) -> Any:
        if self.faulty == "inbound":
            raise FaultError
        made: Any = Inbound(self)
        made.codec = self.codec
        if self.faulty == "connected":
            made.connected = self._fault
        return made

    def _fault(self, *_: object) -> bytes:
        raise FaultError

    def route(self, request: Request, accepted: Accepted) -> Route:
        route = super().route(request, accepted)
        return Route(
            route.address, route.codec, route.payload_wait, None, None, lambda _: self.retried
        )

    async def open_way(self, dialer: Any, client: str) -> Opened:
        return Opened(await self.target.dial(), None, 0.0, b"")

    async def associate(self, request: Request, accepted: Accepted) -> Any:
        await self.found

        class Association:
            bound = Address.of("192.0.2.7", 53)
            ended = None

            def close(self) -> None:
                """Nothing is open."""

        self.associations.append(Association())
        return self.associations[-1]

    async def bind(self, request: Request, accepted: Accepted) -> Any:
        found = self.found

        class Listener:
            bound = Address.of("192.0.2.7", 20)

            async def accept(self) -> tuple[socket.socket, Address]:
                came: tuple[socket.socket, Address] = await found
                return came

            def close(self) -> None:
                """Nothing is open."""

        return Listener()


async def relay_and_end(entrance: Entrance, service: Service, line: bytes) -> None:
    client = await entrance.connect(line)
    accepted = await service.target.accept()
    assert await client.read(10) == b"connected\n"
    accepted.finish()
    client.finish()
    assert await client.read_to_end() == b""


async def reaches(walked: set[Walk], state: State) -> None:
    """Return once a connection is in a state."""
    while not any(after is state for _, after in walked):
        await asyncio.sleep(0.001)


async def relayed(entrance: Entrance, service: Service, walked: set[Walk]) -> None:
    await relay_and_end(entrance, service, service.target.line)


async def looked_up(entrance: Entrance, service: Service, walked: set[Walk]) -> None:
    entrance.dialer.names["name.test"] = service.target.dial
    await relay_and_end(entrance, service, b"name.test 80\n")


async def no_inbound(entrance: Entrance, service: Service, walked: set[Walk]) -> None:
    service.faulty = "inbound"
    # It may come as early as in connect.
    with contextlib.suppress(ConnectionResetError):
        await entrance.connect()
    await reaches(walked, State.OVER)


async def nothing_said(entrance: Entrance, service: Service, walked: set[Walk]) -> None:
    client = await entrance.connect()
    await reaches(walked, State.HANDSHAKE)
    client.socket.close()


async def refused(entrance: Entrance, service: Service, walked: set[Walk]) -> None:
    client = await entrance.connect(BAD_LINE)
    assert await client.read_to_end() == b"failed 1\n"


async def checked(entrance: Entrance, service: Service, walked: set[Walk]) -> None:
    service.check = asyncio.get_running_loop().create_future()
    service.check.set_result(None)
    await relay_and_end(entrance, service, service.target.line)


async def check_failed(entrance: Entrance, service: Service, walked: set[Walk]) -> None:
    service.check = asyncio.get_running_loop().create_future()
    service.check.set_exception(AuthenticationError("wrong"))
    client = await entrance.connect(service.target.line)
    assert await client.read_to_end() == b"failed 2\n"


async def check_too_long(entrance: Entrance, service: Service, walked: set[Walk]) -> None:
    service.check = asyncio.get_running_loop().create_future()
    client = await entrance.connect(service.target.line)
    assert await client.read_to_end() == b"failed 1\n"


async def aborted_in(entrance: Entrance, walked: set[Walk], state: State, line: bytes) -> None:
    client = await entrance.connect(line)
    await reaches(walked, state)
    entrance.acceptor.abort()
    await entrance.acceptor.wait_idle()
    client.socket.close()


async def check_aborted(entrance: Entrance, service: Service, walked: set[Walk]) -> None:
    service.check = asyncio.get_running_loop().create_future()
    await aborted_in(entrance, walked, State.PENDING, service.target.line)


async def look_up_aborted(entrance: Entrance, service: Service, walked: set[Walk]) -> None:
    entrance.dialer.names["name.test"] = lambda: service.found
    await aborted_in(entrance, walked, State.DIALING, b"name.test 80\n")


async def look_up_failed(entrance: Entrance, service: Service, walked: set[Walk]) -> None:
    entrance.dialer.names["name.test"] = lambda: service.found
    service.found.set_exception(ResolveError("no such name"))
    client = await entrance.connect(b"name.test 80\n")
    assert await client.read_to_end() == b"failed 4\n"


async def another_way(entrance: Entrance, service: Service, walked: set[Walk]) -> None:
    entrance.dialer.names["name.test"] = lambda: service.found
    service.found.set_exception(ResolveError("no such name"))
    service.retried = Route(None, open=service.open_way)
    await relay_and_end(entrance, service, b"name.test 80\n")


async def another_way_than_connecting(
    entrance: Entrance, service: Service, walked: set[Walk]
) -> None:
    service.retried = Route(None, open=service.open_way)
    with silent_address() as (host, port):
        await relay_and_end(entrance, service, f"{host} {port}\n".encode())


async def connect_too_long(entrance: Entrance, service: Service, walked: set[Walk]) -> None:
    with silent_address() as (host, port):
        client = await entrance.connect(f"{host} {port}\n".encode())
        assert (await client.read_to_end()).startswith(b"failed ")


async def no_answer_made(entrance: Entrance, service: Service, walked: set[Walk]) -> None:
    service.faulty = "connected"
    client = await entrance.connect(service.target.line)
    await client.end_error()


def wait_for_payload(entrance: Entrance, service: Service, twin: SetupTwin) -> None:
    service.new_codec = lambda: spying_codec(twin, [])
    service.payload_wait = 1000.0


async def payload_came(entrance: Entrance, service: Service, walked: set[Walk]) -> None:
    client = await entrance.connect(service.target.line)
    accepted = await service.target.accept()
    await reaches(walked, State.PAYLOAD)
    await client.send(b"payload")
    assert await accepted.receive()
    accepted.socket.close()
    client.socket.close()


async def payload_broken(entrance: Entrance, service: Service, walked: set[Walk]) -> None:
    service.codec = BreakingCodec()
    client = await entrance.connect(service.target.line)
    await reaches(walked, State.PAYLOAD)
    await client.send(b"payload")
    assert (await client.read_to_end()).endswith(b"failed 1\n")


async def payload_aborted(entrance: Entrance, service: Service, walked: set[Walk]) -> None:
    await aborted_in(entrance, walked, State.PAYLOAD, service.target.line)


async def associated(entrance: Entrance, service: Service, walked: set[Walk]) -> None:
    service.command = UDP_ASSOCIATE
    service.found.set_result(None)
    client = await entrance.connect(b"192.0.2.1 53\n")
    assert await client.read(10) == b"connected\n"
    service.associations[0].ended()
    assert await client.read_to_end() == b""


async def bound(entrance: Entrance, service: Service, walked: set[Walk]) -> None:
    service.command = BIND
    service.found.set_result((await service.target.dial(), Address.of("192.0.2.1", 20)))
    client = await entrance.connect(b"192.0.2.1 20\n")
    accepted = await service.target.accept()
    assert await client.read(20) == 2 * b"connected\n"
    accepted.finish()
    client.finish()
    assert await client.read_to_end() == b""


async def nobody_came(entrance: Entrance, service: Service, walked: set[Walk]) -> None:
    service.command = BIND
    client = await entrance.connect(b"192.0.2.1 20\n")
    assert await client.read(10) == b"connected\n"
    service.found.set_exception(ListenError("nobody came"))
    assert (await client.read_to_end()).startswith(b"failed ")


async def left_while_bound(entrance: Entrance, service: Service, walked: set[Walk]) -> None:
    service.command = BIND
    client = await entrance.connect(b"192.0.2.1 20\n")
    assert await client.read(10) == b"connected\n"
    client.finish()
    assert await client.read_to_end() == b""


WALKS: list[Callable[..., Any]] = [
    relayed,
    looked_up,
    no_inbound,
    nothing_said,
    refused,
    checked,
    check_failed,
    check_too_long,
    check_aborted,
    look_up_aborted,
    look_up_failed,
    another_way,
    another_way_than_connecting,
    connect_too_long,
    no_answer_made,
    payload_came,
    payload_broken,
    payload_aborted,
    associated,
    bound,
    nobody_came,
    left_while_bound,
]
FAULTY = (no_inbound, no_answer_made)
SHORT = (check_too_long, connect_too_long, another_way_than_connecting)
WITH_PAYLOAD = (payload_came, payload_broken, payload_aborted)


@contextlib.contextmanager
def watched(twin: SetupTwin, watcher: Callable[[int, int], None]) -> Iterator[None]:
    """Let each transition of a twin be told."""
    if twin.implementation == "cython":
        twin.setup.watch_states(watcher)
        try:
            yield
        finally:
            twin.setup.watch_states(states.check)
        return
    connection: Any = import_twin("fastsocks.setup", "_connection", "python").Connection
    enter = connection.enter

    def enter_and_tell(self: Any, state: State) -> None:
        watcher(self._state, state)
        enter(self, state)

    connection.enter = enter_and_tell
    try:
        yield
    finally:
        connection.enter = enter


def test_each_transition_is_walked(run: Any, twin: SetupTwin) -> None:
    walked: set[Walk] = set()

    async def walk(one: Callable[..., Any]) -> None:
        ours: set[Walk] = set()

        def note(before: int, after: int) -> None:
            ours.add((State(before), State(after)))

        with Target() as target, watched(twin, note):
            service = Service(target)
            timeout = 0.2 if one in SHORT else 10.0
            faults = 1 if one in FAULTY else 0
            async with Entrance(twin, service, timeout=timeout, faults=faults) as entrance:
                if one in WITH_PAYLOAD:
                    wait_for_payload(entrance, service, twin)
                await one(entrance, service, ours)
                for client in entrance._clients:
                    client.socket.close()
                await entrance.acceptor.wait_idle()
        walked.update(ours)

    async def scenario() -> None:
        for one in WALKS:
            async with asyncio.timeout(20):
                await walk(one)

    run(scenario())
    table = {(before, after) for before, found in TRANSITIONS.items() for after in found}
    if twin.implementation == "python":
        table -= NOT_IN_PYTHON
    assert walked == table


def test_another_transition_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="from OVER to HANDSHAKE"):
        states.check(State.OVER, State.HANDSHAKE)


def test_both_twins_have_the_same_states(twin: SetupTwin) -> None:
    if twin.implementation == "cython":
        found = {state.name: state.value for state in twin.setup.State}
        assert found == {state.name: state.value for state in State}
    assert set(TRANSITIONS) == set(State)


def test_only_one_place_changes_a_state() -> None:
    folder = Path(inspect.getfile(states)).parent
    changes = [
        f"{path.name}: {line.strip()}"
        for path in folder.iterdir()
        if path.suffix in (".py", ".pyx", ".pxi")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"\.(_)?state = ", line)
    ]
    assert sorted(changes) == [
        "_connection.pxi: self.state = state",
        "_connection_py.py: self._state = State.ACCEPTED",
        "_connection_py.py: self._state = state",
    ]


def test_the_document_has_picture_and_table() -> None:
    text = _DOCUMENT.read_text(encoding="utf-8")
    assert states.__doc__ is not None
    assert textwrap.dedent(states.__doc__.split("\n\n")[1]) in text
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([^|]*) \|$", text, re.MULTILINE)
    assert {name: set(re.findall(r"`(\w+)`", found)) for name, found in rows} == {
        before.name: {after.name for after in found} for before, found in TRANSITIONS.items()
    }
