"""Names of datagrams' targets where somebody decides on them: one form, or dropped."""

from __future__ import annotations

from typing import Any

import pytest

from datagram_ends import Engine, Far, ShadowsocksClient, SocksClient, UdpTwin, import_udp
from fastsocks.address import Address

METHOD = "2022-blake3-aes-128-gcm"
FORMS = ("a.example", "A.Example.", "a\u3002example", "\uff41.example")
NONE = ("a\\.example", "1.2.3.4.5", "xn--a.example", "a..example")


@pytest.fixture
def twin(implementation: str) -> UdpTwin:
    """The relay of each implementation in turn."""
    return import_udp(implementation)


class Noting:
    """Rules that note what they are asked for, and lead to a server or directly."""

    def __init__(self, *, direct: bool) -> None:
        self._direct = direct
        self.asked: list[tuple[str, str | None]] = []

    def __call__(
        self, client: str, user: str | None, target: Address, resolved: str | None
    ) -> bool:
        self.asked.append((target.host, resolved))
        return self._direct


def test_what_is_decided_on_is_sent_to(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        verdict_on = Noting(direct=True)
        async with Engine(twin, verdict_on=verdict_on) as engine:
            engine.resolver.cache["a.example"] = ["127.0.0.1"]
            with (
                ShadowsocksClient(twin, METHOD, engine.serve(METHOD)) as client,
                Far() as target,
            ):
                target.echo()
                for name in FORMS:
                    client.ask(b"q", Address.of(name, target.address.port))
                    assert await client.answer() == (b"q", target.address)
                client.ask(b"n", Address.of("0x7f.1", target.address.port))
                assert await client.answer() == (b"n", target.address)
                assert set(verdict_on.asked) == {
                    ("a.example", None),
                    ("a.example", "127.0.0.1"),
                    ("127.0.0.1", None),
                }

    run(scenario())


@pytest.mark.parametrize("method", [METHOD, "aes-256-gcm", "none"])
def test_what_is_decided_on_is_sent_on(run: Any, twin: UdpTwin, method: str) -> None:
    async def scenario() -> None:
        verdict_on, seen = Noting(direct=False), Noting(direct=True)
        async with Engine(twin, verdict_on=seen) as far:
            far.resolver.cache["a.example"] = ["127.0.0.1"]
            far.resolver.cache["xn--bcher-kva.example"] = ["127.0.0.1"]
            server = far.serve(method)
            async with Engine(twin, verdict_on=verdict_on) as near:
                _, entrance = near.associate(packet_way=near.packet_way(method, server))
                with SocksClient(entrance) as client, Far() as target:
                    target.echo()
                    for name in (*FORMS, "127.1", "B\u00dcCHER.example"):
                        client.ask(b"q", Address.of(name, target.address.port))
                        assert await client.answer() == (b"q", target.address)
                    expected = {"a.example", "127.0.0.1", "xn--bcher-kva.example"}
                    for one in (verdict_on, seen):
                        assert {host for host, _ in one.asked} == expected

    run(scenario())


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_host_name_is_dropped(run: Any, twin: UdpTwin, name: str) -> None:
    async def scenario() -> None:
        verdict_on = Noting(direct=True)
        async with Engine(twin, verdict_on=verdict_on) as engine:
            with ShadowsocksClient(twin, METHOD, engine.serve(METHOD)) as client:
                client.ask(b"q", Address.of(name, 80))
                await engine.dropped("host-name")
            assert verdict_on.asked == []
            assert engine.resolver.asked == []

    run(scenario())


def test_names_are_left_alone_where_nobody_decides(run: Any, twin: UdpTwin) -> None:
    async def scenario() -> None:
        async with Engine(twin) as far:
            far.resolver.cache["A.Example."] = ["127.0.0.1"]
            async with Engine(twin) as near:
                packet_way = near.packet_way(METHOD, far.serve(METHOD))
                _, entrance = near.associate(packet_way=packet_way)
                with SocksClient(entrance) as client, Far() as target:
                    target.echo()
                    client.ask(b"q", Address.of("A.Example.", target.address.port))
                    assert await client.answer() == (b"q", target.address)

    run(scenario())
