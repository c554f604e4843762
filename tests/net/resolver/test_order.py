"""The order of addresses (RFC 6724)."""

from __future__ import annotations

import socket
import sys

import pytest

from fastsocks.net.resolver.order import HostFamilies, in_order, info_of
from harness.listener import require_loopback


def order(*hosts: str) -> list[str]:
    return [info[4][0] for info in in_order([info_of(host) for host in hosts])]


def test_ipv6_loopback_comes_first() -> None:
    require_loopback("::1")
    assert order("127.0.0.1", "::1") == ["::1", "127.0.0.1"]


def test_what_no_route_leads_to_comes_last() -> None:
    require_loopback("::1")
    # A multicast address of all hosts of the link: TCP has no way there, connect(2) has no scope.
    assert order("fe80::1", "127.0.0.1") == ["127.0.0.1", "fe80::1"]


def test_one_family_keeps_its_order() -> None:
    hosts = ["192.0.2.9", "127.0.0.1", "192.0.2.1"]
    assert order(*hosts) == hosts


@pytest.mark.skipif(sys.platform != "linux", reason="getaddrinfo sorts by more there")
@pytest.mark.parametrize("hosts", [("::1", "127.0.0.1"), ("192.0.2.1", "2001:db8::1")])
def test_the_families_are_in_the_order_of_the_system(hosts: tuple[str, ...]) -> None:
    theirs = [
        info[4][0]
        for host in hosts
        for info in socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    ]
    assert sorted(order(*hosts)) == sorted(theirs)


def test_the_families_of_this_host() -> None:
    families = HostFamilies()
    assert families.get()[0] == socket.AF_INET
    assert families.get() is families.get()
