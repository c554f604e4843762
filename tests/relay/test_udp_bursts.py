"""Answers that come together: every kind of client, by every way onwards."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any

import pytest

from datagram_ends import Engine, Far, UdpTwin, import_udp, settle
from datagram_ways import INBOUND, SOURCES, WAYS, Clients, Servers
from fastsocks.relay.packet_way import PacketWay

CLIENTS = 2
ANSWERS = 20


@pytest.fixture
def twin(implementation: str) -> UdpTwin:
    return import_udp(implementation)


def answers_of(number: int) -> list[bytes]:
    """Make the answers to one client, in sizes that the kernel does not send as one message."""
    return [b"%d of %d " % (i, number) + bytes(37 * i) for i in range(ANSWERS)]


@pytest.mark.parametrize("way", WAYS[1:], ids="-".join)
@pytest.mark.parametrize("kind", INBOUND)
def test_a_burst_through_servers(run: Any, twin: UdpTwin, kind: str, way: tuple[str, ...]) -> None:
    async def scenario() -> None:
        packet_ways: list[PacketWay] = []

        async def find(_: str) -> PacketWay:
            return packet_ways[-1]

        async with Engine(twin, find_way=None if kind == "socks" else find) as engine:
            clients = Clients(twin, engine, kind)
            with ExitStack() as stack:
                pairs = []
                for _ in range(CLIENTS):
                    servers = stack.enter_context(Servers(twin, way))
                    packet_ways.append(servers.packet_way)
                    client = clients.new(servers.packet_way if kind == "socks" else None)
                    stack.enter_context(client)
                    client.ask(b"question", SOURCES[0])
                    assert await servers.asked() == b"question"
                    pairs.append((client, servers))
                for source in SOURCES:
                    sent = [answers_of(number) for number in range(CLIENTS)]
                    for together in zip(*sent, strict=True):
                        for (_, servers), payload in zip(pairs, together, strict=True):
                            servers.answer(source, payload)
                    for (client, _), payloads in zip(pairs, sent, strict=True):
                        got = [await client.answer() for _ in payloads]
                        assert got == [(payload, source) for payload in payloads]
                assert not engine.counters.dropped

    run(scenario())


@pytest.mark.parametrize("port", [0, 53])
@pytest.mark.parametrize("kind", INBOUND)
def test_a_burst_of_targets_themselves(run: Any, twin: UdpTwin, kind: str, port: int) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            clients = Clients(twin, engine, kind)
            with ExitStack() as stack:
                target = stack.enter_context(_far(port))
                pairs = []
                for number in range(CLIENTS):
                    client = clients.new(None)
                    stack.enter_context(client)
                    client.ask(b"question", target.address)
                    question, outgoing = await target.receive()
                    assert question == b"question"
                    pairs.append((client, outgoing, answers_of(number)))
                for together in zip(*(payloads for _, _, payloads in pairs), strict=True):
                    for (_, outgoing, _), payload in zip(pairs, together, strict=True):
                        target.send(payload, outgoing)
                for client, _, payloads in pairs:
                    got = [await client.answer() for _ in payloads]
                    assert got == [(payload, target.address) for payload in payloads]
                assert not engine.counters.dropped

    run(scenario())


@pytest.mark.parametrize("way", [WAYS[1], WAYS[3], WAYS[6]], ids="-".join)
@pytest.mark.parametrize("kind", INBOUND)
def test_a_burst_of_questions(run: Any, twin: UdpTwin, kind: str, way: tuple[str, ...]) -> None:
    async def scenario() -> None:
        packet_ways: list[PacketWay] = []

        async def find(_: str) -> PacketWay:
            return packet_ways[-1]

        async with Engine(twin, find_way=None if kind == "socks" else find) as engine:
            clients = Clients(twin, engine, kind)
            with Servers(twin, way) as servers, ExitStack() as stack:
                packet_ways.append(servers.packet_way)
                client = clients.new(servers.packet_way if kind == "socks" else None)
                stack.enter_context(client)
                client.ask(b"first", SOURCES[0])
                assert await servers.asked() == b"first"
                for source in SOURCES:
                    payloads = answers_of(0)
                    for payload in payloads:
                        client.ask(payload, source)
                    assert [await servers.asked() for _ in payloads] == payloads
                await settle(
                    lambda: engine.counters.packets_up == 1 + len(SOURCES) * ANSWERS, "not counted"
                )
                assert not engine.counters.dropped

    run(scenario())


def _far(port: int) -> Far:
    if not port:
        return Far()
    try:
        # Tests that run beside this one have the same port of other addresses.
        return Far(f"127.53.{os.getpid() >> 8 & 0xFF}.{os.getpid() & 0xFF}", port)
    except OSError as error:
        pytest.skip(f"port {port} cannot be had: {error}")
