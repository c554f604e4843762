"""What observers see of UDP associations."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from datagram_ends import Engine, Far, ShadowsocksClient, SocksClient, UdpTwin, import_udp
from fastsocks.journal.associations import Associations
from fastsocks.journal.observer import Connection, Observer, Observers
from fastsocks.policy import Meters

METHOD = "2022-blake3-aes-128-gcm"
LIMIT = 0.3


@pytest.fixture
def twin(implementation: str) -> UdpTwin:
    return import_udp(implementation)


class Events(Observer):
    """Notes what it sees, with the user known by then."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str | None]] = []
        self.connections: list[Connection] = []
        self.over = asyncio.Event()

    def opened(self, connection: Connection) -> None:
        self.connections.append(connection)
        self.seen.append(("opened", connection.user))

    def identified(self, connection: Connection) -> None:
        assert connection is self.connections[-1]
        self.seen.append(("identified", connection.user))

    def closed(self, connection: Connection) -> None:
        assert connection in self.connections
        self.seen.append(("closed", connection.user))
        self.over.set()


@pytest.mark.parametrize("end", ["close", "idle", "stop", "cap"])
def test_an_association_from_its_beginning_to_its_end(run: Any, twin: UdpTwin, end: str) -> None:
    async def scenario() -> None:
        events, users = Events(), Meters()
        associations = Associations(Observers([events]))
        async with Engine(
            twin,
            meter_of=users.of,
            began=associations.began,
            over=associations.over,
            timeout=LIMIT if end == "idle" else 1000.0,
            capacity=1,
        ) as engine:
            association, relay = engine.associate(user="alice")
            with SocksClient(relay) as client, Far() as target:
                assert events.seen == [("opened", None), ("identified", "alice")]
                client.ask(b"four", target.address)
                _, source = await target.receive()
                target.send(b"fifteen bytes..", source)
                await client.answer()
                if end == "close":
                    association.close()
                elif end == "stop":
                    engine.engine.close()
                elif end == "cap":
                    engine.associate()
                    assert events.seen.pop() == ("identified", None)
                    assert events.seen.pop() == ("opened", None)
                await events.over.wait()
                assert events.seen[2:] == [("closed", "alice")]
                connection = events.connections[0]
                assert (connection.network, connection.peer) == ("udp", ("127.0.0.1",))
                assert (connection.client, connection.target) == ("127.0.0.1", None)
                assert (connection.bytes_up, connection.bytes_down) == (4, 15)
                assert 0 <= connection.seconds < 1000
                assert users["alice"] == (1, 0, 4, 15)
        assert events.seen[3:] == ([("closed", None)] if end == "cap" else [])

    run(scenario())


def test_associations_of_a_shadowsocks_server(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        events = Events()
        associations = Associations(Observers([events]))
        async with Engine(twin, began=associations.began, over=associations.over) as engine:
            server = engine.serve(METHOD)
            with ShadowsocksClient(twin, METHOD, server) as client, Far() as target:
                client.ask(b"four", target.address)
                await target.receive()
                assert events.seen == [("opened", None), ("identified", None)]
        assert events.seen[2:] == [("closed", None)]
        assert events.connections[0].bytes_up == 4

    run(scenario())
