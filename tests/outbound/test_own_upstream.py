"""Services that are told to go through themselves."""

from __future__ import annotations

from typing import Any

import pytest

from fastsocks.config import ProxyOptions, ServerOptions
from fastsocks.errors import ConfigError
from fastsocks.outbound.own_upstream import check_not_own_upstream
from fastsocks.outbound.upstream import read_upstream
from fastsocks.service import Proxy, Server
from harness.listener import free_port
from net.hosts_file import resolver_of

V4 = ("0.0.0.0", 1080)
V6 = ("::", 1080)


@pytest.mark.parametrize(
    ("upstream", "listening", "same"),
    [
        ("127.0.0.1:1080", ("127.0.0.1", 1080), True),
        ("127.0.0.1:1081", ("127.0.0.1", 1080), False),
        ("127.0.0.2:1080", ("127.0.0.1", 1080), False),
        ("127.0.0.2:1080", V4, True),
        ("127.0.0.2:1080", V6, False),
        ("0.0.0.0:1080", ("127.0.0.1", 1080), True),
        ("0.0.0.0:1080", ("192.0.2.1", 1080), False),
        ("[::1]:1080", V6, True),
        ("192.0.2.1:1080", V4, False),
        ("us.example:1080", V4, True),
        ("us.example:1081", V4, False),
        ("them.example:1080", V4, False),
        ("nobody.example:1080", V4, False),
    ],
)
def test_addresses(run: Any, upstream: str, listening: tuple[str, int], same: bool) -> None:
    async def scenario() -> None:
        resolver = resolver_of(
            {"us.example": ["192.0.2.1", "127.0.0.1"], "them.example": ["192.0.2.1"]}
        )
        checked = check_not_own_upstream(
            read_upstream(f"socks5://{upstream}"),
            [("198.51.100.1", 1080), listening],
            resolver,
        )
        if same:
            with pytest.raises(ConfigError, match=r"^upstream: socks5://.* is this service itself"):
                await checked
        else:
            await checked

    run(scenario())


@pytest.mark.parametrize("scheme", ["ss://none:@", "socks5://", "http://"])
@pytest.mark.parametrize("kind", ["proxy", "server"])
def test_it_is_refused_at_the_start(run: Any, scheme: str, kind: str) -> None:
    port = free_port()
    where = {"addresses": ("127.0.0.1",), "port": port, "allow_private": True}
    upstream = (f"{scheme}127.0.0.1:{port}",)
    service: Proxy | Server
    if kind == "proxy":
        service = Proxy(ProxyOptions(upstream=upstream, **where))  # type: ignore[arg-type]
    else:
        options = ServerOptions(method="none", mode="tcp_only", upstream=upstream, **where)  # type: ignore[arg-type]
        service = Server(options)
    service.sources = {"upstream": "here.toml: upstream"}

    async def scenario() -> None:
        with pytest.raises(ConfigError, match=r"^here\.toml: upstream: .*listen at another port"):
            await service.start()
        # Nothing listens that was opened for it.
        async with Proxy(ProxyOptions(addresses=("127.0.0.1",), port=port)):
            pass

    run(scenario())
