"""What leads to this host is not public to clients of a service."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fastsocks.config import LocalOptions, ProxyOptions, ServerOptions
from fastsocks.errors import ConfigError, ResolveError
from fastsocks.outbound.own_addresses import OwnAddresses, networks_of
from fastsocks.policy import PublicTargets
from fastsocks.service import Local, Proxy, Running, Server

KEY = "AAECAwQFBgcICQoLDA0ODw=="
METHOD = "2022-blake3-aes-128-gcm"
OURS = "8.8.4.4"
OTHER = "8.8.8.8"


def server(**changes: Any) -> Server:
    options = {"method": METHOD, "password": KEY, "addresses": ("127.0.0.1",), "port": 0}
    return Server(ServerOptions(**{**options, **changes}))


def proxy(**changes: Any) -> Proxy:
    return Proxy(ProxyOptions(**{"addresses": ("0.0.0.0",), "port": 0, **changes}))


@pytest.mark.parametrize("address", [OURS, f"{OURS}:8388"])
@pytest.mark.parametrize("make", [server, proxy])
def test_the_public_address_is_not(run: Any, make: Any, address: str) -> None:
    async def scenario() -> None:
        async with make(public_address=address) as running:
            address_filter = running._service.address_filter
            assert address_filter is not None
            assert address_filter(OTHER)
            assert not address_filter(OURS)
            assert not address_filter(f"64:ff9b::{OURS}")

    run(scenario())


def test_nor_where_datagrams_are_announced(run: Any) -> None:
    async def scenario() -> None:
        async with proxy(udp_address=OURS) as running:
            assert running._service.address_filter is not None
            assert not running._service.address_filter(OURS)

    run(scenario())


@pytest.mark.parametrize("text", ["http://a.example", "a b", "[::1", "1:2:3"])
def test_a_malformed_one_is_told(text: str) -> None:
    for make in (server, proxy):
        with pytest.raises(ConfigError, match="public_address: "):
            make(public_address=text)


def test_rules_about_private_targets_mean_it_too(run: Any) -> None:
    async def scenario() -> None:
        async with proxy(
            rules=("deny to private",), allow_private=True, public_address=OURS
        ) as running:
            assert running._service.access_rules is not None
            public = running._service.access_rules._rules._is_public
            assert public(OTHER)
            assert not public(OURS)

    run(scenario())


@pytest.mark.parametrize(
    "make",
    [
        lambda: server(allow_private=True),
        lambda: proxy(addresses=("127.0.0.1",)),
        lambda: Local(LocalOptions(server="127.0.0.1", method=METHOD, password=KEY, port=0)),
    ],
)
def test_nothing_is_followed_where_it_decides_nothing(run: Any, make: Any) -> None:
    async def scenario() -> None:
        running: Running = make()
        async with running:
            assert running._own_addresses is None

    run(scenario())


class Names:
    """A resolver that knows what a test says."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}
        self.asked: asyncio.Queue[str] = asyncio.Queue()

    async def resolve(self, host: str, port: int, client: str = "") -> list[Any]:
        self.asked.put_nowait(host)
        if host not in self.names:
            raise ResolveError("not now")
        return [(2, 1, 6, "", (address, port)) for address in self.names[host]]


def test_a_public_name_is_looked_up_again(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        resolver, targets = Names(), PublicTargets()
        changes: asyncio.Queue[bool] = asyncio.Queue()
        targets.changed = lambda: changes.put_nowait(targets.is_public(OURS))
        own = OwnAddresses(
            asyncio.get_running_loop(),
            targets,
            (),
            ("a.example:8388",),
            resolver,  # type: ignore[arg-type]
        )
        await resolver.asked.get()
        assert targets.is_public(OURS)
        resolver.names["a.example"] = [OURS]
        while await changes.get():
            pass
        # What it was holds as long as there is no answer.
        del resolver.names["a.example"]
        while not resolver.asked.empty():
            resolver.asked.get_nowait()
        await resolver.asked.get()
        assert not targets.is_public(OURS)
        resolver.names["a.example"] = [OTHER]
        while not await changes.get():
            pass
        own.close()

    monkeypatch.setattr("fastsocks.outbound.own_addresses._LOOK_UP_AGAIN", 0.001)
    run(scenario())


def test_what_stands_for_all_addresses_is_none() -> None:
    networks, names = networks_of(("", "0.0.0.0", "::", "fe80::1%lo", "a.example:1", "[::1]:2"))
    assert [str(one) for one in networks] == ["fe80::1/128", "::1/128"]
    assert names == ["a.example"]
