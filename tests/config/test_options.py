"""Options: what is refused, in which words, and that no secret shows."""

from __future__ import annotations

from typing import Any

import pytest

from fastsocks.config import LocalOptions, Options, ProxyOptions, ServerOptions
from fastsocks.errors import ConfigError

CANARY = "canary-secret"


def server(**changes: Any) -> ServerOptions:
    return ServerOptions(**{"method": "aes-256-gcm", **changes})


def local(**changes: Any) -> LocalOptions:
    return LocalOptions(**{"method": "aes-256-gcm", "server": "example.com", **changes})


def proxy(**changes: Any) -> ProxyOptions:
    return ProxyOptions(**changes)


def test_defaults_listen_where_users_of_shadowsocks_expect_it() -> None:
    assert (server().addresses, server().port) == (("",), 8388)
    assert (local().addresses, local().port, local().server_port) == (
        ("127.0.0.1", "::1"),
        1080,
        8388,
    )
    assert (proxy().addresses, proxy().port) == (("127.0.0.1", "::1"), 1080)


@pytest.mark.parametrize("make", [server, local, proxy])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"addresses": ()}, "address: none"),
        ({"port": -1}, r"port: -1 is not in 0\.\.65535"),
        ({"port": 65536}, r"port: 65536 is not in 0\.\.65535"),
        ({"timeout": 0}, "timeout: 0 is not"),
        ({"timeout": -1.0}, "timeout: -1.0 is not"),
        ({"timeout": float("nan")}, "timeout: nan is not"),
        ({"timeout": float("inf")}, "timeout: inf is not"),
        ({"grace": -0.1}, "grace: -0.1 is not"),
        ({"grace": float("nan")}, "grace: nan is not"),
    ],
)
def test_options_of_every_service(make: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(**changes)


@pytest.mark.parametrize(
    ("make", "changes", "message"),
    [
        (server, {"method": ""}, "method: none given; a good one is"),
        (local, {"method": ""}, "method: none given; a good one is"),
        (local, {"server": ""}, "server: its address is missing"),
        (local, {"server_port": 0}, r"server port: 0 is not in 1\.\.65535"),
        (local, {"gssapi_keytab": "f"}, "gssapi_keytab: it is not used: set gssapi"),
        (proxy, {"gssapi_keytab": "f"}, "gssapi_keytab: it is not used: set gssapi"),
        (proxy, {"gssapi_protection": ()}, "gssapi_protection: one or more of none, integrity"),
        (proxy, {"gssapi_protection": ("privacy",)}, "gssapi_protection: one or more of none"),
        (local, {"accounts": {"": "p"}}, "accounts: a name has 1 to 255 bytes, not 0"),
        (local, {"accounts": {"n": ""}}, "accounts: a password has 1 to 255 bytes, not 0"),
        (proxy, {"accounts": {"n" * 256: "p"}}, "accounts: a name has 1 to 255 bytes, not 256"),
        (proxy, {"accounts": {"n": "é" * 128}}, "accounts: a password has 1 to 255 bytes, not 256"),
        (proxy, {"accounts": {"n": "\ud800"}}, "accounts: a password that UTF-8 cannot write"),
    ],
)
def test_options_of_one_service(make: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(**changes)


def test_the_bounds_themselves_are_allowed() -> None:
    proxy(port=0, grace=0, accounts={"n" * 255: "p" * 255})
    proxy(port=65535, timeout=0.001, grace=float("inf"), accounts={"n": "\udcff"})
    local(server_port=1)
    local(server_port=65535)


@pytest.mark.parametrize(
    "options",
    [
        server(password=CANARY),
        server(password=CANARY, users={"a": CANARY}),
        local(password=CANARY, accounts={"a": CANARY}),
        proxy(accounts={"a": CANARY}),
    ],
    ids=lambda options: type(options).__name__,
)
def test_secrets_do_not_show(options: Options) -> None:
    assert CANARY not in repr(options)
    assert CANARY not in str(options)


def test_options_do_not_change() -> None:
    with pytest.raises(AttributeError):
        server().port = 1  # type: ignore[misc]
