"""Checks of single options, for :mod:`.options`: each raises ConfigError that names the key."""

from __future__ import annotations

import math
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from fastsocks.address import host_name
from fastsocks.errors import ConfigError, HostNameError
from fastsocks.request import PROTOCOLS, SOCKS4

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
        raise ConfigError("resolver: none; write auto, system, or the IP addresses of name servers")
    for text in servers:
        if text in {"auto", "system"}:
            raise ConfigError(f"resolver: {text} stands by itself, without name servers")
        try:
            read_name_server(text)
        except ConfigError as error:
            raise ConfigError(f"resolver: {error}") from None


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


def check_seconds(key: str, seconds: float) -> None:
    """Check a length of time."""
    if not (math.isfinite(seconds) and seconds > 0):
        raise ConfigError(f"{key}: {seconds} is not a number of seconds above 0")


def check_server(address: str) -> None:
    """Check that there is the address of a server, and not what stands for it."""
    if not address:
        raise ConfigError("server: its address is missing")
    if address.strip().upper() == PLACEHOLDER:
        raise ConfigError(
            f"server: {PLACEHOLDER} stands for the server's address, which it does not know "
            "itself: put its IP address or name in that place"
        )


def check_method(method: str) -> None:
    """Check that there is a method."""
    if not method:
        raise ConfigError("method: none given; a good one is 2022-blake3-aes-128-gcm")


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


def check_udp_address(address: str) -> None:
    """Check the IP address that UDP clients are told; "" is none."""
    if not address:
        return
    try:
        ip = ip_address(address)
    except ValueError:
        raise ConfigError("udp_address: it has to be an IP address") from None
    if ip.is_unspecified:
        raise ConfigError(f"udp_address: nobody can send to {address}")


def check_public_address(address: str) -> None:
    """Check the address or name under which clients reach this host; "" is none."""
    try:
        split_host(address)
    except ConfigError as error:
        raise ConfigError(f"public_address: {error}") from None


def check_protocols(protocols: Sequence[str], *, has_accounts: bool) -> None:
    """Check what clients may speak."""
    if not protocols or not set(protocols) <= set(PROTOCOLS):
        raise ConfigError(f"protocols: one or more of {', '.join(PROTOCOLS)}")
    if has_accounts and set(protocols) == {SOCKS4}:
        raise ConfigError("protocols: socks4 has no passwords; add socks5 or http")


def check_gssapi(wanted: bool, keytab: str, protection: Sequence[str]) -> None:
    """Check what is said of Kerberos."""
    if keytab and not wanted:
        raise ConfigError("gssapi_keytab: it is not used: set gssapi too, or remove it")
    if not protection or not set(protection) <= set(PROTECTIONS):
        raise ConfigError(f"gssapi_protection: one or more of {', '.join(PROTECTIONS)}")
