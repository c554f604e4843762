"""How long associations live, how many there may be, and what they leave behind."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from datagram_ends import (
    Engine,
    Far,
    ShadowsocksClient,
    SocksClient,
    UdpTwin,
    bound,
    count_descriptors,
    import_udp,
    settle,
)
from fastsocks.address import Address
from fastsocks.errors import PolicyError
from harness.deadline import DEADLINE

#: Seconds. Long enough that a busy machine does not pause for so long.
LIMIT = 0.7
METHOD = "2022-blake3-aes-128-gcm"


@pytest.fixture
def twin(implementation: str) -> UdpTwin:
    return import_udp(implementation)


def test_idle_associations_end_and_busy_ones_live(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        async with Engine(twin, timeout=LIMIT) as engine:
            idle, _ = engine.associate()
            ended: asyncio.Future[None] = loop.create_future()
            idle.ended = lambda: ended.set_result(None)
            busy, relay = engine.associate()
            with SocksClient(relay) as client, Far() as target:
                client.ask(b"x", target.address)
                _, source = await target.receive()
                end = loop.time() + 2.5 * LIMIT
                while loop.time() < end:
                    # One way is enough.
                    target.send(b"y", source)
                    assert await client.answer() == (b"y", target.address)
                    await asyncio.sleep(LIMIT / 7)
                await asyncio.wait_for(ended, DEADLINE)
                assert not idle.active
                assert busy.active
                assert engine.counters.associations == 1

    run(scenario())


@pytest.mark.parametrize("method", ["aes-256-gcm", "none"])
def test_an_idle_client_gets_a_new_association(run: Any, twin: UdpTwin, method: str) -> None:
    async def scenario() -> None:
        async with Engine(twin, timeout=LIMIT) as engine:
            with ShadowsocksClient(twin, method, engine.serve(method)) as client, Far() as target:
                client.ask(b"x", target.address)
                await target.receive()
                await settle(lambda: engine.counters.associations == 0, "it never ends")
                client.ask(b"y", target.address)
                data, source = await target.receive()
                assert data == b"y"
                target.send(b"z", source)
                assert await client.answer() == (b"z", target.address)

    run(scenario())


def test_the_oldest_makes_room(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin, capacity=2) as engine:
            ended: list[str] = []
            made = []
            for name in ("first", "second"):
                association, relay = engine.associate()
                association.ended = lambda name=name: ended.append(name)
                made.append((association, relay))
            # The first is used, so that the second is the one not used for longest.
            with SocksClient(made[0][1]) as client, Far() as target:
                client.ask(b"x", target.address)
                await target.receive()
                third, _ = engine.associate()
                assert ended == ["second"]
                assert [made[0][0].active, made[1][0].active, third.active] == [True, False, True]
                assert engine.counters.associations == 2

    run(scenario())


def test_an_eviction_amid_a_batch_mixes_nothing_up(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin, capacity=1) as engine:
            server = engine.serve(METHOD)
            with (
                Far() as target,
                ShadowsocksClient(twin, METHOD, server) as one,
                ShadowsocksClient(twin, METHOD, server) as other,
            ):
                one.ask(b"first", target.address)
                assert (await target.receive())[0] == b"first"
                # One batch, whose first packet ends the association of the other client.
                sent = [b"%d of many" % number for number in range(8)]
                for payload in sent:
                    other.ask(payload, target.address)
                assert [(await target.receive())[0] for _ in sent] == sent

    run(scenario())


def test_a_user_has_a_cap_of_their_own(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin, capacity=4, capacity_per_user=1) as engine:
            users = ("alice", "bob", "alice", None, None)
            made = [engine.associate(user=user)[0] for user in users]
            assert [one.active for one in made] == [False, True, True, True, True]
            made.append(engine.associate(user="bob")[0])
            assert [one.active for one in made] == [False, False, True, True, True, True]

    run(scenario())


def test_closing_frees_and_tells_nobody(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            before = count_descriptors()
            association, relay = engine.associate()
            told: list[None] = []
            association.ended = lambda: told.append(None)
            with SocksClient(relay) as client, Far() as four, Far("::1") as six:
                for target in (four, six):
                    client.ask(b"x", target.address)
                    await target.receive()
                association.close()
                association.close()
                assert not association.active
                assert engine.counters.associations == 0
            await settle(lambda: count_descriptors() == before, "descriptors are left")
            assert told == []

    run(scenario())


def test_an_association_without_a_socket_is_none(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            before = count_descriptors()
            sock = bound()
            # The kernel lets nobody broadcast who did not ask for it.
            nowhere = engine.packet_way("none", Address.of("255.255.255.255", 1))
            with pytest.raises(PermissionError):
                engine.engine.associate(sock, "127.0.0.1", 0, nowhere)
            sock.close()
            await settle(lambda: count_descriptors() <= before, "descriptors are left")
            assert engine.counters.associations == 0

    run(scenario())


def test_to_stop_serving_leaves_socks_clients_alone(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            server = engine.serve(METHOD)
            _, relay = engine.associate()
            with (
                ShadowsocksClient(twin, METHOD, server) as served,
                SocksClient(relay) as client,
                Far() as target,
            ):
                target.echo()
                served.ask(b"x", target.address)
                assert await served.answer() == (b"x", target.address)
                engine.engine.stop_serving()
                client.ask(b"y", target.address)
                assert await client.answer() == (b"y", target.address)
                await settle(lambda: is_free(server.port), "the port is taken")

    run(scenario())


def is_free(port: int) -> bool:
    try:
        bound(port=port).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc: Linux only")
@pytest.mark.parametrize("method", ["none", METHOD])
def test_a_flood_of_clients_stays_within_bounds(run: Any, twin: UdpTwin, method: str) -> None:
    async def scenario() -> None:
        async with Engine(twin, capacity=16) as engine:
            server = engine.serve(method)
            with Far() as target:
                before = count_descriptors()
                for number in range(200):
                    with ShadowsocksClient(twin, method, server) as client:
                        client.ask(b"%d" % number, target.address)
                        assert (await target.receive())[0] == b"%d" % number
                    assert engine.counters.associations <= 16
                await settle(lambda: count_descriptors() <= before + 16, "descriptors pile up")
                assert engine.counters.associations == 16

    run(scenario())


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc: Linux only")
def test_many_come_and_go(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            before = count_descriptors()
            with Far() as target:
                target.echo()
                for _ in range(50):
                    association, relay = engine.associate()
                    with SocksClient(relay) as client:
                        client.ask(b"x", target.address)
                        assert await client.answer() == (b"x", target.address)
                    association.close()
            await settle(lambda: count_descriptors() <= before, "descriptors are left")

    run(scenario())


def test_each_association_is_told_of_with_what_it_carried(run: Any, twin: UdpTwin) -> None:
    began: list[Any] = []
    over: list[tuple[Any, str | None, str, int, int]] = []

    def note(one: Any) -> None:
        over.append((one, one.user, one.client_host, one.bytes_up, one.bytes_down))

    async def scenario() -> None:
        async with Engine(twin, began=began.append, over=note) as engine:
            server = engine.serve(METHOD)
            association, relay = engine.associate(user="alice")
            with (
                ShadowsocksClient(twin, METHOD, server) as one,
                SocksClient(relay) as other,
                Far() as target,
            ):
                assert began == [association]
                for client in (one, other):
                    client.ask(b"four", target.address)
                    _, source = await target.receive()
                    target.send(b"fifteen bytes..", source)
                    await client.answer()
                assert len(began) == 2
                assert not over
                association.close()
                association.close()
                assert over == [(association, "alice", "127.0.0.1", 4, 15)]
                engine.engine.stop_serving()
                assert over[1:] == [(began[1], None, "127.0.0.1", 4, 15)]

    run(scenario())


@pytest.mark.parametrize("judged", [False, True])
def test_targets_are_asked_about_again_when_told_to(run: Any, twin: UdpTwin, judged: bool) -> None:
    async def scenario() -> None:
        allowed = {"127.0.0.1"}

        def address_filter(host: str) -> bool:
            return host in allowed

        def verdict_on(
            client: str, user: str | None, target: Address, resolved: str | None
        ) -> bool:
            if not (target.is_name and resolved is None) and not address_filter(
                resolved or target.host
            ):
                raise PolicyError("not any more")
            return True

        rule = {"verdict_on": verdict_on} if judged else {"address_filter": address_filter}
        async with Engine(twin, **rule) as engine:
            engine.resolver.cache["a.example"] = ["127.0.0.1"]
            _, entrance = engine.associate()
            with SocksClient(entrance) as client, Far() as target:
                target.echo()
                name = Address.of("a.example", target.address.port)
                for address in (target.address, name):
                    client.ask(b"q", address)
                    assert await client.answer() == (b"q", target.address)
                allowed.clear()
                engine.engine.forget_verdicts()
                for address in (target.address, name):
                    client.ask(b"q", address)
                await engine.dropped("not-allowed", 2)

    run(scenario())


@pytest.mark.parametrize("method", [METHOD, "aes-256-gcm"])
def test_a_flood_of_one_client_ends_nobody_else(run: Any, twin: UdpTwin, method: str) -> None:
    async def scenario() -> None:
        async with Engine(twin, capacity=4) as engine:
            options: dict[str, Any] = {"max_sessions": 5} if method == METHOD else {}
            server = engine.serve(method, **options)
            with ShadowsocksClient(twin, method, server) as victim, Far() as target:
                victim.ask(b"x", target.address)
                _, source = await target.receive()
                for number in range(40):
                    with ShadowsocksClient(twin, method, server, host="127.0.0.2") as flood:
                        flood.ask(b"%d" % number, target.address)
                        assert (await target.receive())[0] == b"%d" % number
                assert engine.counters.associations == 4
                victim.ask(b"y", target.address)
                assert await target.receive() == (b"y", source), "its association is another one"
                assert not engine.counters.dropped

    run(scenario())


def test_a_session_ends_with_its_association(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin, capacity=1) as engine:
            server = engine.serve(METHOD)
            with (
                ShadowsocksClient(twin, METHOD, server) as one,
                ShadowsocksClient(twin, METHOD, server) as other,
                Far() as target,
            ):
                target.echo()
                replayed = one.seal(b"x", target.address)
                one.send(replayed, server)
                await one.answer()
                other.ask(b"y", target.address)
                await other.answer()
                # What was seen is known as that all the same, and the session goes on.
                one.send(replayed, server)
                await engine.dropped("replay")
                one.ask(b"z", target.address)
                assert (await one.answer())[0] == b"z"
                assert engine.counters.associations == 1

    run(scenario())
