"""Dials that fail during set-up: what the client is told, and what is reported, on both twins."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from fastsocks.address import Address
from fastsocks.errors import (
    DialError,
    DialTimeoutError,
    PolicyError,
    RefusedError,
    ResolveError,
)
from harness.listener import refusing_address, silent_address
from setup_ends import Entrance, LineService, SetupTwin, Target, only_report

#: Seconds. The limits under test, which a busy machine must not reach early.
LIMIT = 0.6


def test_a_client_that_ends_its_stream_during_the_dial(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        async with Entrance(twin, LineService()) as entrance:
            with Target() as target:
                go_on = asyncio.Event()

                async def dial() -> socket.socket:
                    await go_on.wait()
                    return await target.dial()

                entrance.dialer.names["name.test"] = dial
                client = await entrance.connect(b"name.test 80\nearly")
                await entrance.service.routed.get()
                client.finish()
                go_on.set()
                with await target.accept() as accepted:
                    assert await accepted.read_to_end() == b"early"
                    accepted.finish()
                    assert await client.read_to_end() == b"connected\n"
                    await entrance.acceptor.wait_idle()
                    assert entrance.service.reports.empty()

    run(scenario())


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("early", [b"", b"early data"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_refused_dial(run: Any, twin: SetupTwin, silent: bool, early: bytes, host: str) -> None:
    async def scenario() -> None:
        with refusing_address(host) as (_, port):
            async with Entrance(twin, LineService(silent=silent)) as entrance:
                client = await entrance.connect(f"{host} {port}\n".encode() + early)
                if silent:
                    assert await client.end_error() is ConnectionResetError
                else:
                    assert await client.read_to_end() == b"failed 5\n"
                report = await only_report(entrance, client)
                assert type(report.error) is RefusedError
                assert report.target == Address.of(host, port)

    run(scenario())


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("early", [b"", b"early data"])
def test_a_dial_timeout(run: Any, twin: SetupTwin, silent: bool, early: bytes) -> None:
    async def scenario() -> None:
        with silent_address() as (host, port):
            service = LineService(silent=silent)
            async with Entrance(twin, service, timeout=LIMIT) as entrance:
                client = await entrance.connect(f"{host} {port}\n".encode() + early)
                if silent:
                    assert await client.end_error() is ConnectionResetError
                else:
                    assert await client.read_to_end() == b"failed 6\n"
                report = await only_report(entrance, client)
                assert type(report.error) is DialTimeoutError
                assert str(report.error) == "connect timed out"

    run(scenario())


@pytest.mark.parametrize("silent", [False, True])
def test_a_name_that_cannot_be_dialed(run: Any, twin: SetupTwin, silent: bool) -> None:
    async def scenario() -> None:
        async with Entrance(twin, LineService(silent=silent)) as entrance:

            async def dial() -> socket.socket:
                await asyncio.sleep(0)
                raise ResolveError("no such name")

            entrance.dialer.names["name.test"] = dial
            client = await entrance.connect(b"name.test 80\n")
            if silent:
                assert await client.end_error() is ConnectionResetError
            else:
                assert await client.read_to_end() == b"failed 4\n"
            report = await only_report(entrance, client)
            assert str(report.error) == "no such name"
            assert report.target == Address.of("name.test", 80)

    run(scenario())


@pytest.mark.parametrize("silent", [False, True])
def test_a_port_that_cannot_be_dialed(run: Any, twin: SetupTwin, silent: bool) -> None:
    async def scenario() -> None:
        async with Entrance(twin, LineService(silent=silent)) as entrance:
            client = await entrance.connect(b"127.0.0.1 0\n")
            if silent:
                assert await client.end_error() is ConnectionResetError
            else:
                assert await client.read_to_end() == b"failed 1\n"
            report = await only_report(entrance, client)
            assert type(report.error) is DialError

    run(scenario())


@pytest.mark.parametrize("silent", [False, True])
def test_what_the_rules_refuse(run: Any, twin: SetupTwin, silent: bool) -> None:
    async def scenario() -> None:
        service = LineService(silent=silent)
        service.refusal = PolicyError("not here")
        async with Entrance(twin, service) as entrance:
            with Target() as target:
                client = await entrance.connect(target.line)
                if silent:
                    assert await client.end_error() is ConnectionResetError
                else:
                    assert await client.read_to_end() == b"failed 2\n"
                report = await only_report(entrance, client)
                assert report.error is service.refusal
                assert report.target == target.address
                with pytest.raises(BlockingIOError):
                    target.socket.accept()

    run(scenario())
