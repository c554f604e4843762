"""Packet ways of long-lived associations whose server died, moved, or lost its key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from datagram_ends import Engine, Far, SocksClient, UdpTwin, import_udp, new_packet_way, settle
from fastsocks.address import Address
from fastsocks.errors import UpstreamError
from fastsocks.relay.packet_way import REFUSED, SILENT, PacketWay

#: Encrypts nothing, so that a plain socket can be the server.
METHOD = "none"
#: Seconds.
PATIENCE = 0.05
TARGET = Address.of("192.0.2.1", 53)


@pytest.fixture
def twin(implementation: str) -> UdpTwin:
    return import_udp(implementation)


class Way:
    """Leads from one server to the next, for whatever reason it is asked for another one."""

    def __init__(self, twin: UdpTwin, *servers: Address) -> None:
        self._twin = twin
        self._servers = list(servers)
        self.reasons: list[str | None] = []
        self.moved = False
        self.error: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.given_up = False

    def first(self) -> PacketWay:
        """Return the way to the first server that is left."""
        packet_way = new_packet_way(self._twin, METHOD, self._servers.pop(0))
        return packet_way._replace(renew=self._renew)

    async def _renew(self, why: str | None) -> PacketWay | None:
        self.reasons.append(why)
        try:
            if why is not None:
                await self.open.wait()
        except asyncio.CancelledError:
            self.given_up = True
            raise
        if self.error is not None:
            raise self.error
        return None if why is None and not self.moved else self.first()


class Flow:
    """A SOCKS client of an association that goes by a way."""

    def __init__(self, client: SocksClient, engine: Engine, association: Any) -> None:
        self.client = client
        self.engine = engine
        self.association = association

    async def ask(self, payload: bytes, server: Far) -> Address:
        """Send a payload; returns where it came from."""
        self.client.ask(payload, TARGET)
        data, source = await server.receive()
        while data != TARGET.wire + payload:
            data, source = await server.receive()
        return source

    async def answer(self, server: Far, source: Address) -> None:
        """Have the client get an answer."""
        server.send(TARGET.wire + b"answer", source)
        assert await self.client.answer() == (b"answer", TARGET)

    async def send_until(self, way: Way, reason: str | None) -> None:
        """Send until another way is asked for because of a reason."""
        for _ in range(1000):
            if reason in way.reasons:
                return
            self.client.ask(b"x", TARGET)
            await asyncio.sleep(0.005)
        raise AssertionError(f"{way.reasons} for {reason}")


@asynccontextmanager
async def going_by(twin: UdpTwin, way: Way, patience: float = PATIENCE) -> AsyncIterator[Flow]:
    """Make an association that goes by a way."""
    async with Engine(twin, patience=patience) as engine:
        association, relay = engine.associate(packet_way=way.first())
        with SocksClient(relay) as client:
            yield Flow(client, engine, association)


def test_one_that_answered_and_does_so_no_more(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        with Far() as dies, Far() as lives:
            way = Way(twin, dies.address, lives.address)
            async with going_by(twin, way) as flow:
                old = await flow.ask(b"x", dies)
                await flow.answer(dies, old)
                await flow.send_until(way, SILENT)
                new = await flow.ask(b"y", lives)
                assert new != old
                await flow.answer(lives, new)
                # What is still on its way from the old one arrives.
                await flow.answer(dies, old)
                # As long as answers come nothing else happens.
                end = asyncio.get_running_loop().time() + 4 * PATIENCE
                while asyncio.get_running_loop().time() < end:
                    await flow.answer(lives, await flow.ask(b"z", lives))
                assert [why for why in way.reasons if why] == [SILENT]
                assert flow.association.active

    run(scenario())


def test_what_flows_one_way_keeps_its_port(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        with Far() as server, Far() as other:
            way = Way(twin, server.address, other.address)
            async with going_by(twin, way) as flow:
                source = await flow.ask(b"x", server)
                # Its server is looked up now and then.
                await flow.send_until(way, None)
                end = asyncio.get_running_loop().time() + 4 * PATIENCE
                while asyncio.get_running_loop().time() < end:
                    assert await flow.ask(b"x", server) == source
                assert set(way.reasons) == {None}
                assert len(way.reasons) <= 8

    run(scenario())


def test_a_server_that_moved(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        with Far() as old, Far() as new:
            way = Way(twin, old.address, new.address)
            way.moved = True
            async with going_by(twin, way) as flow:
                source = await flow.ask(b"x", old)
                await flow.send_until(way, None)
                await flow.ask(b"y", new)
                await flow.answer(old, source)

    run(scenario())


def test_a_server_that_refuses(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        with Far() as lives:
            with Far() as dies, Far() as dead:
                way = Way(twin, dies.address, dead.address, lives.address)
            async with going_by(twin, way, patience=60.0) as flow:
                # Without an answer before that.
                await flow.send_until(way, REFUSED)
                # The next one refuses, too: that is not asked for at once.
                for _ in range(20):
                    flow.client.ask(b"x", TARGET)
                    await asyncio.sleep(0.005)
                assert way.reasons == [REFUSED]
                await settle_by_sending(flow, way)
                source = await flow.ask(b"y", lives)
                await flow.answer(lives, source)
                assert way.reasons == [REFUSED, REFUSED]

    run(scenario())


async def settle_by_sending(flow: Flow, way: Way) -> None:
    for _ in range(1000):
        if len(way.reasons) == 2:
            return
        flow.client.ask(b"x", TARGET)
        await asyncio.sleep(0.01)
    raise AssertionError(way.reasons)


def test_the_old_way_is_gone_on_by_if_it_answers_first(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        with Far() as comes_back, Far() as silent:
            way = Way(twin, comes_back.address, silent.address)
            async with going_by(twin, way) as flow:
                source = await flow.ask(b"x", comes_back)
                await flow.answer(comes_back, source)
                await flow.send_until(way, SILENT)
                unheard = await flow.ask(b"y", silent)
                await flow.answer(comes_back, source)
                assert await flow.ask(b"z", comes_back) == source
                # The other one is listened to.
                await flow.answer(silent, unheard)

    run(scenario())


@pytest.mark.parametrize("error", [UpstreamError("there is none"), OSError("no socket")])
def test_without_another_the_old_one_stays(run: Any, twin: UdpTwin, error: Exception) -> None:
    async def scenario() -> None:
        with Far() as server:
            way = Way(twin, server.address)
            way.error = error
            async with going_by(twin, way) as flow:
                source = await flow.ask(b"x", server)
                await flow.answer(server, source)
                await flow.send_until(way, SILENT)
                assert await flow.ask(b"y", server) == source
                await flow.answer(server, source)

    run(scenario())


def test_the_end_of_an_association_ends_the_search(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        with Far() as server:
            way = Way(twin, server.address)
            way.open.clear()
            async with going_by(twin, way) as flow:
                await flow.answer(server, await flow.ask(b"x", server))
                await flow.send_until(way, SILENT)
                # Meanwhile the old one is sent to.
                await flow.ask(b"y", server)
                flow.association.close()
                await settle(lambda: way.given_up, "it goes on")

    run(scenario())


def test_refusals_of_what_cannot_be_renewed_are_nothing(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        with Far() as gone:
            packet_way = new_packet_way(twin, METHOD, gone.address)
        async with Engine(twin, patience=0.0) as engine:
            association, relay = engine.associate(packet_way=packet_way)
            with SocksClient(relay) as client:
                for _ in range(20):
                    client.ask(b"x", TARGET)
                    await asyncio.sleep(0.005)
                assert association.active

    run(scenario())
