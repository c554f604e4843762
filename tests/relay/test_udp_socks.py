"""Datagrams of SOCKS clients, straight to targets or through a Shadowsocks server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from datagram_ends import (
    LARGEST,
    METHODS,
    Engine,
    Far,
    SocksClient,
    UdpTwin,
    exchange,
    import_udp,
    only,
    read_answer,
    settle,
)
from fastsocks.address import Address

SIZES = (0, 1, 2, 63, 512, 1400, 1473, 8192, 16384, 65000)
METHOD = "2022-blake3-aes-128-gcm"
LAST = 0x80


@pytest.fixture
def twin(implementation: str) -> UdpTwin:
    return import_udp(implementation)


def _reached(counters: Any, packets: int) -> Callable[[], bool]:
    return lambda: bool(counters.packets_up >= packets)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("target_host", ["127.0.0.1", "::1"])
def test_every_size_comes_back(run: Any, twin: UdpTwin, host: str, target_host: str) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            _, relay = engine.associate(host)
            with SocksClient(relay, host) as client, Far(target_host) as target:
                target.echo()
                for size in SIZES:
                    payload = bytes(size % 251 for _ in range(size))
                    client.ask(payload, target.address)
                    assert await client.answer() == (payload, target.address)
                assert engine.counters.packets_up == engine.counters.packets_down == len(SIZES)
                assert engine.counters.bytes_up == engine.counters.bytes_down == sum(SIZES)
                assert not engine.counters.dropped

    run(scenario())


def test_the_largest_that_fits_each_way(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            _, relay = engine.associate()
            with SocksClient(relay) as client, Far() as target:
                payload = bytes(LARGEST - 10)
                client.ask(payload, target.address)
                data, source = await target.receive()
                assert data == payload
                target.send(bytes(LARGEST - 9), source)
                await engine.dropped("oversize")
                target.send(payload, source)
                assert await client.answer() == (payload, target.address)

    run(scenario())


@pytest.mark.parametrize("method", METHODS)
def test_every_size_by_a_packet_way(run: Any, twin: UdpTwin, method: str) -> None:
    async def scenario() -> None:
        async with Engine(twin) as far, Engine(twin) as near:
            _, relay = near.associate(packet_way=near.packet_way(method, far.serve(method)))
            with SocksClient(relay) as client, Far() as target:
                target.echo()
                for size in SIZES:
                    payload = bytes(size % 251 for _ in range(size))
                    client.ask(payload, target.address)
                    assert await client.answer() == (payload, target.address)
                for engine in (far, near):
                    assert engine.counters.packets_up == len(SIZES)
                    assert engine.counters.packets_down == len(SIZES)
                    assert not engine.counters.dropped

    run(scenario())


@pytest.mark.parametrize("by_server", [False, True], ids=["direct", "by_server"])
def test_many_at_once_are_not_mixed_up(run: Any, twin: UdpTwin, by_server: bool) -> None:
    async def scenario() -> None:
        async with Engine(twin) as far, Engine(twin) as near:
            server = far.serve(METHOD)
            with ExitStack() as stack:
                target = stack.enter_context(Far())
                target.echo()
                clients = []
                for _ in range(10):
                    packet_way = near.packet_way(METHOD, server) if by_server else None
                    _, relay = near.associate(packet_way=packet_way)
                    clients.append(stack.enter_context(SocksClient(relay)))
                sent = [[b"%d of client %d" % (i, j) for i in range(3)] for j in range(10)]
                await exchange(clients, sent, target)

    run(scenario())


def test_names_are_for_the_server_to_resolve(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as far, Engine(twin) as near:
            _, relay = near.associate(packet_way=near.packet_way(METHOD, far.serve(METHOD)))
            with SocksClient(relay) as client, Far() as target:
                target.echo()
                far.resolver.cache["target.example"] = ["127.0.0.1"]
                client.ask(b"x", Address.of("target.example", target.address.port))
                assert await client.answer() == (b"x", target.address)
                assert near.resolver.asked == []

    run(scenario())


def test_addresses_are_not_sent_on_that_may_not_be_reached(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as far, Engine(twin, address_filter=only("127.0.0.1")) as near:
            _, relay = near.associate(packet_way=near.packet_way(METHOD, far.serve(METHOD)))
            with SocksClient(relay) as client, Far() as target, Far("127.0.0.2") as forbidden:
                target.echo()
                far.resolver.cache["target.example"] = ["127.0.0.1"]
                for _ in range(2):
                    client.ask(b"x", forbidden.address)
                for host in ("127.0.0.1", "target.example"):
                    client.ask(b"y", Address.of(host, target.address.port))
                    assert await client.answer() == (b"y", target.address)
                await near.dropped("not-allowed", 2)
                assert far.counters.packets_up == 2

    run(scenario())


def test_a_server_that_is_not_there_yet_ends_nothing(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as near:
            with Far() as gone:
                server = gone.address
            association, relay = near.associate(packet_way=near.packet_way("none", server))
            with SocksClient(relay) as client, Far() as target:
                for number in range(1, 5):
                    client.ask(b"nobody hears it", target.address)
                    await settle(_reached(near.counters, number), "it was not sent")
                assert association.active
                with Far(port=server.port) as back:
                    client.ask(b"x", target.address)
                    data, source = await back.receive()
                    assert data == target.address.wire + b"x"
                    back.send(target.address.wire + b"y", source)
                    assert await client.answer() == (b"y", target.address)

    run(scenario())


def test_answers_that_do_not_open_are_dropped(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as near:
            with Far() as server, Far() as target:
                _, relay = near.associate(packet_way=near.packet_way(METHOD, server.address))
                with SocksClient(relay) as client:
                    client.ask(b"x", target.address)
                    packet, source = await server.receive()
                    # Its own packet back at it, nothing, garbage, and garbage from a stranger.
                    for data in (packet, b"", bytes(300)):
                        server.send(data, source)
                    target.send(bytes(300), source)
                    await settle(
                        lambda: sum(near.counters.dropped.values()) == 3, str(near.counters.dropped)
                    )
                    assert near.counters.packets_down == 0

    run(scenario())


def test_only_the_client_may_send(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            _, relay = engine.associate("127.0.0.1")
            with (
                SocksClient(relay) as client,
                SocksClient(relay) as same_host,
                SocksClient(relay, "127.0.0.2") as stranger,
                Far() as target,
            ):
                stranger.ask(b"foreign", target.address)
                await engine.dropped("foreign-source")
                client.ask(b"x", target.address)
                assert (await target.receive())[0] == b"x"
                # The port is learned now.
                same_host.ask(b"foreign", target.address)
                stranger.ask(b"foreign", target.address)
                await engine.dropped("foreign-source", 3)
                client.ask(b"y", target.address)
                data, source = await target.receive()
                assert data == b"y"
                target.send(b"z", source)
                assert await client.answer() == (b"z", target.address)

    run(scenario())


def test_a_port_that_was_named_is_held_to(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            with Far() as named, Far() as target, Far() as other:
                _, relay = engine.associate(port=named.address.port)
                other.send(bytes(3) + target.address.wire + b"x", relay)
                await engine.dropped("foreign-source")
                named.send(bytes(3) + target.address.wire + b"y", relay)
                data, source = await target.receive()
                assert data == b"y"
                target.send(b"z", source)
                data, _ = await named.receive()
                assert read_answer(data) == (b"z", target.address)

    run(scenario())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(2),
        bytes(3),
        bytes.fromhex("000000 01 7f0000"),
        bytes.fromhex("000000 01 7f000001 00"),
        bytes.fromhex("000000 02 7f000001 0035 78"),
        bytes.fromhex("000000 03 00 0035 78"),
        bytes.fromhex("000000 03 ff 61"),
        bytes.fromhex("000000 03 01 00 0035"),
        bytes.fromhex("000000 04 0000"),
        bytes.fromhex("000001"),
        bytes.fromhex("000002 01 7f000001 0035 78"),
        bytes.fromhex("0000ff 01 7f000001 0035 78"),
    ],
    ids=bytes.hex,
)
def test_what_is_no_datagram_is_dropped(run: Any, twin: UdpTwin, data: bytes) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            _, relay = engine.associate()
            with SocksClient(relay) as client, Far() as target:
                client.send(data, relay)
                client.ask(b"x", target.address)
                assert (await target.receive())[0] == b"x"
                assert sum(engine.counters.dropped.values()) == 1
                assert engine.counters.packets_up == 1

    run(scenario())


def test_fragments_arrive_as_one(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as far, Engine(twin) as near:
            for packet_way in (None, near.packet_way(METHOD, far.serve(METHOD))):
                _, relay = near.associate(packet_way=packet_way)
                with SocksClient(relay) as client, Far() as target:
                    client.ask(b"one ", target.address, 1)
                    client.ask(b"two ", target.address, 2)
                    client.ask(b"three", target.address, 3 | LAST)
                    client.ask(b"whole", target.address)
                    client.ask(b"alone", target.address, 1 | LAST)
                    got = [(await target.receive())[0] for _ in range(3)]
                    assert got == [b"one two three", b"whole", b"alone"]

    run(scenario())


def test_incomplete_fragments_never_arrive(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            _, relay = engine.associate()
            with SocksClient(relay) as client, Far() as target, Far() as other:
                for order in ((1, 3 | LAST), (2, 3 | LAST), (1, 2, 1, 3 | LAST)):
                    for fragment in order:
                        client.ask(b"no", target.address, fragment)
                client.ask(b"no", target.address, 1)
                client.ask(b"no", other.address, 2 | LAST)
                # A whole datagram is lower than what is queued.
                client.ask(b"no", target.address, 1)
                client.ask(b"whole", target.address)
                client.ask(b"no", target.address, 2 | LAST)
                client.ask(b"yes", target.address, 1)
                client.ask(b"!", target.address, 2 | LAST)
                assert [(await target.receive())[0] for _ in range(2)] == [b"whole", b"yes!"]
                assert engine.counters.packets_up == 2

    run(scenario())


def test_fragments_of_more_than_a_datagram_are_dropped(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            _, relay = engine.associate()
            with SocksClient(relay) as client, Far() as target:
                for fragment in (1, 2, 3 | LAST):
                    client.ask(bytes(30_000), target.address, fragment)
                client.ask(b"x", target.address)
                assert (await target.receive())[0] == b"x"
                assert sum(engine.counters.dropped.values()) >= 1

    run(scenario())


@pytest.mark.parametrize("fragment", [0, 1 | LAST])
@pytest.mark.parametrize("by_server", [False, True])
def test_nobody_is_answered_before_a_first_datagram(
    run: Any, twin: UdpTwin, fragment: int, by_server: bool
) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            with Far() as server, Far() as target:
                packet_way = engine.packet_way("none", server.address) if by_server else None
                _, relay = engine.associate(packet_way=packet_way)
                with SocksClient(relay) as client:
                    client.ask(b"x", target.address, fragment)
                    _, source = await (server if by_server else target).receive()
                    sender = server if by_server else target
                    sender.send((target.address.wire if by_server else b"") + b"y", source)
                    assert await client.answer() == (b"y", target.address)

    run(scenario())
