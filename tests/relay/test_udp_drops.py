"""What is told of datagrams that are dropped: of whom, why, and how many."""

from __future__ import annotations

from typing import Any

import pytest

from datagram_ends import (
    Engine,
    Far,
    ShadowsocksClient,
    SocksClient,
    UdpTwin,
    import_udp,
    only,
    settle,
)
from fastsocks.address import Address
from fastsocks.errors import PolicyError, ResolveError

METHOD = "2022-blake3-aes-128-gcm"
OTHER_KEY = "b3RoZXJvdGhlcm90aGVyLg=="
#: Reasons and clients that are told apart at a time.
MOST = 256


@pytest.fixture
def twin(implementation: str) -> UdpTwin:
    return import_udp(implementation)


class Told:
    """What was told so far."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str | None, int]] = []

    def __call__(self, reason: str, client: str | None, count: int) -> None:
        self.calls.append((reason, client, count))

    def count(self, reason: str, client: str | None = "127.0.0.1") -> int:
        """Return how many were told of, for one reason and client."""
        return sum(count for its, whose, count in self.calls if (its, whose) == (reason, client))

    async def of(self, reason: str, count: int, client: str | None = "127.0.0.1") -> None:
        """Wait until so many were told of."""
        await settle(lambda: self.count(reason, client) == count, f"told {self.calls}")


def test_what_does_not_open(run: Any, twin: UdpTwin) -> None:
    told = Told()

    async def scenario() -> None:
        async with Engine(twin, dropped=told) as engine:
            server = engine.serve(METHOD)
            with (
                ShadowsocksClient(twin, METHOD, server) as client,
                ShadowsocksClient(twin, METHOD, server, OTHER_KEY, "127.0.0.2") as foreign,
                Far() as target,
            ):
                packet = client.seal(b"x", target.address)
                for data in (packet, packet, packet, b"short"):
                    client.send(data, server)
                for _ in range(5):
                    foreign.ask(b"x", target.address)
                await told.of("replay", 2)
                await told.of("truncated", 1)
                await told.of("tag", 5, "127.0.0.2")
                # A burst is told of at once, and the rest together.
                assert len(told.calls) <= 6

    run(scenario())


def test_what_a_socks_client_does_wrong(run: Any, twin: UdpTwin) -> None:
    told = Told()

    async def scenario() -> None:
        async with Engine(twin, dropped=told) as engine:
            _, relay = engine.associate()
            with (
                SocksClient(relay) as client,
                SocksClient(relay, "127.0.0.2") as stranger,
                Far() as target,
            ):
                stranger.ask(b"x", target.address)
                client.send(bytes.fromhex("000000 02 7f000001 0035 78"), relay)
                client.send(bytes.fromhex("000000 03 00 0035 78"), relay)
                client.send(bytes.fromhex("000000 01 7f00"), relay)
                client.ask(b"x", Address.of("127.0.0.1", 0))
                client.ask(b"x", target.address, 2)
                client.send(bytes.fromhex("000001 02 7f000001 0035 78"), relay)
                await told.of("foreign-source", 1, "127.0.0.2")
                await told.of("address-type", 2)
                await told.of("bad-address", 2)
                await told.of("truncated", 1)
                await told.of("fragment", 1)

    run(scenario())


def test_names_and_what_waits(run: Any, twin: UdpTwin) -> None:
    told = Told()

    async def scenario() -> None:
        async with Engine(twin, dropped=told) as engine:
            with ShadowsocksClient(twin, METHOD, engine.serve(METHOD)) as client:
                engine.resolver.names["no.example"] = ResolveError("no such name")
                for _ in range(18):
                    client.ask(b"x", Address.of("no.example", 53))
                await told.of("waiting", 2)
                engine.resolver.open.set()
                await told.of("resolve", 16)

    run(scenario())


@pytest.mark.parametrize("name", ["127.0.0.2", "guarded.example"])
def test_what_the_guard_refuses(run: Any, twin: UdpTwin, name: str) -> None:
    told = Told()

    async def scenario() -> None:
        async with Engine(twin, dropped=told, address_filter=only("127.0.0.1")) as engine:
            engine.resolver.cache["guarded.example"] = ["127.0.0.2", "127.0.0.3"]
            with ShadowsocksClient(twin, METHOD, engine.serve(METHOD)) as client:
                for _ in range(3):
                    client.ask(b"x", Address.of(name, 53))
                await told.of("not-allowed", 3)
                await engine.dropped("not-allowed", 3)

    run(scenario())


def test_of_what_a_rule_refuses_its_judge_tells(run: Any, twin: UdpTwin) -> None:
    told = Told()

    def verdict_on(client: str, user: str | None, target: Address, resolved: str | None) -> bool:
        if "127.0.0.2" in {target.host, resolved}:
            raise PolicyError("not this one")
        return False

    async def scenario() -> None:
        async with Engine(
            twin, dropped=told, verdict_on=verdict_on, address_filter=only("127.0.0.2")
        ) as engine:
            engine.resolver.cache["judged.example"] = ["127.0.0.2"]
            engine.resolver.cache["guarded.example"] = ["127.0.0.3"]
            with ShadowsocksClient(twin, METHOD, engine.serve(METHOD)) as client:
                for name in ("127.0.0.2", "judged.example"):
                    client.ask(b"x", Address.of(name, 53))
                await engine.dropped("not-allowed", 2)
                client.ask(b"x", Address.of("guarded.example", 53))
                await told.of("not-allowed", 1)
                assert len(told.calls) == 1

    run(scenario())


def test_clients_without_number_are_told_of_together(run: Any, twin: UdpTwin) -> None:
    told = Told()
    count = MOST + 44

    async def scenario() -> None:
        async with Engine(twin, dropped=told) as engine:
            server = engine.serve(METHOD)
            for number in range(count):
                with Far(f"127.0.{number // 250}.{number % 250 + 1}") as stranger:
                    stranger.send(b"x", server)
            await engine.dropped("truncated", count)
        # What is owed is told at the end.
        assert sum(number for _, _, number in told.calls) == count
        assert told.count("truncated", None) <= count - MOST
        assert len(told.calls) <= 2 * MOST + 2

    run(scenario())
