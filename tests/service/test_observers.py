"""Observers that a program gives to its services."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import socket
from typing import Any

import pytest

import fastsocks
from fastsocks import Connection, LimitHit, Observer
from harness.deadline import DEADLINE
from harness.listener import SocketAddress
from harness.socks import (
    UDP_ASSOCIATE,
    Socks5Client,
    credentials,
    greeting,
    open_connection,
    request,
)
from harness.targets import ServingTarget, Target, echo

METHOD = "2022-blake3-aes-128-gcm"
KEYS = [base64.b64encode(bytes([number] * 16)).decode() for number in range(2)]


class Events(Observer):
    """Notes what it sees of each connection, and can wait for the end of all."""

    def __init__(self) -> None:
        self.by_connection: dict[Connection, list[str]] = {}
        self.hits: list[LimitHit] = []
        self.refusals: list[Connection] = []

    def opened(self, connection: Connection) -> None:
        assert connection not in self.by_connection
        self.by_connection[connection] = ["opened"]

    def identified(self, connection: Connection) -> None:
        self.by_connection[connection].append("identified")

    def refused(self, connection: Connection) -> None:
        self.refusals.append(connection)
        self.by_connection.get(connection, []).append("refused")

    def failed(self, connection: Connection) -> None:
        self.by_connection[connection].append("failed")

    def closed(self, connection: Connection) -> None:
        self.by_connection[connection].append("closed")

    def limit_hit(self, hit: LimitHit) -> None:
        self.hits.append(hit)

    async def over(self, count: int) -> list[Connection]:
        """Wait for the end of so many connections."""
        while sum(one[-1] == "closed" for one in self.by_connection.values()) < count:
            await asyncio.sleep(0.01)
        assert len(self.by_connection) == count
        return list(self.by_connection)


def server(*observers: Observer, **changes: Any) -> fastsocks.Server:
    options: dict[str, Any] = {
        "addresses": ("127.0.0.1",),
        "port": 0,
        "method": METHOD,
        "password": KEYS[0],
        "users": {"alice": KEYS[1]},
        "allow_private": True,
    }
    return fastsocks.Server(
        fastsocks.ServerOptions(**{**options, **changes}), observers=list(observers)
    )


def proxy(*observers: Observer, **changes: Any) -> fastsocks.Proxy:
    options = fastsocks.ProxyOptions(**{"addresses": ("127.0.0.1",), "port": 0, **changes})
    return fastsocks.Proxy(options, observers=observers)


def local(behind: fastsocks.Server, *observers: Observer) -> fastsocks.Local:
    ((host, port),) = behind.addresses
    options = fastsocks.LocalOptions(
        addresses=("127.0.0.1",),
        port=0,
        server=host,
        server_port=port,
        method=METHOD,
        password=":".join(KEYS),
    )
    return fastsocks.Local(options, observers=observers)


def exchange(entrance: SocketAddress, target: SocketAddress) -> None:
    with open_connection(entrance, target) as client:
        client.send(b"question")
        client.finish()
        assert client.read_to_end() == b"question"


def exchange_datagrams(entrance: SocketAddress, target: SocketAddress) -> None:
    with Socks5Client(entrance) as client, socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(DEADLINE)
        client.negotiate()
        client.send(request(SocketAddress("0.0.0.0", 0), UDP_ASSOCIATE))
        bound = client.read_reply().bound
        header = b"\0\0\0" + request(target)[3:]
        sock.sendto(header + b"question", (bound.host, bound.port))
        assert sock.recv(1000)[len(header) :] == b"answer"


def test_both_ends_see_the_same_connection(run: Any) -> None:
    async def scenario(target: SocketAddress) -> None:
        near, far = Events(), Events()
        async with server(far) as behind, local(behind, near) as before:
            entrance = SocketAddress(*before.addresses[0])
            await asyncio.to_thread(exchange, entrance, target)
            for events, user in ((near, None), (far, "alice")):
                (connection,) = await events.over(1)
                assert events.by_connection[connection] == ["opened", "identified", "closed"]
                assert connection.network == "tcp"
                assert connection.user == user
                assert str(connection.target) == str(target)
                assert (connection.bytes_up, connection.bytes_down) == (8, 8)
                assert connection.error is None
            for service in (behind, before):
                assert service.stats().relayed == fastsocks.Usage(1, 0, 8, 8)
            assert next(iter(near.by_connection)).server is not None
            assert next(iter(far.by_connection)).server is None

    with ServingTarget(echo) as target:
        run(scenario(target.address))


@pytest.mark.parametrize("users", [None, {"bob": "secret"}])
def test_what_goes_with_requests_and_replies_is_counted(run: Any, users: Any) -> None:
    """Payload that is there before the relay begins counts at all of its counters."""
    reply = b"\5\0\5\0\0\1\0\0\0\0\0\0"

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(3)
        writer.write(reply[:2])
        await reader.readexactly(10)
        writer.write(reply[2:] + b"welcome")
        await reader.readexactly(8)
        writer.close()

    async def scenario() -> None:
        events = Events()
        listening = await asyncio.start_server(upstream, "127.0.0.1", 0)
        async with listening:
            _, port = listening.sockets[0].getsockname()
            options = {"accounts": users} if users else {}
            way = f"socks5://127.0.0.1:{port}"
            async with proxy(events, upstream=way, allow_private=True, **options) as service:
                reader, writer = await asyncio.open_connection(*service.addresses[0])
                hello = greeting(2) + credentials(b"bob", b"secret") if users else greeting(0)
                target = request(SocketAddress("127.0.0.1", 9))
                writer.write(hello + target + b"question")
                answer = await reader.read()
                writer.close()
                assert answer.endswith(b"welcome")
                (connection,) = await events.over(1)
                assert (connection.bytes_up, connection.bytes_down) == (8, 7)
                stats = service.stats()
                assert stats.relayed == fastsocks.Usage(1, 0, 8, 7)
                if users:
                    assert stats.users["bob"] == stats.relayed

    run(scenario())


def test_both_ends_see_the_same_association(run: Any) -> None:
    """And ``local`` the connection by which its client has asked for it."""

    async def scenario() -> None:
        near, far = Events(), Events()
        loop = asyncio.get_running_loop()
        with socket.socket(type=socket.SOCK_DGRAM) as target:
            target.bind(("127.0.0.1", 0))
            target.setblocking(False)
            loop.add_reader(target, lambda: target.sendto(b"answer", target.recvfrom(1000)[1]))
            address = SocketAddress(*target.getsockname())
            async with server(far) as behind, local(behind, near) as before:
                entrance = SocketAddress(*before.addresses[0])
                await asyncio.to_thread(exchange_datagrams, entrance, address)
                control, association = await near.over(2)
                assert (control.network, control.command) == ("tcp", 3)
                assert (control.bytes_up, control.bytes_down) == (0, 0)
            loop.remove_reader(target)
        # That of the server has ended with it.
        (other,) = await far.over(1)
        for connection, user in ((association, None), (other, "alice")):
            assert connection.network == "udp"
            assert connection.user == user
            assert connection.client == "127.0.0.1"
            assert (connection.bytes_up, connection.bytes_down) == (8, 6)
        for events in (near, far):
            assert set(map(tuple, events.by_connection.values())) == {
                ("opened", "identified", "closed")
            }

    run(scenario())


def test_what_is_refused(run: Any) -> None:
    async def scenario(target: SocketAddress) -> None:
        events = Events()
        rule = f"deny to {target.host} port {target.port}"
        options = {"rules": [rule], "accounts": {"bob": "secret"}, "max_connections": 1}
        async with proxy(events, **options) as service:
            entrance = SocketAddress(*service.addresses[0])

            def ask() -> None:
                with Socks5Client(entrance) as client:
                    client.send(greeting(2))
                    assert client.read_choice() == 2
                    client.send(credentials(b"bob", b"secret"))
                    assert client.read(2) == b"\1\0"
                    with Socks5Client(entrance) as other:
                        assert other.read_to_end() == b""
                    client.send(request(target))
                    assert client.read_reply().code == 2

            await asyncio.to_thread(ask)
            (connection,) = await events.over(1)
            assert events.by_connection[connection] == ["opened", "identified", "refused", "closed"]
            assert (connection.user, str(connection.target)) == ("bob", str(target))
            assert connection.error is not None
            assert connection.error.status == "not-allowed"
            assert events.hits == [LimitHit("max_connections", "127.0.0.1")]

    with ServingTarget(echo) as target:
        run(scenario(target.address))


def test_a_stop_closes_what_was_opened(run: Any) -> None:
    async def scenario(target: Target) -> None:
        events = Events()
        service = proxy(events)
        await service.start()
        entrance = SocketAddress(*service.addresses[0])
        client = await asyncio.to_thread(open_connection, entrance, target.address)
        with client, target.accept(), Socks5Client(entrance) as waiting:
            waiting.send(b"\5")
            while len(events.by_connection) < 2:
                await asyncio.sleep(0.01)
            await service.close()
        assert sorted(events.by_connection.values()) == [
            ["opened", "closed"],
            ["opened", "identified", "failed", "closed"],
        ]

    with Target() as target:
        run(scenario(target))


class FaultyObserver(Observer):
    """Cannot count."""

    def limit_hit(self, hit: LimitHit) -> None:
        raise ZeroDivisionError


def test_the_log_is_one_of_several_and_faults_are_told_once(
    run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    faults: list[dict[str, Any]] = []

    async def scenario(target: SocketAddress) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        events = Events()
        options = {"access_log": True, "max_connections": 1}
        async with proxy(FaultyObserver(), events, **options) as service:
            entrance = SocketAddress(*service.addresses[0])

            def fill() -> None:
                with open_connection(entrance, target) as client:
                    for _ in range(3):
                        with (
                            Socks5Client(entrance) as other,
                            contextlib.suppress(ConnectionResetError),
                        ):
                            # The kernel tells of connections once they have sent something.
                            other.send(b"\5")
                            assert other.read_to_end() == b""
                    client.finish()
                    assert client.read_to_end() == b""

            await asyncio.to_thread(fill)
            await events.over(1)
            assert len(events.hits) == 3
        assert [type(fault["exception"]) for fault in faults] == [ZeroDivisionError]
        assert "1 connections are open; further ones are closed" in caplog.text
        assert "up 0 down 0 bytes in" in caplog.text

    with ServingTarget(echo) as target:
        run(scenario(target.address))


class Waiting(Observer):
    """Takes itself for a coroutine function."""

    async def closed(self, connection: Connection) -> None:  # type: ignore[override]
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("observer", "text"),
    [
        (Observer, r"observers: <class .*Observer'> is no fastsocks\.Observer"),
        (Waiting(), "observers: Waiting.closed has to be a plain function"),
    ],
)
def test_what_is_no_observer(observer: Any, text: str) -> None:
    for make in (server, proxy):
        with pytest.raises(fastsocks.ConfigError, match=text):
            make(observer)


def test_events_that_nobody_wants_are_not_prepared() -> None:
    observer = proxy(Observer())._service.observer
    assert (observer.opened, observer.identified, observer.closed) == (None, None, None)
