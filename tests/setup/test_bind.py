"""What connection set-up does with BIND, as its interface says."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import pytest

from datagram_ends import count_descriptors, settle
from fastsocks.address import Address
from fastsocks.errors import DialError, ListenError
from fastsocks.policy import Meters
from fastsocks.request import BIND, Request
from fastsocks.setup.roles import Accepted
from relay_ends import End
from setup_ends import Entrance, LineInbound, LineService, SetupTwin, listening

LINE = b"192.0.2.1 20\n"


class Listener:
    """Accepts one connection, or fails."""

    def __init__(self, failure: Exception | None) -> None:
        self._socket = listening("127.0.0.1")
        self.sockaddr: Any = self._socket.getsockname()
        self.bound = Address.of(*self.sockaddr)
        self._failure = failure
        self.closed = 0
        self.accepting = asyncio.Event()
        self.gone = asyncio.Event()

    async def accept(self) -> tuple[socket.socket, Address]:
        self.accepting.set()
        if self._failure is not None:
            raise self._failure
        sock, sockaddr = await asyncio.get_running_loop().sock_accept(self._socket)
        return sock, Address.of(*sockaddr)

    def close(self) -> None:
        self._socket.close()
        self.closed += 1
        self.gone.set()


class BindingInbound(LineInbound):
    """Every request of it is a BIND."""

    def receive(self, data: bytes) -> Request | None:
        request = super().receive(data)
        return None if request is None else request._replace(command=BIND, user="somebody")


class BindingService(LineService):
    """Listens for real, at once or once a test lets it."""

    def __init__(self, *, at_once: bool = True) -> None:
        super().__init__()
        self.go_on = asyncio.Event()
        if at_once:
            self.go_on.set()
        self.asked: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        self.made: list[Listener] = []
        self.failure: Exception | None = None
        self.accept_failure: Exception | None = None

    def inbound(self, accepted: Accepted) -> LineInbound:
        return BindingInbound(self)

    async def bind(self, request: Request, accepted: Accepted) -> Listener:
        self.asked.put_nowait((request, accepted.peer, accepted.local_host))
        await self.go_on.wait()
        if self.failure is not None:
            raise self.failure
        self.made.append(Listener(self.accept_failure))
        return self.made[-1]


async def come(listener: Listener) -> End:
    """Connect to a listener, as the peer."""
    sock = socket.socket()
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, listener.sockaddr)
    return End(sock)


def test_two_replies_and_a_relay(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = BindingService()
        service.access_log = True
        service.users = Meters()
        async with Entrance(twin, service) as entrance:
            client = await entrance.connect(LINE)
            assert await client.read(10) == b"connected\n"
            request, peer, local_host = service.asked.get_nowait()
            assert (request.address, request.command) == (Address.of("192.0.2.1", 20), BIND)
            assert peer[:2] == client.socket.getsockname()[:2]
            assert local_host == "127.0.0.1"
            (listener,) = service.made
            with await come(listener) as other:
                assert await client.read(10) == b"connected\n"
                came = Address.of(*other.socket.getsockname())
                assert service.bounds == [listener.bound, came]
                await listener.gone.wait()
                assert listener.closed == 1
                await other.send(b"answer")
                assert await client.read(6) == b"answer"
                await client.send(b"question")
                assert await other.read(8) == b"question"
                client.finish()
                other.finish()
                assert await other.read_to_end() == b""
            assert await client.read_to_end() == b""
            told = await service.ends.get()
            assert (told.user, told.target) == ("somebody", came)
            assert (told.bytes_up, told.bytes_down) == (8, 6)
            stages = {"handshake_seconds", "connect_seconds", "first_byte_seconds"}
            assert set(told.stages) == stages
            usage = service.users["somebody"]
            assert (usage.relays, usage.bytes_up, usage.bytes_down) == (1, 8, 6)
            assert service.routed.empty()
            assert service.reports.empty()

    run(scenario())


def test_what_the_client_sends_ahead_is_for_the_peer(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = BindingService()
        async with Entrance(twin, service) as entrance:
            client = await entrance.connect(LINE + b"early ")
            assert await client.read(10) == b"connected\n"
            await client.send(b"and ")
            (listener,) = service.made
            await listener.accepting.wait()
            sending = asyncio.ensure_future(client.send(bytes(5_000_000)))
            with await come(listener) as other:
                assert await client.read(10) == b"connected\n"
                received = b""
                while len(received) < 5_000_010:
                    received += await other.receive()
                assert received == b"early and " + bytes(5_000_000)
                await sending

    run(scenario())


@pytest.mark.parametrize("end", ["finish", "reset"])
@pytest.mark.parametrize("ahead", [0, 100_000])
def test_the_end_of_the_client_closes_the_listener(
    run: Any, twin: SetupTwin, end: str, ahead: int
) -> None:
    """Also behind more than is read for a peer that has not come."""

    async def scenario() -> None:
        service = BindingService()
        async with Entrance(twin, service) as entrance:
            client = await entrance.connect(LINE + b"early")
            assert await client.read(10) == b"connected\n"
            (listener,) = service.made
            await listener.accepting.wait()
            await client.send(bytes(ahead))
            if end == "finish":
                client.finish()
                if ahead:
                    assert await client.end_error() is ConnectionResetError
                else:
                    assert await client.read_to_end() == b""
            else:
                client.reset()
            await listener.gone.wait()
            await entrance.acceptor.wait_idle()
            if end == "finish":
                assert entrance.acceptor.failures == {}
            else:
                assert (await service.reports.get()).error.status == "reset"

    run(scenario())


def test_it_outlives_the_time_limit_of_a_handshake(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = BindingService()
        async with Entrance(twin, service, timeout=0.3) as entrance:
            client = await entrance.connect(LINE)
            assert await client.read(10) == b"connected\n"
            await asyncio.sleep(1)
            (listener,) = service.made
            with await come(listener):
                assert await client.read(10) == b"connected\n"

    run(scenario())


@pytest.mark.parametrize("where", ["bind", "accept"])
def test_a_failure_is_answered_and_reported(run: Any, twin: SetupTwin, where: str) -> None:
    async def scenario() -> None:
        service = BindingService()
        error: ListenError | DialError
        if where == "bind":
            error = service.failure = ListenError("no port")
            said = b"failed 1\n"
        else:
            error = service.accept_failure = DialError("nobody")
            said = b"connected\nfailed 1\n"
        async with Entrance(twin, service) as entrance:
            client = await entrance.connect(LINE)
            assert await client.read_to_end() == said
            report = await service.reports.get()
            assert report.error is error
            assert report.target == Address.of("192.0.2.1", 20)
            assert entrance.acceptor.failures == {error.status: 1}
            assert all(listener.closed for listener in service.made)

    run(scenario())


@pytest.mark.parametrize("where", ["bind", "accept"])
def test_a_fault_ends_its_own_connection_only(run: Any, twin: SetupTwin, where: str) -> None:
    async def scenario() -> None:
        service = BindingService()
        fault = RuntimeError("a bug")
        service.failure, service.accept_failure = (
            (fault, None) if where == "bind" else (None, fault)
        )
        async with Entrance(twin, service, faults=1) as entrance:
            client = await entrance.connect(LINE)
            if where == "accept":
                # It may come behind the first reply, or instead of it.
                with contextlib.suppress(ConnectionResetError):
                    assert await client.read(10) == b"connected\n"
            assert await client.end_error() is ConnectionResetError
            await entrance.acceptor.wait_idle()
            assert all(listener.closed for listener in service.made)
            service.failure = service.accept_failure = None
            other = await entrance.connect(LINE)
            assert await other.read(10) == b"connected\n"

    run(scenario())


@pytest.mark.parametrize("made", [True, False])
def test_abort_ends_it(run: Any, twin: SetupTwin, made: bool) -> None:
    async def scenario() -> None:
        service = BindingService(at_once=made)
        async with Entrance(twin, service) as entrance:
            client = await entrance.connect(LINE)
            if made:
                assert await client.read(10) == b"connected\n"
                await service.made[0].accepting.wait()
            else:
                await service.asked.get()
            entrance.acceptor.abort()
            await entrance.acceptor.wait_idle()
            await client.end_error()
            if made:
                await service.made[0].gone.wait()

    run(scenario())


def test_nothing_is_left(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = BindingService()
        async with Entrance(twin, service) as entrance:
            first = await entrance.connect(LINE)
            assert await first.read(10) == b"connected\n"
            before = 0
            for number in range(33):
                if number == 3:
                    # Loops keep some of their own from then on.
                    await settle(lambda: entrance.acceptor.active == 1, "connections are left")
                    before = count_descriptors()
                client = await entrance.connect(LINE)
                assert await client.read(10) == b"connected\n"
                if number % 3 == 2:
                    with await come(service.made[-1]) as other:
                        assert await client.read(10) == b"connected\n"
                        other.reset()
                elif number % 3 == 1:
                    client.reset()
                client.socket.close()
            await settle(lambda: entrance.acceptor.active == 1, "connections are left")
            await settle(lambda: count_descriptors() <= before, "descriptors are left")
            await settle(lambda: all(one.closed for one in service.made[1:]), "listeners are left")

    run(scenario())
