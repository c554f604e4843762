"""Datagrams of Shadowsocks clients: carried, answered, dropped."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from datagram_ends import (
    LARGEST,
    METHODS,
    Engine,
    Far,
    ScriptedResolver,
    ShadowsocksClient,
    UdpTwin,
    import_udp,
    only,
    settle,
)
from fastsocks.address import Address
from fastsocks.errors import ResolveError
from shadowsocks_ends import password

SIZES = (0, 1, 2, 63, 512, 1400, 1473, 8192, 16384, 65000)
METHOD = "2022-blake3-aes-128-gcm"


@pytest.fixture
def twin(implementation: str) -> UdpTwin:
    return import_udp(implementation)


@pytest.mark.parametrize("method", METHODS)
def test_every_size_comes_back_from_its_true_source(run: Any, twin: UdpTwin, method: str) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            with ShadowsocksClient(twin, method, engine.serve(method)) as client, Far() as target:
                target.echo()
                for size in SIZES:
                    payload = bytes(size % 251 for _ in range(size))
                    client.ask(payload, target.address)
                    assert await client.answer() == (payload, target.address)
                counters = engine.counters
                assert counters.packets_up == counters.packets_down == len(SIZES)
                assert counters.bytes_up == counters.bytes_down == sum(SIZES)
                assert counters.associations == 1
                assert not counters.dropped

    run(scenario())


def test_the_largest_datagram_there_is_reaches_the_target(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            with ShadowsocksClient(twin, "none", engine.serve("none")) as client, Far() as target:
                payload = bytes(LARGEST - len(target.address.wire))
                client.ask(payload, target.address)
                data, source = await target.receive()
                assert data == payload
                # Its answer has no room for a header of 7 bytes.
                target.send(bytes(LARGEST), source)
                await engine.dropped("oversize")
                target.send(payload, source)
                assert await client.answer() == (payload, target.address)

    run(scenario())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_anybody_may_answer(run: Any, twin: UdpTwin, host: str) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            with (
                ShadowsocksClient(twin, METHOD, engine.serve(METHOD)) as client,
                Far(host) as first,
                Far(host) as second,
                Far(host) as stranger,
            ):
                client.ask(b"one", first.address)
                client.ask(b"two", second.address)
                _, source = await first.receive()
                assert await second.receive() == (b"two", source), "one socket for all targets"
                stranger.send(b"unasked", source)
                assert await client.answer() == (b"unasked", stranger.address)

    run(scenario())


def test_both_families_at_once(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            with (
                ShadowsocksClient(twin, METHOD, engine.serve(METHOD)) as client,
                Far() as four,
                Far("::1") as six,
            ):
                four.echo()
                six.echo()
                for target in (four, six, four):
                    client.ask(b"x", target.address)
                    assert await client.answer() == (b"x", target.address)

    run(scenario())


@pytest.mark.parametrize("method", ["aes-256-gcm", "none"])
def test_a_source_address_is_an_association(run: Any, twin: UdpTwin, method: str) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            server = engine.serve(method)
            with (
                ShadowsocksClient(twin, method, server) as one,
                ShadowsocksClient(twin, method, server) as other,
                Far() as target,
            ):
                sources = []
                for client in (one, other, one):
                    client.ask(b"x", target.address)
                    sources.append((await target.receive())[1])
                assert sources[0] == sources[2] != sources[1]
                for source in sources[:2]:
                    target.send(str(source).encode(), source)
                for client, source in zip((one, other), sources, strict=False):
                    assert await client.answer() == (str(source).encode(), target.address)
                assert engine.counters.associations == 2

    run(scenario())


def test_a_session_may_move(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            with (
                ShadowsocksClient(twin, METHOD, engine.serve(METHOD)) as client,
                Far() as elsewhere,
                Far() as target,
            ):
                client.ask(b"here", target.address)
                _, source = await target.receive()
                packet = client.seal(b"there", target.address)
                elsewhere.send(packet, client.server)
                assert await target.receive() == (b"there", source)
                # A replay, from anywhere, moves nothing.
                client.send(packet, client.server)
                await engine.dropped("replay")
                target.send(b"answer", source)
                data, _ = await elsewhere.receive()
                assert client.packets.open(data, time.time())[2] == b"answer"
                assert engine.counters.associations == 1

    run(scenario())


@pytest.mark.parametrize("method", METHODS[:4])
def test_bad_packets_are_dropped(run: Any, twin: UdpTwin, method: str) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            with ShadowsocksClient(twin, method, engine.serve(method)) as client, Far() as target:
                target.echo()
                packet = client.seal(b"x", target.address)
                for size in (0, 1, 7, 15):
                    client.send(packet[:size], client.server)
                if method != "aes-256-cfb":
                    client.send(packet[:-1], client.server)
                    client.send(bytes(500), client.server)
                client.send(packet, client.server)
                client.send(packet, client.server)
                assert await client.answer() == (b"x", target.address)
                expected = 5 if method == "aes-256-cfb" else 7
                await settle(
                    lambda: sum(engine.counters.dropped.values()) == expected,
                    f"dropped: {engine.counters.dropped}",
                )
                assert engine.counters.dropped["replay"] == 1
                assert engine.counters.associations == 1
                assert engine.counters.packets_up == 1

    run(scenario())


def test_users_have_sessions_of_their_own(run: Any, twin: UdpTwin) -> None:
    psk = "MDEyMzQ1Njc4OWFiY2RlZg=="
    users = {"alice": "YWxpY2VhbGljZWFsaWNlLg==", "bob": "Ym9iYm9iYm9iYm9iYm9iLg=="}

    async def scenario() -> None:
        async with Engine(twin, capacity_per_user=1) as engine:
            server = engine.serve(METHOD, psk, users=users)
            keys = [f"{psk}:{key}" for key in users.values()]
            with (
                ShadowsocksClient(twin, METHOD, server, keys[0]) as alice,
                ShadowsocksClient(twin, METHOD, server, keys[1]) as bob,
                ShadowsocksClient(twin, METHOD, server, f"{psk}:{password(METHOD)}") as nobody,
                ShadowsocksClient(twin, METHOD, server, keys[0]) as alice_again,
                Far() as target,
            ):
                target.echo()
                for client in (alice, bob):
                    client.ask(b"x", target.address)
                    assert await client.answer() == (b"x", target.address)
                nobody.ask(b"x", target.address)
                await engine.dropped("unknown-user")
                assert engine.counters.associations == 2
                alice_again.ask(b"y", target.address)
                assert await alice_again.answer() == (b"y", target.address)
                assert engine.counters.associations == 2, "alice has two"

    run(scenario())


def test_icmp_ends_nothing(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            with ShadowsocksClient(twin, METHOD, engine.serve(METHOD)) as client, Far() as target:
                with Far() as gone:
                    nobody = gone.address
                target.echo()
                for _ in range(3):
                    client.ask(b"to nobody", nobody)
                    client.ask(b"x", target.address)
                    assert await client.answer() == (b"x", target.address)

    run(scenario())


def test_a_client_that_is_gone_ends_nothing(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            server = engine.serve("none")
            with Far() as target:
                with ShadowsocksClient(twin, "none", server) as gone:
                    gone.ask(b"x", target.address)
                    _, source = await target.receive()
                for _ in range(3):
                    target.send(b"into the void", source)
                with ShadowsocksClient(twin, "none", server) as client:
                    target.echo()
                    client.ask(b"x", target.address)
                    assert await client.answer() == (b"x", target.address)

    run(scenario())


class TestNames:
    """Targets that somebody has to resolve."""

    def test_known_ones_are_sent_to_at_once(self, run: Any, twin: UdpTwin) -> None:
        async def scenario() -> None:
            async with Engine(twin) as engine:
                with (
                    ShadowsocksClient(twin, METHOD, engine.serve(METHOD)) as client,
                    Far() as target,
                ):
                    target.echo()
                    engine.resolver.cache["known.example"] = ["127.0.0.1"]
                    client.ask(b"x", Address.of("known.example", target.address.port))
                    assert await client.answer() == (b"x", target.address)
                    assert engine.resolver.asked == []

        run(scenario())

    def test_others_wait_for_their_answer(self, run: Any, twin: UdpTwin) -> None:
        async def scenario() -> None:
            async with Engine(twin) as engine:
                with (
                    ShadowsocksClient(twin, METHOD, engine.serve(METHOD)) as client,
                    Far() as target,
                ):
                    engine.resolver.names["new.example"] = ["127.0.0.1"]
                    name = Address.of("new.example", target.address.port)
                    for number in range(20):
                        client.ask(b"%d" % number, name)
                    await engine.dropped("waiting", 4)
                    engine.resolver.open.set()
                    got = [(await target.receive())[0] for _ in range(16)]
                    assert got == [b"%d" % number for number in range(16)]
                    # There is room again.
                    client.ask(b"later", name)
                    assert (await target.receive())[0] == b"later"

        run(scenario())

    def test_the_address_that_works_is_taken(self, run: Any, twin: UdpTwin) -> None:
        async def scenario() -> None:
            async with Engine(twin) as engine:
                with (
                    ShadowsocksClient(twin, METHOD, engine.serve(METHOD)) as client,
                    Far() as target,
                ):
                    target.echo()
                    # The kernel lets nobody broadcast who did not ask for it.
                    engine.resolver.cache["both.example"] = ["255.255.255.255", "127.0.0.1"]
                    client.ask(b"x", Address.of("both.example", target.address.port))
                    assert await client.answer() == (b"x", target.address)

        run(scenario())

    def test_those_that_are_none_are_dropped(self, run: Any, twin: UdpTwin) -> None:
        async def scenario() -> None:
            async with Engine(twin) as engine:
                with ShadowsocksClient(twin, METHOD, engine.serve(METHOD)) as client:
                    engine.resolver.names["no.example"] = ResolveError("no such name")
                    engine.resolver.open.set()
                    client.ask(b"x", Address.of("no.example", 53))
                    await engine.dropped("resolve")

        run(scenario())

    def test_the_end_does_not_wait_for_them(self, run: Any, twin: UdpTwin) -> None:
        async def scenario() -> None:
            async with Engine(twin) as engine:
                with ShadowsocksClient(twin, METHOD, engine.serve(METHOD)) as client:
                    engine.resolver.names["slow.example"] = ["127.0.0.1"]
                    client.ask(b"x", Address.of("slow.example", 53))
                    await settle(lambda: bool(engine.resolver.asked), "nobody looks it up")

        run(scenario())


class TestRules:
    """What may be reached, asked for every datagram."""

    def test_addresses(self, run: Any, twin: UdpTwin) -> None:
        async def scenario() -> None:
            async with Engine(twin, address_filter=only("127.0.0.1")) as engine:
                with (
                    ShadowsocksClient(twin, METHOD, engine.serve(METHOD)) as client,
                    Far() as target,
                    Far("127.0.0.2") as forbidden,
                ):
                    target.echo()
                    forbidden.echo()
                    client.ask(b"x", forbidden.address)
                    client.ask(b"x", Address.of("169.254.169.254", 80))
                    client.ask(b"y", target.address)
                    assert await client.answer() == (b"y", target.address)
                    await engine.dropped("not-allowed", 2)

        run(scenario())

    @pytest.mark.parametrize("cached", [True, False])
    def test_what_names_stand_for(self, run: Any, twin: UdpTwin, cached: bool) -> None:
        async def scenario() -> None:
            async with Engine(twin, address_filter=only("127.0.0.1")) as engine:
                with (
                    ShadowsocksClient(twin, METHOD, engine.serve(METHOD)) as client,
                    Far() as target,
                ):
                    target.echo()
                    known(engine.resolver, cached, "bad.example", ["127.0.0.2", "10.0.0.1"])
                    known(engine.resolver, cached, "mixed.example", ["127.0.0.2", "127.0.0.1"])
                    client.ask(b"x", Address.of("bad.example", target.address.port))
                    await engine.dropped("not-allowed")
                    client.ask(b"y", Address.of("mixed.example", target.address.port))
                    assert await client.answer() == (b"y", target.address)

        run(scenario())

    def test_port_0_is_no_target(self, run: Any, twin: UdpTwin) -> None:
        async def scenario() -> None:
            async with Engine(twin) as engine:
                with ShadowsocksClient(twin, METHOD, engine.serve(METHOD)) as client:
                    client.ask(b"x", Address.of("127.0.0.1", 0))
                    await engine.dropped("bad-address")

        run(scenario())


def known(resolver: ScriptedResolver, cached: bool, name: str, addresses: list[str]) -> None:
    if cached:
        resolver.cache[name] = addresses
    else:
        resolver.names[name] = addresses
        resolver.open.set()


def test_a_burst_arrives_whole_and_in_order(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            with ShadowsocksClient(twin, METHOD, engine.serve(METHOD)) as client, Far() as target:
                for start in range(0, 2000, 100):
                    for number in range(start, start + 100):
                        client.ask(b"%d" % number, target.address)
                    for number in range(start, start + 100):
                        data, source = await target.receive()
                        assert data == b"%d" % number
                        target.send(data, source)
                    for number in range(start, start + 100):
                        assert await client.answer() == (b"%d" % number, target.address)
                assert not engine.counters.dropped
                await asyncio.sleep(0)

    run(scenario())
