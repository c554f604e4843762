"""Datagrams through servers that associations look for, and past them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from datagram_ends import (
    Engine,
    Far,
    ShadowsocksClient,
    SocksClient,
    UdpTwin,
    exchange,
    import_udp,
    new_packet_way,
    only,
    settle,
)
from fastsocks.address import Address
from fastsocks.errors import PolicyError, UpstreamError
from fastsocks.relay.packet_way import PacketWay

METHOD = "2022-blake3-aes-128-gcm"
SIZES = (0, 1, 512, 1400, 1473, 16384, 65000)
#: Of one association, while a packet way is looked for.
MOST_WAITING = 16


@pytest.fixture
def twin(implementation: str) -> UdpTwin:
    return import_udp(implementation)


class Control:
    """What a packet way lasts as long as."""

    def __init__(self) -> None:
        self.ended: Callable[[], None] | None = None
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Finder:
    """Leads to a server, once it is let."""

    def __init__(self, twin: UdpTwin, server: Address, method: str = METHOD) -> None:
        self._twin = twin
        self._server = server
        self._method = method
        self.open = asyncio.Event()
        self.asked: list[str] = []
        self.controls: list[Control] = []
        self.error: Exception | None = None
        self.given_up = False

    async def __call__(self, client: str) -> PacketWay:
        self.asked.append(client)
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.given_up = True
            raise
        if self.error is not None:
            raise self.error
        self.controls.append(Control())
        return new_packet_way(self._twin, self._method, self._server, self.controls[-1])


def directly(*hosts: str, denied: str = "") -> Callable[..., bool]:
    """Make rules that let these targets be reached directly."""

    def verdict_on(client: str, user: str | None, target: Address, resolved: str | None) -> bool:
        if denied in {target.host, resolved}:
            raise PolicyError("not this one")
        return target.host in hosts

    return verdict_on


@pytest.mark.parametrize("method", [METHOD, "aes-256-gcm", "none"])
def test_shadowsocks_clients_go_through_what_is_found(run: Any, twin: UdpTwin, method: str) -> None:
    async def scenario() -> None:
        async with Engine(twin) as far:
            finder = Finder(twin, far.serve(method), method)
            finder.open.set()
            async with Engine(twin, find_way=finder) as near:
                server = near.serve(METHOD)
                with (
                    ShadowsocksClient(twin, METHOD, server) as one,
                    ShadowsocksClient(twin, METHOD, server) as other,
                    Far() as target,
                ):
                    target.echo()
                    for client in (one, other):
                        for size in SIZES:
                            payload = bytes(size % 251 for _ in range(size))
                            client.ask(payload, target.address)
                            assert await client.answer() == (payload, target.address)
                    assert finder.asked == ["127.0.0.1"] * 2
                    for engine in (near, far):
                        assert engine.counters.associations == 2
                        assert engine.counters.packets_up == 2 * len(SIZES)
                        assert engine.counters.bytes_up == 2 * sum(SIZES)
                        assert not engine.counters.dropped
            assert [one.closed for one in finder.controls] == [True, True]

    run(scenario())


def test_it_is_kept_where_new_ones_get_none(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as far:
            finder = Finder(twin, far.serve(METHOD))
            finder.open.set()
            async with Engine(twin, find_way=finder) as near:
                server = near.serve(METHOD)
                with ShadowsocksClient(twin, METHOD, server) as client, Far() as target:
                    target.echo()
                    for size in (3, 1400):
                        client.ask(b"x" * size, target.address)
                        assert await client.answer() == (b"x" * size, target.address)
                        near.engine.change(
                            address_filter=None,
                            verdict_on=None,
                            find_way=None,
                            meter_of=None,
                            began=None,
                            over=None,
                        )
                assert far.counters.packets_up == near.counters.packets_up == 2

    run(scenario())


def test_what_is_on_its_way_together_is_not_mixed_up(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as far:
            finder = Finder(twin, far.serve(METHOD))
            finder.open.set()
            async with Engine(twin, find_way=finder) as near:
                server = near.serve(METHOD)
                with Far() as target, ExitStack() as stack:
                    target.echo()
                    clients = [
                        stack.enter_context(ShadowsocksClient(twin, METHOD, server))
                        for _ in range(5)
                    ]
                    for turn in range(3):
                        sent = [
                            [b"%d %d %d" % (turn, i, j) * 50 for j in range(8)] for i in range(5)
                        ]
                        await exchange(clients, sent, target)

    run(scenario())


def test_datagrams_wait_for_it_up_to_a_number(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as far:
            finder = Finder(twin, far.serve(METHOD))
            async with Engine(twin, find_way=finder) as near:
                _, relay = near.associate()
                with SocksClient(relay) as client, Far() as target:
                    target.echo()
                    for number in range(MOST_WAITING + 1):
                        client.ask(b"%d" % number, target.address)
                    await near.dropped("waiting")
                    assert near.counters.packets_up == 0
                    finder.open.set()
                    for number in range(MOST_WAITING):
                        assert await client.answer() == (b"%d" % number, target.address)
                    assert len(finder.asked) == 1

    run(scenario())


def test_without_one_they_are_dropped_and_nothing_leaks(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        finder = Finder(twin, Address.of("127.0.0.1", 9))
        finder.error = UpstreamError("there is none")
        async with Engine(twin, find_way=finder) as engine:
            server = engine.serve(METHOD)
            with (
                ShadowsocksClient(twin, METHOD, server) as client,
                Far() as target,
            ):
                client.ask(b"x", target.address)
                await settle(lambda: len(finder.asked) == 1, "nobody looks for it")
                finder.open.set()
                await engine.dropped("upstream")
                for _ in range(3):
                    client.ask(b"x", target.address)
                await engine.dropped("upstream", 4)
                assert len(finder.asked) == 1, "asked for again at once"
                with pytest.raises(BlockingIOError):
                    target.socket.recvfrom(100)

    run(scenario())


def test_rules_lead_past_it(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as far:
            finder = Finder(twin, far.serve(METHOD))
            finder.open.set()
            verdict_on = directly("127.0.0.2", "direct.example", denied="127.0.0.3")
            async with Engine(twin, find_way=finder, verdict_on=verdict_on) as near:
                near.resolver.cache["direct.example"] = ["127.0.0.3", "127.0.0.2"]
                with (
                    ShadowsocksClient(twin, METHOD, near.serve(METHOD)) as client,
                    Far("127.0.0.2") as direct,
                    Far() as target,
                    Far("127.0.0.3", direct.address.port) as denied,
                ):
                    for one in (direct, target, denied):
                        one.echo()
                    for name in ("127.0.0.2", "direct.example"):
                        client.ask(b"d", Address.of(name, direct.address.port))
                        assert await client.answer() == (b"d", direct.address)
                    assert finder.asked == []
                    for _ in range(2):
                        client.ask(b"t", target.address)
                        assert await client.answer() == (b"t", target.address)
                        client.ask(b"d", direct.address)
                        assert await client.answer() == (b"d", direct.address)
                    assert far.counters.packets_up == 2
                    client.ask(b"x", denied.address)
                    await near.dropped("not-allowed")

    run(scenario())


def test_the_guard_holds_both_ways(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as far:
            finder = Finder(twin, far.serve(METHOD))
            finder.open.set()
            verdict_on = directly("127.0.0.2", "127.0.0.3")
            address_filter = only("127.0.0.1", "127.0.0.2")
            async with Engine(
                twin, find_way=finder, verdict_on=verdict_on, address_filter=address_filter
            ) as near:
                with (
                    ShadowsocksClient(twin, METHOD, near.serve(METHOD)) as client,
                    Far("127.0.0.3") as not_direct,
                    Far("127.0.0.4") as not_by_server,
                    Far("127.0.0.2") as direct,
                    Far() as target,
                ):
                    for one in (direct, target):
                        one.echo()
                    client.ask(b"x", not_direct.address)
                    client.ask(b"x", not_by_server.address)
                    for one in (direct, target):
                        client.ask(b"y", one.address)
                        assert await client.answer() == (b"y", one.address)
                    await near.dropped("not-allowed", 2)
                    assert far.counters.packets_up == 1

    run(scenario())


def test_the_guard_holds_for_names_that_are_sent_on(run: Any, twin: UdpTwin) -> None:
    def address_filter(host: str) -> bool:
        return host != "b.example"

    async def scenario() -> None:
        async with Engine(twin) as far:
            far.resolver.cache["a.example"] = far.resolver.cache["b.example"] = ["127.0.0.1"]
            finder = Finder(twin, far.serve(METHOD))
            finder.open.set()
            async with Engine(twin, find_way=finder, address_filter=address_filter) as near:
                with (
                    ShadowsocksClient(twin, METHOD, near.serve(METHOD)) as client,
                    Far() as target,
                ):
                    target.echo()
                    client.ask(b"x", Address.of("B.Example.", target.address.port))
                    # In its one form.
                    client.ask(b"y", Address.of("A.Example.", target.address.port))
                    assert await client.answer() == (b"y", target.address)
                    await near.dropped("not-allowed")
                    assert far.counters.packets_up == 1

    run(scenario())


def test_one_that_was_found_is_found_again(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as far:
            finder = Finder(twin, far.serve(METHOD))
            finder.open.set()
            async with Engine(twin, find_way=finder) as near:
                with (
                    ShadowsocksClient(twin, METHOD, near.serve(METHOD)) as client,
                    Far() as target,
                ):
                    target.echo()
                    for number in range(1, 4):
                        client.ask(b"x", target.address)
                        assert await client.answer() == (b"x", target.address)
                        assert len(finder.controls) == number
                        control = finder.controls[-1]
                        assert control.ended is not None
                        control.ended()
                        assert control.closed
                    assert near.counters.associations == 1

    run(scenario())


def test_an_association_ends_with_one_that_it_was_given(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as far, Engine(twin) as near:
            control = Control()
            association, _ = near.associate(
                packet_way=new_packet_way(twin, METHOD, far.serve(METHOD), control)
            )
            ended = []
            association.ended = lambda: ended.append(True)
            assert control.ended is not None
            control.ended()
            assert ended == [True]
            assert control.closed
            assert not association.active

    run(scenario())


def test_its_end_gives_up_looking(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        finder = Finder(twin, Address.of("127.0.0.1", 9))
        async with Engine(twin, find_way=finder) as engine:
            association, relay = engine.associate()
            with SocksClient(relay) as client, Far() as target:
                client.ask(b"x", target.address)
                await settle(lambda: len(finder.asked) == 1, "nobody looks for it")
                association.close()
                await settle(lambda: finder.given_up, "it goes on")

    run(scenario())
