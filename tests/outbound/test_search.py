"""The names that come of a short one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fastsocks.address import Address
from fastsocks.config import ProxyOptions, ServerOptions
from fastsocks.errors import ConfigError, HostNameError
from fastsocks.net.resolver import System
from fastsocks.outbound.search import SearchingOutbound


def searching(folder: Path, *domains: str) -> SearchingOutbound:
    file = folder / "resolv.conf"
    file.write_text("search a.example b.example.\noptions ndots:2\n")
    return SearchingOutbound(None, None, domains, System(str(file)))


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("db", ["db.x", "db.y.z", "db"]),
        ("DB", ["db.x", "db.y.z", "db"]),
        ("db.eu", ["db.eu.x", "db.eu.y.z", "db.eu"]),
        ("db.eu.q", ["db.eu.q", "db.eu.q.x", "db.eu.q.y.z"]),
        ("db.", ["db"]),
        ("127.0.0.1", ["127.0.0.1"]),
        ("::1", ["::1"]),
        ("0x7f.1", ["127.0.0.1"]),
        ("a." * 125 + "a", ["a." * 125 + "a", "a." * 125 + "a.x"]),
    ],
)
def test_names(tmp_path: Path, host: str, wanted: list[str]) -> None:
    found = searching(tmp_path, "x", "y.z").names(Address.of(host, 80))
    assert [(one.host, one.port) for one in found] == [(name, 80) for name in wanted]


def test_domains_of_the_system(tmp_path: Path) -> None:
    found = searching(tmp_path, "system").names(Address.of("db", 80))
    assert [one.host for one in found] == ["db.a.example", "db.b.example", "db"]


def test_what_is_no_name(tmp_path: Path) -> None:
    with pytest.raises(HostNameError):
        list(searching(tmp_path, "x").names(Address.of("a b", 80)))


@pytest.mark.parametrize(
    ("domains", "upstream", "error"),
    [
        (("a b",), (), "search_domains: 'a b': "),
        (("a..b",), (), "search_domains: 'a..b': "),
        (("x",), ("socks5://127.0.0.1",), "search_domains: the upstream looks names up"),
    ],
)
def test_domains_that_are_none(
    domains: tuple[str, ...], upstream: tuple[str, ...], error: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(error)):
        ProxyOptions(search_domains=domains, upstream=upstream)
    with pytest.raises(ConfigError, match=re.escape(error)):
        ServerOptions(method="none", search_domains=domains, upstream=upstream)
