"""From accept to relay: requests that go through."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from fastsocks.errors import ResetError
from harness.pattern import pattern
from setup_ends import Entrance, LineService, SetupTwin, Target, spying_codec

SOON = 0.05


@pytest.mark.parametrize("early", [b"", b"early", pattern(60_000)])
def test_a_request_in_one_piece(run: Any, twin: SetupTwin, early: bytes) -> None:
    async def scenario() -> None:
        async with Entrance(twin, LineService()) as entrance:
            with Target() as target:
                client = await entrance.connect(target.line + early)
                with await target.accept() as accepted:
                    assert await client.read(10) == b"connected\n"
                    if early:
                        assert await accepted.read(len(early)) == early
                    await client.send(b"question")
                    assert await accepted.read(8) == b"question"
                    await accepted.send(b"answer")
                    assert await client.read(6) == b"answer"
                    client.finish()
                    assert await accepted.read_to_end() == b""
                    accepted.finish()
                    assert await client.read_to_end() == b""
                await entrance.acceptor.wait_idle()
            assert entrance.acceptor.accepted == 1
            assert entrance.acceptor.relayed.relays == 1
            assert entrance.acceptor.failures == {}
            assert entrance.service.reports.empty()

    run(scenario())


def test_a_request_byte_by_byte(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        async with Entrance(twin, LineService(greeting=b"hello ")) as entrance:
            with Target() as target:
                client = await entrance.connect(target.line[:1])
                # The answer to it shows that the rest comes in another read.
                assert await client.read(6) == b"hello "
                for i in range(1, len(target.line)):
                    await client.send(target.line[i : i + 1])
                    await asyncio.sleep(0)
                await client.send(b"payload")
                with await target.accept() as accepted:
                    assert await client.read(10) == b"connected\n"
                    assert await accepted.read(7) == b"payload"

    run(scenario())


@pytest.mark.parametrize("coded", [False, True])
def test_early_data_larger_than_the_send_buffer(run: Any, twin: SetupTwin, coded: bool) -> None:
    async def scenario() -> None:
        service = LineService()
        service.more_early_data = pattern(2_000_000, 5)
        payloads: list[bytes] = []
        if coded:
            service.new_codec = lambda: spying_codec(twin, payloads)
        async with Entrance(twin, service) as entrance:
            with Target(buffer=8192) as target:
                client = await entrance.connect(target.line + pattern(5))
                with await target.accept() as accepted:
                    assert await client.read(10) == b"connected\n"
                    await client.send(b"and more")
                    client.finish()
                    expected = pattern(2_000_005)
                    if coded:
                        expected = b"<%s %s>" % (str(target.address).encode(), expected)
                    assert await accepted.read_to_end() == expected + b"and more"

    run(scenario())


def test_the_target_may_speak_first(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        async with Entrance(twin, LineService()) as entrance:
            with Target() as target:
                client = await entrance.connect(target.line)
                with await target.accept() as accepted:
                    await accepted.send(b"220 ready")
                    assert await client.read(19) == b"connected\n220 ready"

    run(scenario())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_bound_and_peer_are_real_addresses(run: Any, twin: SetupTwin, host: str) -> None:
    async def scenario() -> None:
        service = LineService()
        async with Entrance(twin, service, host=host) as entrance:
            with Target(host) as target:
                client = await entrance.connect(target.line)
                with await target.accept() as accepted:
                    assert await client.read(10) == b"connected\n"
                    (bound,) = service.bounds
                    assert bound is not None
                    assert (bound.host, bound.port) == accepted.socket.getpeername()[:2]
                peer = await service.inbounds.get()
                assert peer[:2] == client.socket.getsockname()[:2]

    run(scenario())


def test_a_name_goes_through_the_dialer(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = LineService()
        async with Entrance(twin, service) as entrance:
            with Target() as target:
                entrance.dialer.names["name.test"] = target.dial
                client = await entrance.connect(b"name.test 80\nearly")
                with await target.accept() as accepted:
                    assert await client.read(10) == b"connected\n"
                    assert await accepted.read(5) == b"early"
                    (bound,) = service.bounds
                    assert bound is not None
                    assert bound.port == accepted.socket.getpeername()[1]

    run(scenario())


def test_a_payload_within_the_wait_travels_with_the_request(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        payloads: list[bytes] = []
        service = LineService()
        service.new_codec = lambda: spying_codec(twin, payloads)
        service.payload_wait = 15.0
        async with Entrance(twin, service) as entrance:
            with Target() as target:
                client = await entrance.connect(target.line)
                # The reply comes before the payload: otherwise nobody would send one.
                assert await client.read(10) == b"connected\n"
                await client.send(b"payload")
                with await target.accept() as accepted:
                    expected = b"<%s payload>" % str(target.address).encode()
                    # One recv: it was one segment.
                    assert await accepted.receive() == expected
                    await client.send(b" more")
                    assert await accepted.read(5) == b" more"
                assert payloads == [b"payload"]
                # A dial to someone else's proxy tells nothing about the target's side.
                assert service.bounds == [None]

    run(scenario())


def test_a_long_wait_holds_up_no_short_one(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = LineService()
        service.new_codec = lambda: spying_codec(twin, [])
        service.payload_wait = 1000.0
        async with Entrance(twin, service) as entrance:
            with Target() as target:
                waiting = await entrance.connect(target.line)
                await target.accept()
                assert await waiting.read(10) == b"connected\n"
                service.payload_wait = SOON
                await entrance.connect(target.line)
                with await target.accept() as accepted:
                    assert await accepted.receive() == b"<%s >" % str(target.address).encode()

    run(scenario())


def test_no_payload_within_the_wait(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        payloads: list[bytes] = []
        service = LineService()
        service.new_codec = lambda: spying_codec(twin, payloads)
        service.payload_wait = SOON
        async with Entrance(twin, service) as entrance:
            with Target() as target:
                client = await entrance.connect(target.line)
                with await target.accept() as accepted:
                    request = b"<%s >" % str(target.address).encode()
                    assert await accepted.read(len(request)) == request
                    assert await client.read(10) == b"connected\n"
                    await client.send(b"late")
                    assert await accepted.read(4) == b"late"
                assert payloads == [b""]

    run(scenario())


def test_early_data_needs_no_wait(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        payloads: list[bytes] = []
        service = LineService()
        service.new_codec = lambda: spying_codec(twin, payloads)
        service.payload_wait = 1000.0
        async with Entrance(twin, service) as entrance:
            with Target() as target:
                await entrance.connect(target.line + b"early")
                with await target.accept() as accepted:
                    request = b"<%s early>" % str(target.address).encode()
                    assert await accepted.receive() == request
                assert payloads == [b"early"]

    run(scenario())


def test_the_client_ends_during_the_wait(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = LineService()
        service.new_codec = lambda: spying_codec(twin, [])
        service.payload_wait = 1000.0
        async with Entrance(twin, service) as entrance:
            with Target() as target:
                client = await entrance.connect(target.line)
                assert await client.read(10) == b"connected\n"
                client.finish()
                with await target.accept() as accepted:
                    request = b"<%s >" % str(target.address).encode()
                    assert await accepted.read_to_end() == request
                    await accepted.send(b"answer")
                    accepted.finish()
                    assert await client.read_to_end() == b"answer"

    run(scenario())


def test_the_client_resets_during_the_wait(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        payloads: list[bytes] = []
        service = LineService()
        service.new_codec = lambda: spying_codec(twin, payloads)
        service.payload_wait = 1000.0
        async with Entrance(twin, service) as entrance:
            with Target() as target:
                client = await entrance.connect(target.line)
                assert await client.read(10) == b"connected\n"
                client.reset()
                report = await service.reports.get()
                assert isinstance(report.error, ResetError)
                assert report.target == target.address
                with await target.accept() as accepted:
                    assert await accepted.end_error() is ConnectionResetError
                await entrance.acceptor.wait_idle()
                assert payloads == []
                assert entrance.acceptor.failures == {"reset": 1}

    run(scenario())


def test_several_wait_at_once(run: Any, twin: SetupTwin) -> None:
    """Each gets its own payload or none, in the order in which they came."""

    async def scenario() -> None:
        service = LineService()
        service.payload_wait = 6 * SOON
        payloads: list[list[bytes]] = []

        def new_codec() -> Any:
            payloads.append([])
            return spying_codec(twin, payloads[-1])

        service.new_codec = new_codec
        async with Entrance(twin, service) as entrance:
            with Target() as target:
                clients = []
                for _ in range(8):
                    clients.append(await entrance.connect(target.line))
                    assert await clients[-1].read(10) == b"connected\n"
                spoken = random.Random(1).sample(range(8), 4)
                for number in spoken:
                    await clients[number].send(b"payload")
                head = b"<%s " % str(target.address).encode()
                for number in range(8):
                    with await target.accept() as accepted:
                        payload = b"payload" if number in spoken else b""
                        expected = head + payload + b">"
                        assert await accepted.read(len(expected)) == expected
                    assert payloads[number] == [payload]

    run(scenario())


def test_a_burst_of_connections(run: Any, twin: SetupTwin) -> None:
    """More at once than are accepted, or handled, before the loop gets its turn."""

    async def scenario() -> None:
        async with Entrance(twin, LineService()) as entrance:
            with Target() as target:
                target.socket.listen(400)
                entrance.socket.listen(400)
                clients = [await entrance.connect() for _ in range(300)]
                while entrance.acceptor.accepted < 300:
                    await entrance.service.inbounds.get()
                # All 300 are readable in one turn of the loop.
                for client in clients:
                    client.socket.send(target.line)
                accepted = [await target.accept() for _ in clients]
                for client in clients:
                    assert await client.read(10) == b"connected\n"
                assert entrance.acceptor.active == 300
                for end in accepted:
                    end.socket.close()

    run(scenario())
