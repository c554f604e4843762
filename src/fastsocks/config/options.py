"""Typed options, one class a service.

They are checked when they are made, except for keys: whether those suit their method is for
:mod:`fastsocks.shadowsocks` to say. Every message names the option and what to write, and
none repeats a secret.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from fastsocks.errors import ConfigError

#: Passwords (or, on a 2022 server, keys) by user name.
Accounts: TypeAlias = Mapping[str, str]

#: RFC 1929: ULEN and PLEN are one byte each.
_LONGEST_CREDENTIAL = 255


@dataclass(frozen=True, kw_only=True)
class Options:
    """What every service has."""

    #: IP addresses or names to listen on; "" is every address of this host.
    addresses: tuple[str, ...]
    #: Port to listen on, 0..65535; 0 lets the kernel choose.
    port: int
    #: Seconds for a client's handshake, and again for reaching its target.
    timeout: float = 30.0
    #: Seconds for which relays may go on once the service is told to stop.
    grace: float = 10.0

    def __post_init__(self) -> None:
        if not self.addresses:
            raise ConfigError("address: none to listen on")
        _check_port("port", self.port, lowest=0)
        if not (math.isfinite(self.timeout) and self.timeout > 0):
            raise ConfigError(f"timeout: {self.timeout} is not a number of seconds above 0")
        if not self.grace >= 0:
            raise ConfigError(f"grace: {self.grace} is not a number of seconds, 0 or more")


@dataclass(frozen=True, kw_only=True)
class ServerOptions(Options):
    """Options of a Shadowsocks server."""

    addresses: tuple[str, ...] = ("",)
    port: int = 8388
    method: str
    #: Text, or for a 2022 method its PSK in base64; with users this is the iPSK.
    password: str = field(default="", repr=False)
    #: 2022 methods on AES: the PSK of each user, in base64 (SIP023).
    users: Accounts = field(default_factory=dict, repr=False)
    #: Whether clients may reach addresses that are not public: this host, its network.
    allow_private: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_method(self.method)


@dataclass(frozen=True, kw_only=True)
class LocalOptions(Options):
    """Options of a SOCKS5 server that leads to a Shadowsocks server."""

    addresses: tuple[str, ...] = ("127.0.0.1",)
    port: int = 1080
    #: Address or name of the Shadowsocks server.
    server: str
    server_port: int = 8388
    method: str
    #: As on the server, or for a user of a 2022 server ``iPSK:uPSK``.
    password: str = field(default="", repr=False)
    #: Who may use it; nobody named: everybody.
    accounts: Accounts = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.server:
            raise ConfigError("server: its address is missing")
        _check_port("server port", self.server_port, lowest=1)
        _check_method(self.method)
        _check_accounts(self.accounts)


@dataclass(frozen=True, kw_only=True)
class ProxyOptions(Options):
    """Options of a plain SOCKS5 proxy."""

    addresses: tuple[str, ...] = ("127.0.0.1",)
    port: int = 1080
    #: Who may use it; nobody named: everybody.
    accounts: Accounts = field(default_factory=dict, repr=False)
    #: Where it listens beyond loopback, whether clients may reach addresses that are not
    #: public: this host, its network.
    allow_private: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_accounts(self.accounts)


def read_accounts(texts: Iterable[str]) -> Accounts:
    """Read users from texts of the form ``NAME:PASSWORD``; the name has no colon.

    :raises ConfigError: a text has no colon or no name, or two have the same name.
    """
    accounts: dict[str, str] = {}
    for text in texts:
        name, colon, password = text.partition(":")
        if not (name and colon):
            raise ConfigError("user: write NAME:PASSWORD")
        if name in accounts:
            raise ConfigError(f"user: {name!r} is there twice")
        accounts[name] = password
    return accounts


def _check_port(key: str, port: int, lowest: int) -> None:
    if not lowest <= port <= 0xFFFF:
        raise ConfigError(f"{key}: {port} is not in {lowest}..65535")


def _check_method(method: str) -> None:
    if not method:
        raise ConfigError("method: none given; a good one is 2022-blake3-aes-128-gcm")


def _check_accounts(accounts: Accounts) -> None:
    for name, password in accounts.items():
        for what, text in (("name", name), ("password", password)):
            try:
                size = len(text.encode("utf-8", "surrogateescape"))
            except UnicodeEncodeError:
                raise ConfigError(f"user: a {what} that UTF-8 cannot write") from None
            if not 1 <= size <= _LONGEST_CREDENTIAL:
                raise ConfigError(f"user: a {what} has 1 to 255 bytes, not {size} (RFC 1929)")
