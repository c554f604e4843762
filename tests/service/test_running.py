"""The life of services in a loop of the test's own."""

from __future__ import annotations

import asyncio
import copy
import errno
import gc
import importlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from fastsocks.config import LocalOptions, ProxyOptions, ServerOptions
from fastsocks.errors import ConfigError, ListenError, MethodError, StoppedError
from fastsocks.inbound import Inbounds
from fastsocks.journal.stats import CapStats
from fastsocks.policy import Usage
from fastsocks.service import Local, Proxy, Running, Server, SharedState
from harness.deadline import DEADLINE
from harness.listener import SocketAddress, require_loopback
from harness.pattern import pattern
from harness.socks import UDP_ASSOCIATE, Socks5Client, open_connection, request
from harness.targets import ServingTarget, Target, echo

KEY = "AAECAwQFBgcICQoLDA0ODw=="
METHOD = "2022-blake3-aes-128-gcm"


running_module: Any = importlib.import_module("fastsocks.service.running")
#: The package has a function of that name.
listen_module: Any = importlib.import_module("fastsocks.net.listen")


def local_proxy(**changes: Any) -> Proxy:
    return Proxy(ProxyOptions(**{"port": 0, **changes}))


def exchange(entrance: tuple[str, int], target: SocketAddress, size: int = 100_000) -> None:
    """Send bytes through a SOCKS5 server to an echo target and compare them."""
    with open_connection(SocketAddress(*entrance), target) as client:
        client.send(pattern(size))
        client.finish()
        assert client.read_to_end() == pattern(size)


async def with_deadline(call: Callable[..., None], *arguments: Any) -> None:
    await asyncio.wait_for(asyncio.to_thread(call, *arguments), DEADLINE)


def test_several_services_share_a_loop(run: Any) -> None:
    async def scenario(target: SocketAddress) -> None:
        async with (
            Server(
                ServerOptions(
                    addresses=("127.0.0.1",),
                    port=0,
                    method=METHOD,
                    password=KEY,
                    allow_private=True,
                )
            ) as server,
            local_proxy() as proxy,
        ):
            ((host, port),) = server.addresses
            options = LocalOptions(
                port=0, server=host, server_port=port, method=METHOD, password=KEY
            )
            async with Local(options) as local:
                for service in (proxy, local):
                    await with_deadline(exchange, service.addresses[0], target)
                assert local.stats().accepted == 1
                assert server.stats().accepted == 1

    with ServingTarget(echo) as target:
        run(scenario(target.address))


def test_addresses_are_those_of_the_sockets(run: Any) -> None:
    async def scenario() -> None:
        service = local_proxy(addresses=("127.0.0.1", "::1"))
        assert service.addresses == []
        async with service:
            assert [host for host, _ in service.addresses] == ["127.0.0.1", "::1"]
            for address in service.addresses:
                socket.create_connection(address, timeout=DEADLINE).close()

    run(scenario())


def test_a_port_in_use_leaves_nothing_open(run: Any) -> None:
    async def scenario() -> None:
        async with local_proxy(addresses=("::1",)) as first:
            port = first.addresses[0][1]
            # An address at which no connection of another test can have this port.
            second = local_proxy(addresses=("127.0.0.77", "::1"), port=port)
            with pytest.raises(ListenError, match=rf"\[::1\]:{port}"):
                await second.start()
            await second.close()
            gc.collect()  # a socket that was forgotten fails the test
            async with local_proxy(addresses=("127.0.0.77",), port=port):
                pass

    run(scenario())


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_DEFER_ACCEPT is of Linux")
@pytest.mark.parametrize("needed", [True, False])
def test_the_kernel_waits_for_bytes_where_they_are_needed(run: Any, needed: bool) -> None:
    class Makers(Inbounds):
        needs_no_byte = not needed

    async def scenario() -> None:
        one = local_proxy()
        one._service.inbounds = Makers  # type: ignore[method-assign]
        (listening,) = one.bind()
        sock = listening.streams[0].dup()
        await one.start(listening)
        with sock:
            deferred = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT)
            assert bool(deferred) is needed
        await one.close()

    run(scenario())


def test_the_counters_of_a_service(run: Any) -> None:
    """One connection that was relayed, and one that failed."""

    async def scenario(target: SocketAddress) -> None:
        proxy = local_proxy(max_connections=50)
        assert proxy.stats().caps["max_connections"] == CapStats(50, 0, 0)
        async with proxy:
            entrance = SocketAddress(*proxy.addresses[0])
            client = await asyncio.to_thread(open_connection, entrance, target)
            with client:
                client.send(pattern(100))
                assert await asyncio.to_thread(client.read, 100) == pattern(100)
                stats = proxy.stats()
                assert (stats.accepted, stats.active) == (1, 1)
                assert stats.relayed == Usage(1, 1, 100, 100)
                assert stats.caps["max_connections"] == CapStats(50, 1, 0)
            _, writer = await asyncio.open_connection(*entrance)
            writer.write(b"\1")
            writer.close()
            while proxy.active or not proxy.stats().failures:
                await asyncio.sleep(0.01)
        stats = proxy.stats()
        assert (stats.accepted, stats.active, stats.failures) == (2, 0, {"version": 1})
        assert stats.relayed == Usage(1, 0, 100, 100)
        assert stats.datagrams.associations == 0
        assert stats.users == {}

    with ServingTarget(echo) as target:
        run(scenario(target.address))


def test_the_acceptor_says_what_takes_its_place(run: Any) -> None:
    async def scenario() -> None:
        async with local_proxy() as proxy:
            with pytest.deprecated_call(match=r"write stats\(\), which has accepted"):
                acceptor = proxy.acceptor
            assert (acceptor.accepted, acceptor.active, acceptor.failures) == (0, 0, {})
            assert acceptor.relayed.bytes_up == 0

    run(scenario())


def test_a_service_is_closed_while_it_starts(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has opened by then is closed, and it can be started anew."""
    looking, found = threading.Event(), threading.Event()
    real = running_module.bind

    def bind(*arguments: Any, **options: Any) -> Any:
        looking.set()
        found.wait(DEADLINE)
        return real(*arguments, **options)

    async def scenario() -> None:
        service = local_proxy(addresses=("localhost",))
        with monkeypatch.context() as patch:
            patch.setattr(running_module, "bind", bind)
            starting = asyncio.ensure_future(service.start())
            await asyncio.to_thread(looking.wait, DEADLINE)
            with pytest.raises(RuntimeError, match="started before"):
                await service.start()
            closing = asyncio.ensure_future(service.close())
            with pytest.raises(StoppedError, match="closed before it had started"):
                await starting
            await closing
            found.set()
        assert service.addresses == []
        await service.start()
        assert service.addresses
        await service.close()

    run(scenario())
    # A socket that is still open warns now, and warnings are errors.
    gc.collect()


def test_a_start_that_fails_leaves_nothing_open(run: Any) -> None:
    async def scenario() -> None:
        service = local_proxy()
        (listening,) = service.bind()
        closed = socket.socket()
        closed.close()
        listening.streams.append(closed)
        with pytest.raises((OSError, ValueError)):
            await service.start(listening)
        assert listening.streams[0].fileno() == -1

    run(scenario())


def test_a_start_that_is_given_up_leaves_nothing_open(run: Any) -> None:
    async def scenario() -> None:
        # The one thread that looks names up is kept until the start is given up.
        loop, given_up = asyncio.get_running_loop(), threading.Event()
        loop.set_default_executor(ThreadPoolExecutor(1))
        kept = loop.run_in_executor(None, given_up.wait)
        service = local_proxy(addresses=("localhost",))
        starting = asyncio.ensure_future(service.start())
        await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        given_up.set()
        await kept

    run(scenario())
    # A socket that is still open warns now, and warnings are errors.
    gc.collect()


def test_a_service_starts_once(run: Any) -> None:
    async def scenario() -> None:
        service = local_proxy()
        with pytest.raises(RuntimeError, match="not started"):
            await service.drain()
        async with service:
            with pytest.raises(RuntimeError, match="started before"):
                await service.start()
        await service.close()

    run(scenario())


def test_draining_lets_relays_finish(run: Any) -> None:
    async def scenario(target: SocketAddress) -> None:
        async with local_proxy() as service:
            entrance = SocketAddress(*service.addresses[0])
            client = await asyncio.to_thread(open_connection, entrance, target)
            with client:
                assert service.stats().active == 1
                draining = asyncio.ensure_future(service.drain(grace=20))
                await refused(entrance)
                assert not await service.drain(grace=0)
                client.send(b"late")
                assert await asyncio.to_thread(client.read, 4) == b"late"
                client.finish()
                assert await asyncio.to_thread(client.read_to_end) == b""
            assert await draining
            assert service.stats().active == 0

    with ServingTarget(echo) as target:
        run(scenario(target.address))


def test_closing_resets_both_ends_of_relays(run: Any) -> None:
    async def scenario(target: Target) -> None:
        service = local_proxy()
        await service.start()
        entrance = SocketAddress(*service.addresses[0])
        client = await asyncio.to_thread(open_connection, entrance, target.address)
        with client:
            accepted = target.accept()
            await service.close()
            assert service.stats().active == 0
            for end in (client.connection, accepted):
                with pytest.raises(ConnectionResetError):
                    await asyncio.to_thread(end.recv, 1)

    with Target() as target:
        run(scenario(target))


async def refused(address: SocketAddress) -> None:
    """Wait until nothing listens at `address` any more."""
    while True:
        try:
            _, writer = await asyncio.open_connection(*address)
        except ConnectionRefusedError:
            return
        writer.close()


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Server(ServerOptions(method="rot13", password="x")), MethodError),
        (lambda: Server(ServerOptions(method=METHOD, password="x")), ConfigError),
        (lambda: Server(ServerOptions(method="aes-256-gcm")), ConfigError),
        (
            lambda: Server(ServerOptions(method="aes-256-gcm", password="x", users={"a": KEY})),
            ConfigError,
        ),
        (lambda: Local(LocalOptions(server="x", method="rot13", password="x")), MethodError),
        (lambda: Local(LocalOptions(server="a\0b", method="none")), ConfigError),
        (lambda: Local(LocalOptions(server="x" * 256, method="none")), ConfigError),
    ],
)
def test_a_wrong_configuration_does_not_start(
    make: Callable[[], Running], error: type[Exception]
) -> None:
    with pytest.raises(error):
        make()


def test_serve_forever_ends_when_it_is_closed(run: Any) -> None:
    async def scenario() -> None:
        proxy = local_proxy()
        await proxy.start()
        serving = asyncio.create_task(proxy.serve_forever())
        _, writer = await asyncio.open_connection(*proxy.addresses[0])
        writer.close()
        await proxy.close()
        await serving

    run(scenario())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_forever_takes_signals_where_it_is_told_to(run: Any, number: signal.Signals) -> None:
    before = signal.getsignal(number)

    async def scenario() -> None:
        proxy = local_proxy(grace=60)
        await proxy.start()
        address = proxy.addresses[0]
        serving = asyncio.create_task(proxy.serve_forever(handle_signals=True))
        _, writer = await asyncio.open_connection(*address)
        writer.write(b"\5")
        while not proxy.stats().active:
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), number)
        await refused(SocketAddress(*address))
        assert not serving.done()
        # The connection that has not ended by itself ends with the second signal.
        os.kill(os.getpid(), number)
        await serving
        writer.close()

    run(scenario())
    assert signal.getsignal(number) is before


def test_loopback_of_either_family_is_the_default(run: Any) -> None:
    """By TCP, and by the UDP that belongs to it."""
    require_loopback("::1")

    def associate(entrance: tuple[str, int]) -> None:
        with Socks5Client(SocketAddress(*entrance)) as client:
            client.negotiate()
            client.send(request(SocketAddress("0.0.0.0", 0), UDP_ASSOCIATE))
            assert client.read_reply().bound.host == entrance[0]

    async def scenario(target: SocketAddress) -> None:
        async with local_proxy() as service:
            port = service.addresses[0][1]
            assert service.addresses == [("127.0.0.1", port), ("::1", port)]
            for entrance in service.addresses:
                await with_deadline(exchange, entrance, target)
                await with_deadline(associate, entrance)

    with ServingTarget(echo) as target:
        run(scenario(target.address))


@pytest.mark.parametrize("number", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT])
def test_a_host_without_ipv6_listens_by_ipv4(
    run: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    """Nobody has named the other address, so that its absence is worth no line."""
    real = listen_module._listen_one

    def listen_one(family: int, *rest: Any) -> Any:
        if family == socket.AF_INET6:
            raise OSError(number, os.strerror(number))
        return real(family, *rest)

    async def scenario() -> None:
        monkeypatch.setattr(listen_module, "_listen_one", listen_one)
        async with local_proxy() as service:
            assert [host for host, _ in service.addresses] == ["127.0.0.1"]
        assert not caplog.records
        async with local_proxy(addresses=("127.0.0.1", "::1")):
            assert "::1" in caplog.text

    run(scenario())


@pytest.mark.parametrize("workers", [1, 2])
def test_an_address_that_is_missing_is_a_line(
    run: Any, caplog: pytest.LogCaptureFixture, workers: int
) -> None:
    async def scenario() -> None:
        service = local_proxy(addresses=("192.0.2.77", "127.0.0.1"))
        listening = service.bind(workers)
        await service.start(listening[0])
        for other in listening[1:]:
            other.close()
        assert [host for host, _ in service.addresses] == ["127.0.0.1"]
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "192.0.2.77" in caplog.text
        assert "other addresses only" in caplog.text
        await service.close()

    run(scenario())


def test_sockets_and_counts_can_be_handed_in(run: Any) -> None:
    """As a program with processes of its own does it; here two places are in one process."""
    options = ProxyOptions(port=0, max_connections_per_client=3)
    states = [SharedState(2), SharedState(2)]
    states[1].clients = copy.copy(states[0].clients)
    states[1].counters = copy.copy(states[0].counters)
    for worker, state in enumerate(states):
        state.enter(worker)

    def fill(address: tuple[str, int]) -> None:
        with ExitStack() as stack:
            for _ in range(3):
                client = stack.enter_context(Socks5Client(SocketAddress(*address)))
                client.negotiate()
            # Whichever of the two gets them.
            for _ in range(8):
                client = stack.enter_context(Socks5Client(SocketAddress(*address)))
                with pytest.raises((EOFError, ConnectionError)):
                    client.negotiate()

    async def scenario() -> None:
        services = [Proxy(options, state) for state in states]
        listening = services[0].bind(2)
        for service, one in zip(services, listening, strict=True):
            await service.start(one)
        try:
            assert services[0].addresses == services[1].addresses
            await with_deadline(fill, services[0].addresses[0])
            for service in services:
                service.stats()
            found = [service.stats() for service in (*services, Proxy(options, states[0]))]
            assert [one.accepted for one in found] == [11] * 3
            assert [one.failures["limit"] for one in found] == [8] * 3
            assert found[0].caps["max_connections_per_client"] == CapStats(3, None, 8)
        finally:
            for service in services:
                await service.close()

    run(scenario())
