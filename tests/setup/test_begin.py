"""Inbounds that need no byte, such as one of a fixed target, which may be who speaks first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fastsocks.address import Address
from fastsocks.errors import AddressError, FastsocksError
from fastsocks.inbound import Accepted
from fastsocks.request import Request
from setup_ends import Entrance, LineService, SetupTwin, Target, only_report, spying_codec


class FixedInbound:
    """Leads whoever connects to one target, and tells nobody anything."""

    silent = False
    tells_address = False
    codec = None

    def __init__(self, service: FixedService) -> None:
        self._service = service
        self.pending: Any = None
        self._greeting = service.greeting

    def begin(self, accepted: Accepted) -> Request | None:
        if self._service.bad:
            raise AddressError("no target")
        self._service.began.append((accepted.peer, accepted.local(), accepted.client))
        if self._service.waits:
            self.pending = self._wait()
            return None
        return None if self._service.reads else self._request()

    def _request(self) -> Request:
        return Request(self._service.target)

    async def _wait(self) -> Request:
        await asyncio.sleep(0)
        self.pending = None
        return self._request()

    def receive(self, data: bytes) -> Request:
        return self._request()._replace(early_data=bytes(data))

    def take_outgoing(self) -> bytes:
        greeting, self._greeting = self._greeting, b""
        return greeting

    def connected(self, bound: Address | None) -> bytes:
        self._service.bounds.append(bound)
        return b""

    def failed(self, error: FastsocksError) -> bytes:
        return b""


class FixedService(LineService):
    """Makes such inbounds."""

    needs_no_byte = True

    def __init__(self, target: Target | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.target = Address.of("192.0.2.1", 9) if target is None else target.address
        self.began: list[tuple[Any, Any, int]] = []
        #: How an inbound begins; by default with its request.
        self.bad = self.reads = self.waits = False

    def inbound(self, accepted: Accepted) -> FixedInbound:
        return FixedInbound(self)


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_target_may_speak_first(run: Any, twin: SetupTwin, host: str, waits: bool) -> None:
    async def scenario() -> None:
        with Target() as target:
            service = FixedService(target, greeting=b"hello\n")
            service.waits = waits
            async with Entrance(twin, service, host=host) as entrance:
                client = await entrance.connect()
                with await target.accept() as accepted:
                    await accepted.send(b"220 ready")
                    assert await client.read(15) == b"hello\n220 ready"
                    await client.send(b"QUIT")
                    assert await accepted.read(4) == b"QUIT"
                    accepted.finish()
                    client.finish()
                    assert await client.read_to_end() == b""
                ((peer, local, descriptor),) = service.began
                assert peer[:2] == client.socket.getsockname()[:2]
                assert local[:2] == entrance.socket.getsockname()[:2]
                assert descriptor > 0
                assert service.bounds == [None]

    run(scenario())


def test_it_may_want_bytes_after_all(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        with Target() as target:
            service = FixedService(target)
            service.reads = True
            async with Entrance(twin, service) as entrance:
                client = await entrance.connect(b"early")
                with await target.accept() as accepted:
                    assert await accepted.read(5) == b"early"
                client.socket.close()

    run(scenario())


def test_what_cannot_begin_is_refused(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = FixedService()
        service.bad = True
        async with Entrance(twin, service) as entrance:
            client = await entrance.connect()
            assert await client.read_to_end() == b""
            report = await only_report(entrance, client)
            assert isinstance(report.error, AddressError)

    run(scenario())


@pytest.mark.parametrize("when", ["before", "within the wait", "after"])
def test_a_payload_is_waited_for_as_long_as_the_route_says(
    run: Any, twin: SetupTwin, when: str
) -> None:
    async def scenario() -> None:
        payloads: list[bytes] = []
        with Target() as target:
            service = FixedService(target)
            service.new_codec = lambda: spying_codec(twin, payloads)
            service.payload_wait = 0.05 if when == "after" else 1000.0
            async with Entrance(twin, service) as entrance:
                client = await entrance.connect(b"payload" if when == "before" else b"")
                with await target.accept() as accepted:
                    if when == "within the wait":
                        await asyncio.sleep(0)
                        await client.send(b"payload")
                    first = b"" if when == "after" else b"payload"
                    request = b"<%s %s>" % (str(target.address).encode(), first)
                    assert await accepted.read(len(request)) == request
                    await client.send(b"late")
                    assert await accepted.read(4) == b"late"
                assert payloads == [first]

    run(scenario())
