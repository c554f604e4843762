"""A fault of ours ends one connection, and no other."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from fastsocks.policy import Meters
from fastsocks.setup.roles import Opened, Route
from setup_ends import (
    BAD_LINE,
    Entrance,
    LineInbound,
    LineService,
    SetupTwin,
    Target,
    spying_codec,
    still_serves,
)

RESET = ConnectionResetError

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc: Linux only")


class FaultError(Exception):
    """Stands for a programming error."""


def fault(*_: object, **__: object) -> Any:
    raise FaultError("a fault of ours")


async def read_all(entrance: Entrance, data: bytes) -> bytes:
    """Connect, send `data`, and read to the end."""
    client = await entrance.connect()
    await client.send(data)
    return await client.read_to_end()


FAULTS = ["inbound", "receive", "take_outgoing", "route", "connected", "failed"]


@pytest.mark.parametrize("where", FAULTS)
def test_a_fault_ends_its_connection_only(
    run: Any, twin: SetupTwin, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        service = LineService()
        async with Entrance(twin, service, faults=1) as entrance:
            with Target() as target, monkeypatch.context() as patch:
                owner = service if where in ("inbound", "route") else LineInbound
                patch.setattr(owner, where, fault)
                # It may come as early as in connect.
                with pytest.raises(RESET):
                    await read_all(entrance, BAD_LINE if where == "failed" else target.line)
                await entrance.acceptor.wait_idle()
                assert entrance.acceptor.active == 0
            (context,) = entrance.faults
            assert isinstance(context["exception"], FaultError)
            await still_serves(entrance)

    run(scenario())


@pytest.mark.parametrize("error", [FaultError("in the dialer"), OSError(errno.EBADF, "stray")])
def test_a_fault_of_the_dialer(run: Any, twin: SetupTwin, error: Exception) -> None:
    if isinstance(error, OSError) and twin.implementation == "python":
        pytest.skip("a coroutine cannot tell it from an error of the client's socket")

    async def scenario() -> None:
        async with Entrance(twin, LineService(), faults=1) as entrance:

            async def dial() -> socket.socket:
                raise error

            entrance.dialer.names["name.test"] = dial
            client = await entrance.connect(b"name.test 80\n")
            assert await client.end_error() is RESET
            await entrance.acceptor.wait_idle()
            assert entrance.faults[0]["exception"] is error
            await still_serves(entrance)

    run(scenario())


def test_a_fault_after_a_failed_dial(
    run: Any, twin: SetupTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastsocks.errors import ResolveError

    async def scenario() -> None:
        service = LineService()
        async with Entrance(twin, service, faults=1) as entrance:

            async def dial() -> socket.socket:
                await asyncio.sleep(0)
                raise ResolveError("no such name")

            entrance.dialer.names["name.test"] = dial
            with monkeypatch.context() as patch:
                patch.setattr(LineInbound, "failed", fault)
                client = await entrance.connect(b"name.test 80\n")
                assert await client.end_error() is RESET
                await entrance.acceptor.wait_idle()
            await still_serves(entrance)

    run(scenario())


def test_a_fault_at_a_deadline(run: Any, twin: SetupTwin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others that wait for their deadline are still looked after."""

    async def scenario() -> None:
        service = LineService()
        async with Entrance(twin, service, faults=2, timeout=0.3) as entrance:
            with monkeypatch.context() as patch:
                patch.setattr(LineInbound, "failed", fault)
                clients = [await entrance.connect() for _ in range(2)]
                for client in clients:
                    assert await client.end_error() is RESET
                await entrance.acceptor.wait_idle()
            await still_serves(entrance)

    run(scenario())


@pytest.mark.parametrize("payload", [b"", b"payload"])
def test_a_fault_in_the_outbound_after_the_wait(run: Any, twin: SetupTwin, payload: bytes) -> None:
    """Those who wait behind it get their request sent."""

    async def scenario() -> None:
        service = LineService()
        service.payload_wait = 0.1 if not payload else 1000.0
        payloads: list[bytes] = []
        codecs = [spying_codec(twin, payloads), spying_codec(twin, payloads)]
        broken = type("Faulty", (type(codecs[0]),), {"request": fault})()
        broken.transparent = True
        codecs[0] = broken
        service.new_codec = lambda: codecs.pop(0)
        async with Entrance(twin, service, faults=1) as entrance:
            with Target() as target:
                clients = []
                for _ in range(2):
                    clients.append(await entrance.connect(target.line))
                    assert await clients[-1].read(10) == b"connected\n"
                for client in clients:
                    if payload:
                        await client.send(payload)
                assert await clients[0].end_error() is RESET
                assert await (await target.accept()).end_error() is RESET
                with await target.accept() as accepted:
                    expected = b"<%s %s>" % (str(target.address).encode(), payload)
                    assert await accepted.read(len(expected)) == expected

    run(scenario())


@linux_only
def test_a_fault_in_the_outbound_behind_a_way(
    run: Any, twin: SetupTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a server that is dialed in the place of one that was not there."""

    async def scenario() -> None:
        service = LineService()
        async with Entrance(twin, service, faults=1) as entrance:
            await still_serves(entrance)
            entrance.forget()
            before = descriptors()
            with Target() as target:

                async def open_way(dialer: Any, client: str) -> Opened:
                    codec = spying_codec(twin, [])
                    broken = type("Faulty", (type(codec),), {"request": fault})()
                    return Opened(await dialer.dial(target.address, client), broken, 0.0, b"")

                with monkeypatch.context() as patch:
                    way = Route(target.address, open=open_way)
                    patch.setattr(service, "route", lambda request, peer: way)
                    client = await entrance.connect(target.line + b"early")
                    await entrance.acceptor.wait_idle()
                assert await client.end_error() is RESET
                with await target.accept() as accepted:
                    assert await accepted.end_error() is RESET
                client.socket.close()
            assert service.limits.connections == 0
            assert descriptors() <= before
            entrance.forget()
            assert isinstance(entrance.faults[0]["exception"], FaultError)

    run(scenario())


def test_a_fault_when_the_relay_begins(
    run: Any, twin: SetupTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Descriptors and admission are given back."""

    async def scenario() -> None:
        service = LineService()
        service.users = Meters()
        service.access_log = True
        async with Entrance(twin, service, faults=1) as entrance:
            await still_serves(entrance)
            entrance.forget()
            with Target() as target, monkeypatch.context() as patch:
                patch.setattr(Meters, "of", fault)
                before = descriptors()
                client = await entrance.connect(target.line + b"early")
                accepted = await target.accept()
                assert await client.end_error() is RESET
                assert await accepted.end_error() is RESET
                await entrance.acceptor.wait_idle()
                client.socket.close()
                accepted.socket.close()
                assert descriptors() == before
                assert service.limits.connections == 0
                assert service.ends.qsize() == 1
            entrance.forget()
            assert isinstance(entrance.faults[0]["exception"], FaultError)

    run(scenario())


@linux_only
def test_a_codec_that_is_none(run: Any, twin: SetupTwin) -> None:
    """It is found out when set-up is all but over; nothing stays open."""
    if twin.implementation == "python":
        pytest.skip("Python finds out only when the codec is used")

    async def scenario() -> None:
        service = LineService()
        service.new_codec = type("NoCodec", (), {"request": lambda *_: b"x"})
        async with Entrance(twin, service, faults=1) as entrance:
            with Target() as target:
                before = descriptors()
                client = await entrance.connect(target.line)
                accepted = await target.accept()
                assert await client.end_error() is RESET
                await entrance.acceptor.wait_idle()
                client.socket.close()
                accepted.socket.close()
                assert descriptors() == before

    run(scenario())


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
