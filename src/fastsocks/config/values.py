"""Readers of single values, from files, the environment and flags alike.

Each takes what JSON, TOML or the command line gave, or the text of a variable, and returns
what the options hold. Their errors say what to write, not where it stands; none repeats a
text, since a secret may have got into the wrong place.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from fastsocks.address import Address
from fastsocks.errors import AddressError, ConfigError

from .accounts import Accounts
from .text import lines_of, without_line_ends

_BOOLEANS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
_NUMBER = re.compile(r"[+-]?\d{1,18}(\.\d{1,9})?", re.ASCII)

#: Every address of this host, IPv6 alone where the system is asked for just that.
_UNSPECIFIED_IPV6 = IPv6Address(0)


class Host(NamedTuple):
    """A host, and the port where one is written with it."""

    name: str
    port: int | None = None


class Hosts(NamedTuple):
    """One host or several."""

    hosts: tuple[Host, ...]
    #: Whether it was a text, not a list of one.
    single: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The hosts without their ports."""
        return tuple(host.name for host in self.hosts)

    def listening(self, *, ipv6_only: bool) -> tuple[str, ...]:
        """Return the hosts as addresses to listen on.

        ``::`` by itself is every address, as in shadowsocks-rust; in a list, as
        shadowsocks-libev has it, or with `ipv6_only` it is IPv6 alone.
        """
        names = self.names
        if self.single and not ipv6_only and _is_unspecified_ipv6(names[0]):
            return ("",)
        return names


def _is_unspecified_ipv6(name: str) -> bool:
    try:
        return ip_address(name) == _UNSPECIFIED_IPV6
    except ValueError:
        return False


def read_text(value: object) -> str:
    """Read a text, without what is around it by accident."""
    if not isinstance(value, str):
        raise ConfigError("it has to be a text")
    return without_line_ends(value)


def read_texts(value: object) -> tuple[str, ...]:
    """Read a text or a list of texts; in a text blanks stand between several."""
    if isinstance(value, str):
        value = value.split()
    if not isinstance(value, list | tuple):
        raise ConfigError("it has to be a text, or a list of texts")
    return tuple(read_text(item) for item in value)


def read_password(value: object) -> str:
    """Read a password; shadowsocks-libev takes one of digits without quotes."""
    if isinstance(value, int) and not isinstance(value, bool):
        # Longer ones Python does not turn back into text (sys.set_int_max_str_digits).
        if abs(value) < 10**1000:
            return str(value)
        raise ConfigError("write it in quotes")
    return read_text(value)


def read_lowercase(value: object) -> str:
    """Read one of a few words, in either letter case."""
    return read_text(value).strip().lower()


def read_words(value: object) -> tuple[str, ...]:
    """Read words, in either letter case; commas stand between several in one text."""
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list | tuple):
        raise ConfigError("it has to be a word, or a list of words")
    return tuple(dict.fromkeys(map(read_lowercase, words)))


#: What names of shadowsocks-rust stand for.
_PUBLIC_RESOLVERS = {
    "google": ("8.8.8.8", "8.8.4.4"),
    "cloudflare": ("1.1.1.1", "1.0.0.1"),
    "quad9": ("9.9.9.9", "149.112.112.112"),
}


def read_resolver(value: object) -> tuple[str, ...]:
    """Read who looks names up: name servers, with commas or blanks between several, or a word."""
    texts = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(texts, list | tuple):
        raise ConfigError("it has to be the IP address of a name server, or a list of such")
    servers: list[str] = []
    for text in map(read_lowercase, texts):
        servers += _PUBLIC_RESOLVERS.get(text, (text,))
    return tuple(servers)


def read_flag(value: object) -> bool:
    """Read true or false."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | str):
        known = _BOOLEANS.get(str(value).strip().lower())
        if known is not None:
            return known
    raise ConfigError("it has to be true or false")


def read_integer(value: object) -> int:
    """Read a whole number, also one in quotes."""
    number = _read_number(value)
    if number != int(number):
        raise ConfigError("it has to be a whole number")
    return int(number)


def read_workers(value: object) -> int:
    """Read how many processes; 0 stands for ``auto``."""
    if isinstance(value, str) and value.strip().lower() == "auto":
        return 0
    try:
        return read_integer(value)
    except ConfigError:
        raise ConfigError("it has to be a whole number, or auto") from None


def read_seconds(value: object) -> float:
    """Read a number of seconds above 0, also one in quotes."""
    seconds = _read_number(value)
    if seconds <= 0:
        raise ConfigError("it has to be a number of seconds above 0")
    return seconds


def read_grace(value: object) -> float:
    """Read a number of seconds, 0 and infinity included."""
    if value in ("inf", math.inf):
        return math.inf
    seconds = _read_number(value)
    if seconds < 0:
        raise ConfigError("it has to be a number of seconds, 0 or more")
    return seconds


def _read_number(value: object) -> float:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        text = value.strip()
        value = float(text) if "." in text else int(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError("it has to be a number")
    # In this order: an integer can be too large to be asked whether it is finite.
    if abs(value) > 10**18 or not math.isfinite(value):
        raise ConfigError("it has to be a finite number of no more than 18 digits")
    return value


def read_listening_port(value: object) -> int:
    """Read a port; 0 lets the kernel choose."""
    port = read_integer(value)
    if not 0 <= port <= 0xFFFF:
        raise ConfigError(f"{port} is not in 0..65535")
    return port


def read_mtu(value: object) -> int | None:
    """Read a size in bytes; 0 is that of the system."""
    return read_integer(value) or None


def read_hosts(value: object) -> Hosts:
    """Read an address or a list of addresses, each with a port or without.

    In the environment commas stand between several.
    """
    single = isinstance(value, str) and "," not in value
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list | tuple) or not value:
        raise ConfigError("it has to be an address, or a list of addresses")
    hosts = []
    for item in value:
        if not isinstance(item, str):
            raise ConfigError("an address has to be a text")
        hosts.append(split_host(item.strip()))
    return Hosts(tuple(hosts), single)


def split_host(text: str) -> Host:
    """Take ``HOST``, ``HOST:PORT``, ``IPv6`` or ``[IPv6]:PORT`` apart; "" is a host too."""
    if "://" in text:
        raise ConfigError("it has to be an address, not a URL")
    host, port = text, None
    if text.startswith("["):
        host, bracket, port_text = text[1:].partition("]")
        if not bracket or (port_text and not port_text.startswith(":")):
            raise ConfigError("write an IPv6 address with a port as [ADDRESS]:PORT")
        if not _is_ip(host, version=6):
            raise ConfigError("only an IPv6 address stands in brackets")
        if port_text:
            port = _port_behind(port_text[1:])
    elif text.count(":") == 1:
        host, _, port_text = text.partition(":")
        port = _port_behind(port_text)
    elif ":" in text and not _is_ip(text, version=6):
        raise ConfigError("it has colons, but is not an IPv6 address")
    if host:
        if not host.isprintable() or any(char in " /?#@" for char in host):
            raise ConfigError("it has a character that no address has")
        try:
            Address.of(host, 0)
        except AddressError as error:
            raise ConfigError(str(error)) from None
    return Host(host, port)


def read_target(value: object) -> str:
    """Read a host and a port, both of which have to be there."""
    text = read_text(value).strip()
    host, port = split_host(text)
    if not host or not port:
        raise ConfigError("write HOST:PORT")
    return text


def _port_behind(text: str) -> int:
    try:
        return read_listening_port(text)
    except ConfigError as error:
        raise ConfigError(f"its port: {error}") from None


def _is_ip(text: str, *, version: int) -> bool:
    try:
        return ip_address(text).version == version
    except ValueError:
        return False


def read_ip_addresses(value: object) -> tuple[str, ...]:
    """Read an IP address or several, without ports."""
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list | tuple):
        raise ConfigError("it has to be an IP address")
    addresses = []
    for item in value:
        try:
            addresses.append(str(ip_address(read_text(item).strip())))
        except ValueError:
            raise ConfigError("it has to be an IP address") from None
    return tuple(addresses)


def read_ports(value: object) -> tuple[int, int]:
    """Read a range of ports, ``FIRST-LAST``, or one."""
    first, _, last = str(value).partition("-")
    if not (first.strip().isdecimal() and (last or first).strip().isdecimal()):
        raise ConfigError("write FIRST-LAST, such as 50000-50100, or one port")
    return read_listening_port(first), read_listening_port(last or first)


def read_accounts(value: object) -> Accounts:
    """Read names and passwords, in any of these forms.

    A list of objects with ``name`` and ``password``, as shadowsocks-rust has it; an object of
    passwords by name; a list of texts ``NAME:PASSWORD``; or a text with such lines, or with such
    an object in JSON, as a variable holds them.
    """
    accounts: dict[str, str] = {}
    for name, password in _named_passwords(value):
        if not isinstance(name, str) or not isinstance(password, str) or not name:
            raise ConfigError("a name and its password have to be texts, the name not empty")
        known = without_line_ends(name)
        if known in accounts:
            raise ConfigError(f"{_shown(known)} is there twice")
        accounts[known] = without_line_ends(password)
    return accounts


def _named_passwords(value: object) -> Iterator[tuple[object, object]]:
    if isinstance(value, str):
        value = _accounts_in_text(value)
    if isinstance(value, Mapping):
        yield from value.items()
        return
    if not isinstance(value, list | tuple):
        raise ConfigError("it has to be a list of {name, password}")
    for item in value:
        if isinstance(item, str):
            name, colon, password = item.partition(":")
            if not colon:
                raise ConfigError("write NAME:PASSWORD")
            yield name, password
        elif isinstance(item, Mapping) and {"name", "password"} <= item.keys():
            yield item["name"], item["password"]
        else:
            raise ConfigError("each one has a name and a password")


def _accounts_in_text(text: str) -> object:
    if not text.lstrip().startswith("{"):
        return [line.strip() for line in lines_of(text) if line.strip()]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        # Not its cause: that holds the text.
        raise ConfigError("it begins with { but is not JSON") from None


def _shown(name: str) -> str:
    return repr(name) if len(name) <= 40 else "one name"
