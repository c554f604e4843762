"""Datagrams that all go to one target, directly or through servers."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from datagram_ends import (
    LARGEST,
    Engine,
    Far,
    ForwardClient,
    UdpTwin,
    address_of,
    bound,
    import_udp,
    new_packet_way,
    only,
    settle,
)
from fastsocks.address import Address
from fastsocks.errors import UpstreamError
from fastsocks.relay.packet_way import REFUSED, PacketWay
from twins import import_twin

METHODS = ("2022-blake3-aes-128-gcm", "aes-256-gcm")
NAME = "target.example"


@pytest.fixture
def twin(implementation: str) -> UdpTwin:
    return import_udp(implementation)


class Control:
    """What a packet way through a SOCKS5 server lasts as long as."""

    def __init__(self) -> None:
        self.ended: Any = None
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Upstream:
    """A server that packet ways lead to: an engine of the same twin."""

    def __init__(self, twin: UdpTwin, kind: str, far: Engine) -> None:
        self._twin = twin
        self._kind = kind
        self._far = far
        self._server = None if kind == "socks" else far.serve(kind)
        #: Whom ways were found for.
        self.clients: list[str] = []
        self.controls: list[Control] = []

    async def __call__(self, client: str) -> PacketWay:
        self.clients.append(client)
        if self._server is not None:
            return new_packet_way(self._twin, self._kind, self._server)
        self.controls.append(Control())
        _, relay = self._far.associate()
        codecs = import_twin("fastsocks.relay", "_socks_packets", self._twin.implementation)
        server = (socket.AF_INET, (relay.host, relay.port))
        return PacketWay(codecs.SocksPackets(), server, self.controls[-1])


def test_clients_are_told_apart(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            with Far() as target:
                entrance = engine.forward(target.address)
                with ForwardClient(entrance) as one, ForwardClient(entrance, "127.0.0.2") as other:
                    for payload in (b"x", b"", b"y" * LARGEST):
                        sources = []
                        for client in (one, other):
                            client.ask(payload)
                            data, source = await target.receive()
                            assert data == payload
                            sources.append(source)
                        assert len(set(sources)) == 2
                        target.send(b"of other" + payload[:9], sources[1])
                        target.send(b"of one" + payload[:9], sources[0])
                        assert await one.answer() == b"of one" + payload[:9]
                        assert await other.answer() == b"of other" + payload[:9]
                counters = engine.counters
                assert counters.associations == 2
                assert (counters.packets_up, counters.packets_down) == (6, 6)
                assert counters.bytes_up == 2 * (1 + LARGEST)

    run(scenario())


def test_a_name_is_resolved_here(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            with Far() as target:
                engine.resolver.names[NAME] = ["127.0.0.1"]
                entrance = engine.forward(Address.of(NAME, target.address.port))
                with ForwardClient(entrance) as client:
                    client.ask(b"waits")
                    client.ask(b"too")
                    await settle(lambda: engine.counters.waiting == 2, "nothing waits")
                    engine.resolver.open.set()
                    for payload in (b"waits", b"too"):
                        data, source = await target.receive()
                        assert data == payload
                    target.send(b"answer", source)
                    assert await client.answer() == b"answer"
                assert engine.resolver.asked == [NAME]

    run(scenario())


@pytest.mark.parametrize("kind", [*METHODS, "socks"])
@pytest.mark.parametrize("host", ["127.0.0.1", NAME])
def test_through_a_server(run: Any, twin: UdpTwin, kind: str, host: str) -> None:
    async def scenario() -> None:
        async with Engine(twin) as far, Engine(twin) as near:
            far.resolver.names[NAME] = ["127.0.0.1"]
            far.resolver.open.set()
            find = Upstream(twin, kind, far)
            with Far() as target:
                entrance = near.forward(Address.of(host, target.address.port), find)
                with ForwardClient(entrance) as one, ForwardClient(entrance, "127.0.0.2") as other:
                    for number, client in enumerate((one, other)):
                        for size in (0, 1, 1400):
                            payload = b"%d" % number * size
                            client.ask(payload)
                            data, source = await target.receive()
                            assert data == payload
                            target.send(data + b"!", source)
                            assert await client.answer() == payload + b"!"
            assert find.clients == ["127.0.0.1", "127.0.0.2"]
            # The name goes on as one.
            assert near.resolver.asked == []
            assert (far.resolver.asked != []) == (host == NAME)
            assert near.counters.associations == 2
        assert all(control.closed for control in find.controls)

    run(scenario())


def test_answers_leave_from_the_address_that_was_asked(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            with Far() as target:
                target.echo()
                port = engine.forward(target.address, host="0.0.0.0").port
                for host in ("127.0.0.1", "127.0.0.3"):
                    with ForwardClient(Address.of(host, port)) as client:
                        client.ask(b"x")
                        assert await client.answer() == b"x"

    run(scenario())


@pytest.mark.parametrize("kind", [None, *METHODS])
def test_nobody_speaks_for_the_target(run: Any, twin: UdpTwin, kind: str | None) -> None:
    """A client cannot see whom an answer is from."""

    async def scenario() -> None:
        async with Engine(twin) as far, Engine(twin) as near:
            find = None if kind is None else Upstream(twin, kind, far)
            with Far() as target, Far() as foreign:
                client = ForwardClient(near.forward(target.address, find))
                with client:
                    client.ask(b"x")
                    _, source = await target.receive()
                    foreign.send(b"forged", source)
                    await near.dropped("foreign-source")
                    target.send(b"true", source)
                    assert await client.answer() == b"true"

    run(scenario())


def test_caps_and_time_limits_hold(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        hit: list[tuple[str, str]] = []
        over: list[Any] = []
        options = {
            "capacity_per_client": 2,
            "timeout": 0.2,
            "limit_hit": lambda cap, whose: hit.append((cap, whose)),
            "over": over.append,
        }
        async with Engine(twin, **options) as engine:
            with Far() as target:
                entrance = engine.forward(target.address)
                with (
                    ForwardClient(entrance) as one,
                    ForwardClient(entrance) as two,
                    ForwardClient(entrance) as three,
                ):
                    sources = []
                    for client in (one, two, three):
                        client.ask(b"x")
                        sources.append((await target.receive())[1])
                    assert len(set(sources)) == 3
                    assert hit == [("udp_max_associations_per_client", "127.0.0.1")]
                    assert engine.counters.associations == 2
                    await settle(lambda: engine.counters.associations == 0, "it stays idle")
                    # Whoever comes back has another one.
                    three.ask(b"y")
                    assert (await target.receive())[0] == b"y"
                    assert len(over) == 3
                    assert [one.bytes_up for one in over] == [1, 1, 1]

    run(scenario())


def test_what_may_not_be_reached_is_dropped(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin, address_filter=only()) as engine:
            with ForwardClient(engine.forward(Address.of("127.0.0.1", 9))) as client:
                client.ask(b"x")
                await engine.dropped("not-allowed")

    run(scenario())


def test_a_way_that_is_refused_is_renewed(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as far, Engine(twin) as near:
            with Far() as closed:
                nowhere = closed.address
            why: list[str | None] = []
            server = far.serve(METHODS[0])

            async def renew(reason: str | None) -> PacketWay:
                why.append(reason)
                return new_packet_way(twin, METHODS[0], server)

            async def find(client: str) -> PacketWay:
                return new_packet_way(twin, METHODS[0], nowhere)._replace(renew=renew)

            with Far() as target:
                client = ForwardClient(near.forward(target.address, find))
                with client:
                    client.ask(b"lost")
                    await settle(lambda: why == [REFUSED], "nothing is renewed")
                    client.ask(b"x")
                    assert (await target.receive())[0] == b"x"

    run(scenario())


def test_another_way_is_found_where_one_is_lost(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as far, Engine(twin) as near:
            find = Upstream(twin, "socks", far)
            with Far() as target:
                client = ForwardClient(near.forward(target.address, find))
                with client:
                    client.ask(b"x")
                    assert (await target.receive())[0] == b"x"
                    find.controls[0].ended()
                    client.ask(b"y")
                    assert (await target.receive())[0] == b"y"
            assert len(find.controls) == 2
            assert near.counters.associations == 1

    run(scenario())


def test_what_has_no_way_is_dropped(run: Any, twin: UdpTwin) -> None:
    async def find(client: str) -> PacketWay:
        raise UpstreamError("nobody is there")

    async def scenario() -> None:
        async with Engine(twin) as engine:
            with ForwardClient(engine.forward(Address.of(NAME, 53), find)) as client:
                client.ask(b"x")
                await engine.dropped("upstream")

    run(scenario())


def test_the_end(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as engine:
            with Far() as target:
                sock = bound()
                entrance = address_of(sock)
                engine.engine.forward(sock, target.address)
                with ForwardClient(entrance) as client:
                    client.ask(b"x")
                    await target.receive()
                    engine.engine.stop_serving()
                    assert engine.counters.associations == 0
                    # Its port is free again.
                    await settle(lambda: sock.fileno() < 0, "the socket stays open")
                    bound(port=entrance.port).close()

    run(scenario())
