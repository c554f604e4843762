"""Associations of users: their datagrams are counted, and dropped beyond a quota or a speed."""

from __future__ import annotations

from typing import Any

import pytest

from datagram_ends import Engine, Far, ShadowsocksClient, SocksClient, UdpTwin, import_udp
from twins import import_twin

METHOD = "2022-blake3-aes-128-gcm"


@pytest.fixture
def twin(implementation: str) -> UdpTwin:
    return import_udp(implementation)


class Meters:
    """The meters of one twin, by user."""

    def __init__(self, twin: UdpTwin) -> None:
        self._kind = import_twin("fastsocks.relay", "_meter", twin.implementation).Meter
        self.made: dict[str | None, Any] = {}

    def of(self, user: str | None) -> Any:
        if user not in self.made:
            words = memoryview(bytearray(8 * 48)).cast("Q")
            self.made[user] = self._kind(user, words, 0)
        return self.made[user]

    def counted(self, user: str | None) -> tuple[int, ...]:
        """Return associations, payload up and down, and how many associations there are now."""
        words = self.of(user).words
        return (*words[1:4], words[46])


def test_associations_of_one_user_count_together(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        users = Meters(twin)
        async with Engine(twin, meter_of=users.of) as engine:
            made = [engine.associate(user="alice") for _ in range(3)]
            engine.associate(user="bob")
            with Far() as target:
                target.echo()
                for association, relay in made:
                    with SocksClient(relay) as client:
                        client.ask(b"12345", target.address)
                        await client.answer()
                        client.ask(b"", target.address)
                        await client.answer()
                    assert (association.bytes_up, association.bytes_down) == (5, 5)
            assert users.counted("alice") == (3, 15, 15, 3)
            made[0][0].close()
            made[0][0].close()
            assert users.counted("alice") == (3, 15, 15, 2)
            assert users.counted("bob") == (1, 0, 0, 1)
        assert users.counted("alice") == (3, 15, 15, 0)
        assert users.counted("bob") == (1, 0, 0, 0)

    run(scenario())


def test_a_shadowsocks_server(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        users = Meters(twin)
        async with Engine(twin, meter_of=users.of) as engine:
            server = engine.serve(METHOD)
            with ShadowsocksClient(twin, METHOD, server) as client, Far() as target:
                target.echo()
                client.ask(b"four", target.address)
                await client.answer()
                assert users.counted(None) == (1, 4, 4, 1)
        assert users.counted(None) == (1, 4, 4, 0)

    run(scenario())


@pytest.mark.parametrize("way", ["direct", "server", "name"])
@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("limit", ["quota", "speed"])
def test_what_is_too_much_is_dropped(
    run: Any, twin: UdpTwin, limit: str, up: bool, way: str
) -> None:
    """Of datagrams of 1,000 bytes three pass."""

    async def scenario() -> None:
        users = Meters(twin)
        meter = users.of("alice")
        async with Engine(twin, meter_of=users.of) as engine, Engine(twin) as far:
            packet_way = None
            if way == "server":
                packet_way = engine.packet_way(METHOD, far.serve(METHOD))
            _, relay = engine.associate(packet_way=packet_way, user="alice")
            with SocksClient(relay) as client, Far() as target:
                address = target.address
                if way == "name":
                    engine.resolver.cache["far.example"] = ["127.0.0.1"]
                    address = type(address).of("far.example", address.port)
                client.ask(b"first", address)
                _, source = await target.receive()
                if limit == "quota":
                    meter.set_quota(2500)
                else:
                    # The third is a debt, which half a second makes good.
                    meter.limit(**{"up" if up else "down": 2050}, burst=1.0)
                for number in range(8):
                    payload = bytes([number]) * 1000
                    if up:
                        client.ask(payload, address)
                    else:
                        target.send(payload, source)
                for number in range(3):
                    data, _ = await (target.receive() if up else client.answer())
                    assert data == bytes([number]) * 1000
                await engine.dropped(limit, 5)
                counted = (1, 3005, 0, 1) if up else (1, 5, 3000, 1)
                assert users.counted("alice") == counted
                # The other direction has no speed limit; the quota is that of both.
                if limit == "speed" and up:
                    target.send(b"down", source)
                    assert (await client.answer())[0] == b"down"
                # It is lifted at once.
                meter.set_quota(None)
                meter.limit()
                client.ask(b"again", address)
                while (await target.receive())[0] != b"again":
                    pass
        assert users.counted("alice")[3] == 0

    run(scenario())


def test_who_was_removed_is_not_counted(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        users = Meters(twin)
        users.of("alice").words[0] += 1
        async with Engine(twin, meter_of=users.of) as engine:
            _, relay = engine.associate(user="alice")
            with SocksClient(relay) as client, Far() as target:
                target.echo()
                client.ask(b"four", target.address)
                await client.answer()
        assert users.counted("alice") == (0, 0, 0, 0)

    run(scenario())
