"""Addresses of servers that we are told of."""

from __future__ import annotations

import pytest

from fastsocks.config import LocalOptions
from fastsocks.errors import ConfigError, HostNameError
from fastsocks.outbound.upstream import read_upstream, server_address
from fastsocks.service import Local


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("Straße.de.", "xn--strae-oqa.de"),
        ("192.0.2.1", "192.0.2.1"),
        ("127.1", "127.0.0.1"),
        ("2001:db8::1", "2001:db8::1"),
        # Any interface will do where the scope is a number.
        ("fe80::1%1", "fe80::1%1"),
    ],
)
def test_what_is_dialed(host: str, expected: str) -> None:
    assert server_address(host, 443).host == expected


def test_link_local_has_an_interface_of_this_host() -> None:
    with pytest.raises(ConfigError, match="fe80::1 is link-local: write its interface"):
        server_address("fe80::1", 443)
    with pytest.raises(ConfigError, match="no IPv6 address of an interface that this host has"):
        server_address("fe80::1%nowhere", 443)
    with pytest.raises(HostNameError):
        server_address("a b", 443)


@pytest.mark.parametrize("host", ["fe80::1", "fe80::1%nowhere", "a..b"])
def test_services_do_not_start_with_others(host: str) -> None:
    with pytest.raises(ConfigError, match="server: "):
        Local(LocalOptions(server=host, method="aes-128-gcm", password="x"))


def test_names_of_upstreams_have_one_form() -> None:
    assert read_upstream("socks5://Straße.de:1080").address.host == "xn--strae-oqa.de"
    with pytest.raises(ConfigError, match=r"url: .*link-local"):
        read_upstream("socks5://[fe80::1]:1080")
