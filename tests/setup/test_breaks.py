"""Clients that break off while set-up waits for something else: noticed at once, on both twins."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest

from datagram_ends import count_descriptors, settle
from fastsocks.errors import ResetError
from fastsocks.request import BIND, CONNECT, UDP_ASSOCIATE, Request
from fastsocks.setup.roles import Accepted, Route
from harness.listener import silent_address
from setup_ends import Entrance, LineInbound, LineService, SetupTwin, only_report

#: Whatever set-up may wait for when it knows what its client wants, or even before.
WAITS = ["check", "look-up", "connect", "chain", "associate", "bind"]

_COMMANDS = {"associate": UDP_ASSOCIATE, "bind": BIND}


class StuckInbound(LineInbound):
    """Waits for ever where the service wants that, else asks for what the service wants."""

    def __init__(self, service: StuckService) -> None:
        super().__init__(service)
        self._stuck = service

    def receive(self, data: bytes) -> Request | None:
        if self._stuck.wait == "check":
            self.pending = self._stuck.wait_for_ever()
            return None
        request = super().receive(data)
        command = _COMMANDS.get(self._stuck.wait, CONNECT)
        return None if request is None else request._replace(command=command)


class StuckService(LineService):
    """One thing of it takes for ever.

    :param wait: of WAITS.
    """

    def __init__(self, wait: str) -> None:
        super().__init__()
        self.wait = wait
        self.begun = asyncio.Event()
        self.broken_off = asyncio.Event()

    async def wait_for_ever(self, *_: object) -> NoReturn:
        self.begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.broken_off.set()
        raise AssertionError

    associate = bind = wait_for_ever

    def inbound(self, accepted: Accepted) -> LineInbound:
        return StuckInbound(self)

    def route(self, request: Request, accepted: Accepted) -> Route:
        route = super().route(request, accepted)
        if self.wait == "chain":
            return Route(route.address, route.codec, route.payload_wait, open=self.wait_for_ever)
        return route


@contextmanager
def line_of(wait: str) -> Iterator[bytes]:
    """Give the line that leads into a wait."""
    if wait == "connect":
        with silent_address() as (host, port):
            yield f"{host} {port}\n".encode()
    else:
        yield b"name.test 80\n" if wait == "look-up" else b"192.0.2.1 80\n"


async def waiting(entrance: Entrance, service: StuckService) -> None:
    """Return once a connection waits."""
    if service.wait == "connect":
        await service.routed.get()
    else:
        await service.begun.wait()


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("ahead", [0, 1, 100_000])
def test_a_reset_ends_every_wait(run: Any, twin: SetupTwin, wait: str, ahead: int) -> None:
    async def scenario() -> None:
        service = StuckService(wait)
        async with Entrance(twin, service) as entrance:
            entrance.dialer.names["name.test"] = service.wait_for_ever
            with line_of(wait) as line:
                # What a loop or a twin keeps open for good is there from the first one on.
                counts = []
                for _ in range(2):
                    client = await entrance.connect(line)
                    await waiting(entrance, service)
                    # It stays unread in front of the reset.
                    await client.send(bytes(ahead))
                    client.reset()
                    await settle(lambda: not entrance.acceptor.active, "it waits")
                    if wait != "connect":
                        await service.broken_off.wait()
                    assert type((await service.reports.get()).error) is ResetError
                    service.begun.clear()
                    counts.append(count_descriptors())
                await settle(lambda: count_descriptors() <= counts[0], "descriptors are left")
                assert entrance.acceptor.failures == {"reset": 2}
                assert service.limits.connections == 0

    run(scenario())


@pytest.mark.parametrize("wait", WAITS)
def test_the_end_of_its_stream_does_not(run: Any, twin: SetupTwin, wait: str) -> None:
    """The client may be there to read what it asked for."""

    async def scenario() -> None:
        service = StuckService(wait)
        async with Entrance(twin, service) as entrance:
            entrance.dialer.names["name.test"] = service.wait_for_ever
            with line_of(wait) as line:
                client = await entrance.connect(line)
                await waiting(entrance, service)
                client.finish()
                # Another one is served after that was told.
                other = await entrance.connect()
                other.finish()
                assert await other.read_to_end() == b""
                assert entrance.acceptor.active == 1
                assert not service.broken_off.is_set()
                client.reset()
                report = await only_report(entrance)
                assert type(report.error) is ResetError

    run(scenario())
