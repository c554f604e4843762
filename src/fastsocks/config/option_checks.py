"""Checks of single options, for :mod:`.options`: each raises ConfigError that names the key."""

from __future__ import annotations

import math
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from fastsocks.address import host_name
from fastsocks.errors import ConfigError, HostNameError
from fastsocks.request import SOCKS4

from .rules import read_network
from .values import split_host

#: What GSSAPI does for the messages of a connection; the weakest first.
PROTECTIONS = ("none", "integrity", "confidentiality")

#: Stands in a URL for the address of a server that does not know its own.
PLACEHOLDER = "ADDRESS-OF-THIS-SERVER"


def is_loopback(address: str) -> bool:
    """Tell whether only this host can reach what listens on `address`.

    :param address: an IP address, a name or "". Of names only ``localhost`` counts.
    """
    try:
        ip: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return address.lower() == "localhost"
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return ip.is_loopback


def check_port(key: str, port: int, lowest: int) -> None:
    """Check a port, `lowest` or above."""
    if not lowest <= port <= 0xFFFF:
        raise ConfigError(f"{key}: {port} is not in {lowest}..65535")


def check_resolver(servers: Sequence[str]) -> None:
    """Check who looks names up."""
    if tuple(servers) in {("auto",), ("system",)}:
        return
    from fastsocks.net.resolver import read_name_server

    if not servers:
        raise ConfigError("none; write auto, system, or the IP addresses of name servers")
    for text in servers:
        if text in {"auto", "system"}:
            raise ConfigError(f"{text} stands by itself, without name servers")
        read_name_server(text)


def check_search(domains: Sequence[str], upstream: Sequence[str]) -> None:
    """Check domains in which names are searched."""
    if domains and upstream:
        raise ConfigError("search_domains: the upstream looks names up; remove it, or upstream")
    if tuple(domains) == ("system",):
        return
    for domain in domains:
        try:
            host_name(domain)
        except HostNameError as error:
            raise ConfigError(f"search_domains: {domain!r}: {error}") from None


def check_families(wanted: dict[str, bool]) -> None:
    """Check that one thing at most is said of the addresses of names."""
    chosen = [key for key, value in wanted.items() if value]
    if len(chosen) > 1:
        raise ConfigError(f"{chosen[1]}: there is {chosen[0]} too; set one of them")


def check_seconds(seconds: float) -> None:
    """Check a length of time."""
    if not (math.isfinite(seconds) and seconds > 0):
        raise ConfigError(f"{seconds} is not a number of seconds above 0")


def check_grace(seconds: float) -> None:
    """Check a length of time that may be none, or without end."""
    if not seconds >= 0:
        raise ConfigError(f"{seconds} is not a number of seconds, 0 or more")


def check_server(address: str) -> None:
    """Check that there is the address of a server, and not what stands for it."""
    if not address:
        raise ConfigError("its address is missing")
    if address.strip().upper() == PLACEHOLDER:
        raise ConfigError(
            f"{PLACEHOLDER} stands for the server's address, which it does not know "
            "itself: put its IP address or name in that place"
        )


def check_method(method: str) -> None:
    """Check that there is a method."""
    if not method:
        raise ConfigError("none given; a good one is 2022-blake3-aes-128-gcm")


def check_key(password: str, key: str) -> None:
    """Check that there is one of the two at most."""
    if password and key:
        raise ConfigError("key: there is a password too; give one of the two")


def check_outbound(addresses: Sequence[str], key: str = "outbound address") -> None:
    """Check that there is one IP address of each family at most."""
    versions = []
    for address in addresses:
        try:
            versions.append(ip_address(address).version)
        except ValueError:
            raise ConfigError(f"{key}: it has to be an IP address") from None
    if len(set(versions)) < len(versions):
        raise ConfigError(f"{key}: one IPv4 and one IPv6 address at most")


def check_bind_addresses(addresses: Sequence[str]) -> None:
    """Check where peers of clients can connect."""
    check_outbound(addresses, "bind_address")
    for address in addresses:
        if ip_address(address).is_unspecified:
            raise ConfigError(f"bind_address: nobody can connect to {address}")


def check_bind_ports(ports: tuple[int, int]) -> None:
    """Check a range of ports."""
    first, last = ports
    if not 1 <= first <= last <= 0xFFFF:
        raise ConfigError(f"{first}-{last} is no range of 1..65535")


def check_udp_address(address: str) -> None:
    """Check the IP address that UDP clients are told."""
    try:
        ip = ip_address(address)
    except ValueError:
        raise ConfigError("it has to be an IP address") from None
    if ip.is_unspecified:
        raise ConfigError(f"nobody can send to {address}")


def check_public_address(address: str) -> None:
    """Check the address or name under which clients reach this host."""
    split_host(address)


def check_fronts(networks: Sequence[str]) -> None:
    """Check the networks of proxies that name clients by PROXY headers."""
    for network in networks:
        read_network(network)


def check_callable(hook: object) -> None:
    """Check that a program gives a function."""
    if not callable(hook):
        raise ConfigError(f"it has to be a function, not {type(hook).__name__}")


def check_protocols(protocols: Sequence[str], *, has_accounts: bool) -> None:
    """Check that clients may speak what has passwords, where they need one."""
    if has_accounts and set(protocols) == {SOCKS4}:
        raise ConfigError("protocols: socks4 has no passwords; add socks5 or http")
