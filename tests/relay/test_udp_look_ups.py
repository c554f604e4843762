"""Names of targets: when they are looked up, for whom, for how long, and what they stand for."""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack
from typing import Any

import pytest

from datagram_ends import Engine, Far, ShadowsocksClient, SocksClient, UdpTwin, import_udp, settle
from fastsocks.address import Address
from fastsocks.errors import DialError, PolicyError, ResolveError

METHOD = "2022-blake3-aes-128-gcm"


@pytest.fixture
def twin(implementation: str) -> UdpTwin:
    return import_udp(implementation)


def test_an_answer_that_rotates_moves_nothing(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            with (
                ShadowsocksClient(twin, METHOD, engine.serve(METHOD)) as client,
                Far() as one,
                Far("127.0.0.2", one.address.port) as other,
            ):
                one.echo()
                other.echo()
                name = Address.of("rotates.example", one.address.port)
                for turn in range(6):
                    addresses = ["127.0.0.1", "127.0.0.2"]
                    # In the end the name is not known at all, and would have to be looked up.
                    engine.resolver.cache["rotates.example"] = addresses[:: 1 - 2 * (turn % 2)]
                    if turn == 5:
                        del engine.resolver.cache["rotates.example"]
                    client.ask(b"%d" % turn, name)
                    assert await client.answer() == (b"%d" % turn, one.address)
                    # Another target in between changes nothing.
                    client.ask(b"x", other.address)
                    assert await client.answer() == (b"x", other.address)
                assert engine.resolver.asked == []

    run(scenario())


def test_ports_of_one_name_are_chosen_apart(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            _, relay = engine.associate()
            with SocksClient(relay) as client, Far() as one, Far() as other:
                engine.resolver.cache["two.example"] = ["127.0.0.1"]
                for target in (one, other, one):
                    target.echo()
                    client.ask(b"x", Address.of("two.example", target.address.port))
                    assert await client.answer() == (b"x", target.address)

    run(scenario())


def test_without_answers_a_name_is_asked_for_again(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin, names_kept=0.0) as engine:
            with (
                ShadowsocksClient(twin, METHOD, engine.serve(METHOD)) as client,
                Far() as one,
                Far("127.0.0.2", one.address.port) as other,
            ):
                name = Address.of("moves.example", one.address.port)
                engine.resolver.cache["moves.example"] = ["127.0.0.1"]
                client.ask(b"here", name)
                data, source = await one.receive()
                assert data == b"here"
                # As long as its address is one of the answer it stays.
                engine.resolver.cache["moves.example"] = ["127.0.0.2", "127.0.0.1"]
                await _later(client, b"still here", name, one)
                engine.resolver.cache["moves.example"] = ["127.0.0.2"]
                await _until(client, b"there", name, other)
                # Both are sent to from one port.
                assert (await other.receive())[1] == source
                # While it is looked up nothing waits, and nothing is lost.
                del engine.resolver.cache["moves.example"]
                engine.resolver.names["moves.example"] = ["127.0.0.1"]
                for number in range(20):
                    await _later(client, b"%d" % number, name, other)
                assert engine.resolver.asked == ["moves.example"]
                engine.resolver.open.set()
                await _until(client, b"back", name, one)
                assert not engine.counters.dropped

    run(scenario())


async def _asked(engine: Engine, count: int) -> None:
    await settle(lambda: len(engine.resolver.asked) == count, "nobody looks it up")


async def _later(client: ShadowsocksClient, payload: bytes, name: Address, target: Far) -> None:
    """Send when the clock has moved on, and have it arrive."""
    await asyncio.sleep(0.01)
    client.ask(payload, name)
    while (await target.receive())[0] != payload:
        pass


async def _until(client: ShadowsocksClient, payload: bytes, name: Address, target: Far) -> None:
    """Send again and again until it arrives where it is to go; one more then follows."""

    async def arrive() -> None:
        while (await target.receive())[0] != payload:
            pass

    arrived = asyncio.ensure_future(arrive())
    while not arrived.done():
        client.ask(payload, name)
        await asyncio.sleep(0.01)
    client.ask(payload, name)


def test_a_failed_answer_leaves_what_was_chosen(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin, names_kept=0.0) as engine:
            with ShadowsocksClient(twin, METHOD, engine.serve(METHOD)) as client, Far() as target:
                name = Address.of("fails.example", target.address.port)
                engine.resolver.cache["fails.example"] = ["127.0.0.1"]
                client.ask(b"x", name)
                await target.receive()
                del engine.resolver.cache["fails.example"]
                engine.resolver.names["fails.example"] = ResolveError("no answer")
                engine.resolver.open.set()
                for number in range(3):
                    await _later(client, b"%d" % number, name, target)
                assert not engine.counters.dropped

    run(scenario())


def test_the_end_of_an_association_ends_its_look_ups(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin, capacity=2) as engine:
            server = engine.serve("none")
            with ExitStack() as stack:
                for number in range(6):
                    client = stack.enter_context(ShadowsocksClient(twin, "none", server))
                    for which in "ab":
                        client.ask(b"x", Address.of(f"{which}{number}.example", 53))
                        client.ask(b"y", Address.of(f"{which}{number}.example", 53))
                    await _asked(engine, 2 * (number + 1))
                await settle(
                    lambda: sorted(engine.resolver.given_up) == sorted(engine.resolver.asked[:8]),
                    "they go on",
                )
                assert engine.counters.waiting == 8
                engine.engine.stop_serving()
                assert engine.counters.waiting == 0
                await settle(lambda: len(engine.resolver.given_up) == 12, "the last ones go on")

    run(scenario())


def test_what_is_given_up_by_the_client_is_given_up(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            association, relay = engine.associate()
            with SocksClient(relay) as client:
                client.ask(b"x", Address.of("slow.example", 53))
                await _asked(engine, 1)
                association.close()
                await settle(lambda: bool(engine.resolver.given_up), "it goes on")
                assert engine.counters.waiting == 0

    run(scenario())


def test_look_ups_have_a_time_limit(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin, longest_wait=0.05) as engine:
            with ShadowsocksClient(twin, METHOD, engine.serve(METHOD)) as client, Far() as target:
                for _ in range(3):
                    client.ask(b"x", Address.of("slow.example", target.address.port))
                await engine.dropped("resolve", 3)
                assert engine.resolver.given_up == ["slow.example"]
                assert engine.counters.waiting == 0
                engine.resolver.names["slow.example"] = ["127.0.0.1"]
                engine.resolver.open.set()
                client.ask(b"y", Address.of("slow.example", target.address.port))
                assert (await target.receive())[0] == b"y"

    run(scenario())


def test_what_waits_is_limited_in_bytes(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            with ShadowsocksClient(twin, METHOD, engine.serve(METHOD)) as client, Far() as target:
                engine.resolver.names["slow.example"] = ["127.0.0.1"]
                name = Address.of("slow.example", target.address.port)
                for size in (30_000, 40_000, 50_000):
                    client.ask(bytes(size), name)
                await engine.dropped("waiting")
                assert engine.counters.waiting == 2
                engine.resolver.open.set()
                assert [len((await target.receive())[0]) for _ in range(2)] == [30_000, 40_000]
                assert engine.counters.waiting == 0

    run(scenario())


def test_clients_are_one_by_their_network(run: Any, twin: UdpTwin) -> None:
    hit: list[tuple[str, str]] = []

    async def scenario() -> None:
        async with Engine(
            twin,
            capacity_per_client=1,
            client_of=lambda host: host.rpartition(".")[0],
            limit_hit=lambda cap, client: hit.append((cap, client)),
        ) as engine:
            server = engine.serve("none")
            with (
                ShadowsocksClient(twin, "none", server) as one,
                ShadowsocksClient(twin, "none", server, host="127.0.0.2") as other,
                ShadowsocksClient(twin, "none", server, host="127.0.1.1") as somebody_else,
            ):
                for number, client in enumerate((somebody_else, one, other)):
                    client.ask(b"x", Address.of(f"{number}.example", 53))
                    await _asked(engine, number + 1)
                assert engine.resolver.clients == ["127.0.1", "127.0.0", "127.0.0"]
                assert engine.counters.associations == 2
                assert hit == [("udp_max_associations_per_client", "127.0.0")]

    run(scenario())


def test_rules_are_asked_before_a_name_is_looked_up(run: Any, twin: UdpTwin) -> None:
    asked: list[tuple[str, str | None]] = []

    def verdict_on(client: str, user: str | None, target: Address, resolved: str | None) -> bool:
        asked.append((target.host, resolved))
        if target.host.startswith("secret") or resolved == "127.0.0.3":
            raise PolicyError("not this one")
        return False

    async def scenario() -> None:
        async with Engine(twin, verdict_on=verdict_on) as engine:
            with ShadowsocksClient(twin, METHOD, engine.serve(METHOD)) as client, Far() as target:
                engine.resolver.open.set()
                engine.resolver.cache["secret-known.example"] = ["127.0.0.1"]
                for host in ("secret-data.example", "secret-known.example"):
                    for _ in range(2):
                        client.ask(b"x", Address.of(host, target.address.port))
                await engine.dropped("not-allowed", 4)
                assert engine.resolver.asked == []
                engine.resolver.names["good.example"] = ["127.0.0.3", "127.0.0.1"]
                client.ask(b"x", Address.of("good.example", target.address.port))
                assert (await target.receive())[0] == b"x"
                assert asked == [
                    ("secret-data.example", None),
                    ("secret-known.example", None),
                    ("good.example", None),
                    ("good.example", "127.0.0.3"),
                    ("good.example", "127.0.0.1"),
                ]

    run(scenario())


def test_what_was_sent_to_a_name_is_not_lost_by_a_fault_behind_it(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        with Far() as target, Far() as other:

            def verdict_on(
                client: str, user: str | None, asked: Address, resolved: str | None
            ) -> bool:
                if resolved is not None and asked.port == other.address.port:
                    raise ValueError("a fault of the rules")
                return False

            async with Engine(twin, verdict_on=verdict_on) as engine:
                engine.resolver.names["two.example"] = ["127.0.0.1"]
                _, relay = engine.associate()
                with SocksClient(relay) as client:
                    for end in (target, other):
                        client.ask(bytes(700), Address.of("two.example", end.address.port))
                    await settle(lambda: engine.counters.waiting == 2, "both wait")
                    engine.resolver.open.set()
                    assert (await target.receive())[0] == bytes(700)
                    await settle(lambda: bool(engine.faults), "the fault is told")
                    ((fault,), engine.faults[:]) = engine.faults, []
                    assert isinstance(fault["exception"], ValueError)

    run(scenario())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="this Python has no eager tasks")
def test_eager_tasks_lose_nothing_that_waits(run: Any, twin: UdpTwin) -> None:
    """Of a name of which it is known that it is not there, and of a packet way that is refused."""

    async def refuse(_: str) -> Any:
        raise DialError("there is no way")

    async def scenario() -> None:
        # Python 3.11 has no such name.
        asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009
        for options, reason in (({}, "resolve"), ({"find_way": refuse}, "upstream")):
            async with Engine(twin, **options) as engine:
                engine.resolver.names["none.example"] = ResolveError("there is no such name")
                engine.resolver.open.set()
                _, relay = engine.associate()
                with SocksClient(relay) as client:
                    for count in range(1, 21):
                        client.ask(b"x", Address.of("none.example", 9))
                        await engine.dropped(reason, count)
                assert engine.counters.waiting == 0

    run(scenario())
