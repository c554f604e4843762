"""Bursts of datagrams over real sockets: a kind of client, a way onwards, and what comes when."""

from __future__ import annotations

import asyncio

from datagram_ends import Engine, ShadowsocksClient, SocksClient, UdpTwin, import_udp
from datagram_ways import INBOUND, SOURCES, WAYS, Clients, Servers
from fastsocks.address import Address
from fastsocks.relay.packet_way import PacketWay
from twins import IMPLEMENTATIONS

from ..oracle import Input, agree

_MOST = 32
_LARGEST = 1400
_SECONDS = 20.0

Answer = tuple[bytes, Address]


def bursts(data: bytes) -> None:
    """Answers and questions of two clients, in turns that the input chooses."""
    agree((one, asyncio.run(_play(import_udp(one), Input(data)))) for one in IMPLEMENTATIONS)


async def _play(twin: UdpTwin, chosen: Input) -> list[list[Answer]]:
    kind = INBOUND[chosen.byte() % len(INBOUND)]
    way = WAYS[1:][chosen.byte() % (len(WAYS) - 1)]
    ways: list[Servers] = []
    clients: list[ShadowsocksClient | SocksClient] = []

    async def find(_: str) -> PacketWay:
        return ways[-1].packet_way

    async with (
        asyncio.timeout(_SECONDS),
        Engine(twin, find_way=None if kind == "socks" else find) as engine,
    ):
        entrances = Clients(twin, engine, kind)
        try:
            for _ in range(2):
                ways.append(Servers(twin, way))
                clients.append(entrances.new(ways[-1].packet_way if kind == "socks" else None))
                clients[-1].ask(b"first", SOURCES[0])
                if await ways[-1].asked() != b"first":
                    raise AssertionError("the first datagram was changed")
            return await _burst(chosen, clients, ways)
        finally:
            for end in (*clients, *ways):
                end.__exit__()


async def _burst(
    chosen: Input, clients: list[ShadowsocksClient | SocksClient], ways: list[Servers]
) -> list[list[Answer]]:
    """Send everything before anything is received, and return what came to each client."""
    answers: list[list[Answer]] = [[], []]
    questions: list[list[bytes]] = [[], []]
    for number in range(_MOST):
        if not chosen:
            break
        step = chosen.byte()
        payload = bytes((number,)) + bytes(chosen.number() % _LARGEST)
        which, source = step & 1, SOURCES[(step >> 1) % len(SOURCES)]
        if step & 0x80:
            clients[which].ask(payload, source)
            questions[which].append(payload)
        else:
            ways[which].answer(source, payload)
            answers[which].append((payload, source))
    got = [
        [await client.answer() for _ in told] for client, told in zip(clients, answers, strict=True)
    ]
    asked = [[await way.asked() for _ in told] for way, told in zip(ways, questions, strict=True)]
    if got != answers or asked != questions:
        raise AssertionError("what was sent together did not arrive as it was sent")
    return got
