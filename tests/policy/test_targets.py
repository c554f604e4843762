"""Which addresses are public: the same on every version of Python."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from fastsocks.policy import PublicTargets, is_public
from fastsocks.policy.targets import is_own_name, unmapped

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "99.255.255.255",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "223.255.255.255",
    "2000::",
    "2001:200::1",
    "2606:4700:4700::1111",
    "3ffe:ffff::1",
    "3fff:1000::",
    # An IPv4 address in an IPv6 one counts as that.
    "::ffff:1.1.1.1",
    "64:ff9b::1.1.1.1",
    "2002:101:101::1",
]

NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    # Private up to Python 3.11.9 only in parts, global from 3.11.10 on.
    "192.0.0.8",
    "192.0.0.9",
    "192.0.0.10",
    "192.0.0.200",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    # Multicast, which is_global takes for global.
    "224.0.0.1",
    "224.0.1.1",
    "232.1.1.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b:1::1.1.1.1",
    "100::1",
    "100:0:0:1::1",
    # Teredo, benchmarking, ORCHIDv2; 2001:1::1 is the anycast address of one's own NAT.
    "2001::1",
    "2001:1::1",
    "2001:2::1",
    "2001:3::1",
    "2001:4:112::1",
    "2001:20::1",
    "2001:30::1",
    "2001:1ff:ffff::1",
    "2001:db8::1",
    "3fff::1",
    "3fff:fff:ffff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:224.0.1.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::100.64.0.1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:e000:101::1",
    # What is no address never passes.
    "",
    "localhost",
    "127.1",
    "1.1.1.1.",
    "1.1.1.1%eth0",
]


@pytest.mark.parametrize("host", PUBLIC)
def test_public(host: str) -> None:
    assert is_public(host)


@pytest.mark.parametrize("host", NOT_PUBLIC)
def test_not_public(host: str) -> None:
    assert not is_public(host)


@pytest.mark.parametrize("host", PUBLIC)
def test_public_is_never_more_than_what_the_module_calls_global(host: str) -> None:
    assert unmapped(ip_address(host)).is_global


def test_memory_is_bounded() -> None:
    limit = is_public.cache_info().maxsize
    assert limit is not None
    for number in range(limit + 10):
        is_public(f"8.8.{number >> 8}.{number & 255}")
    assert is_public.cache_info().currsize == limit


OWN = ("8.8.4.4/32", "9.9.9.0/28", "2606:4700::77/128", "2620:fe::/64")


def own_targets() -> PublicTargets:
    targets = PublicTargets()
    targets.take_own("host", map(ip_network, OWN))
    return targets


@pytest.mark.parametrize(
    "host",
    [
        *("8.8.4.4", "9.9.9.9", "2606:4700::77", "2620:fe::fe"),
        *("::ffff:8.8.4.4", "64:ff9b::8.8.4.4", "2002:808:404::1"),
    ],
)
def test_addresses_of_this_host_are_not_public(host: str) -> None:
    assert is_public(host)
    assert not own_targets().is_public(host)


@pytest.mark.parametrize("host", ["8.8.8.8", "9.9.9.16", "2606:4700::78", "2620:fe:0:1::"])
def test_their_neighbours_are(host: str) -> None:
    assert own_targets().is_public(host)


@pytest.mark.parametrize("host", NOT_PUBLIC)
def test_what_is_not_public_stays_so(host: str) -> None:
    assert not own_targets().is_public(host)


def test_names_pass_but_those_that_every_host_has() -> None:
    targets = own_targets()
    for name in ("localhost", "db.localhost", "localhost.localdomain", "ip6-loopback"):
        assert is_own_name(name)
        assert not targets.address_filter(name)
    for name in ("a.example", "localhost.example", "notlocalhost", "localhosts"):
        assert not is_own_name(name)
        assert targets.address_filter(name)


@pytest.mark.parametrize("host", PUBLIC)
def test_the_filter_is_that_of_addresses(host: str) -> None:
    assert PublicTargets().address_filter(host)
    assert not own_targets().address_filter("9.9.9.9")


def test_each_source_takes_back_what_it_said() -> None:
    targets = own_targets()
    told: list[None] = []
    targets.changed = lambda: told.append(None)
    targets.take_own("options", [ip_network("1.1.1.1")])
    assert not targets.is_public("1.1.1.1")
    targets.take_own("host", [])
    assert targets.is_public("8.8.4.4")
    assert not targets.is_public("1.1.1.1")
    assert targets.address_filter("8.8.4.4")
    assert not targets.address_filter("1.1.1.1")
    assert len(told) == 2


def test_the_system_is_asked_where_nobody_tells() -> None:
    targets = PublicTargets()
    own = {"8.8.4.4"}
    targets.ask(own.__contains__)
    assert not targets.is_public("8.8.4.4")
    assert targets.is_public("8.8.8.8")
    own.clear()
    targets.take_own("host", ())
    assert targets.is_public("8.8.4.4")
