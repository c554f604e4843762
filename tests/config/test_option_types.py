"""Options of the types that programs give."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from fastsocks.config import (
    LocalOptions,
    ProcessOptions,
    ProxyOptions,
    ServerEntry,
    ServerOptions,
    TunnelOptions,
)
from fastsocks.config.option import TYPES
from fastsocks.errors import ConfigError

#: Read by something else.
_ELSEWHERE = {"Sequence[Rule | str]", "Hook | None"}

SERVER: dict[str, Any] = {"method": "aes-128-gcm", "password": "CANARY"}


@pytest.mark.parametrize(
    "kind", [ServerOptions, LocalOptions, ProxyOptions, TunnelOptions, ProcessOptions, ServerEntry]
)
def test_the_type_of_every_option_is_checked(kind: type) -> None:
    fields = dataclasses.fields(kind)
    annotations = {str(field.type) for field in fields}
    assert {one.removesuffix(" | None") for one in annotations - _ELSEWHERE} <= set(TYPES)


def test_one_text_is_one_address() -> None:
    options = ProxyOptions(addresses="127.0.0.1")
    assert options == ProxyOptions(addresses=("127.0.0.1",))
    assert not options.beyond_loopback


def test_lists_are_taken_where_tuples_are() -> None:
    options = ProxyOptions(
        addresses=["127.0.0.1", "::1"],
        rules=["deny to 10.0.0.0/8"],
        upstream=["socks5://192.0.2.1"],
        protocols=["socks5"],
        bind_ports=[2000, 3000],  # type: ignore[arg-type]
    )
    assert options.addresses == ("127.0.0.1", "::1")
    assert options.upstream == ("socks5://192.0.2.1",)
    assert options.bind_ports == (2000, 3000)
    assert hash(options.read_rules) == hash(ProxyOptions(rules="deny to 10.0.0.0/8").read_rules)


def test_a_path_is_taken_for_a_file() -> None:
    assert ProxyOptions(accounts_file=Path("a.txt")).accounts_file == "a.txt"  # type: ignore[arg-type]


def test_a_whole_number_is_taken_for_seconds() -> None:
    assert ProxyOptions(timeout=5).timeout == 5


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"port": "1080"}, "port: it has to be a whole number, not str"),
        ({"port": True}, "port: it has to be a whole number, not bool"),
        ({"port": 1.5}, "port: it has to be a whole number, not float"),
        ({"timeout": "30"}, "timeout: it has to be a number, not str"),
        ({"addresses": 5}, "addresses: it has to be a text, or several, not int"),
        ({"addresses": ["127.0.0.1", 5]}, "addresses: it has to be a text, or several, not list"),
        ({"addresses": b"127.0.0.1"}, "addresses: it has to be a text, or several, not bytes"),
        ({"mode": None}, "mode: it has to be a text, not NoneType"),
        ({"access_log": 1}, "access_log: it has to be True or False, not int"),
        ({"rules": 5}, "rules: it has to be a list of rules"),
        ({"mtu": "1500"}, "mtu: it has to be a whole number, not str"),
        ({"users": ["alice"]}, "users: it has to be a mapping of texts to texts, not list"),
        ({"users": {"alice": 5}}, "users: it has to be a mapping of texts to texts, not dict"),
        ({"password": b"CANARY"}, "password: it has to be a text, not bytes"),
    ],
)
def test_another_type_is_named(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        ServerOptions(**{**SERVER, **given})
    assert text in str(raised.value)
    assert "CANARY" not in str(raised.value)


def test_a_hook_is_a_function() -> None:
    with pytest.raises(ConfigError, match="authenticate: it has to be a function, not dict"):
        ProxyOptions(authenticate={"alice": "CANARY"})  # type: ignore[arg-type]


def test_ports_of_a_range_are_numbers() -> None:
    with pytest.raises(ConfigError, match="bind_ports: it has to be two whole numbers"):
        ProxyOptions(bind_ports=(1, "2"))  # type: ignore[arg-type]
