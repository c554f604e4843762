"""The name servers that are asked, and in which order."""

from __future__ import annotations

import socket
import time
from ipaddress import ip_address
from typing import Any, NamedTuple

from fastsocks.errors import ConfigError

from .system_files import ResolvConf

#: Port of DNS (RFC 1035 section 4.2).
PORT = 53

#: Seconds between the questions of one look-up that nobody has answered: the first is lost most
#: often, and a server that has to ask others needs its time.
WAITS = (1.0, 2.0, 2.0)

#: Seconds after which a look-up ends, whatever resolv.conf says of timeouts and attempts.
LONGEST_WAIT = 10.0

#: Seconds for which a server that has not answered is asked after the others.
_REST = 30.0


class NameServer(NamedTuple):
    """Where one is."""

    family: int
    sockaddr: tuple[Any, ...]
    #: Whether it is asked over TCP alone.
    tcp: bool = False

    def __str__(self) -> str:
        host, port = self.sockaddr[:2]
        if port == PORT:
            return str(host)
        return f"[{host}]:{port}" if self.family == socket.AF_INET6 else f"{host}:{port}"


def read_name_server(text: str) -> NameServer:
    """Read ``IP``, ``IP:PORT`` or ``[IPv6]:PORT``, behind ``tcp://`` or ``udp://`` if need be.

    :raises ConfigError: it is none of them.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "udp", text
    host, port = rest, PORT
    if scheme in {"udp", "tcp", "tcp_and_udp"}:
        if rest.startswith("["):
            host, bracket, tail = rest[1:].partition("]")
            tail = tail.removeprefix(":") if bracket else "?"
        elif rest.count(":") == 1:
            host, _, tail = rest.partition(":")
        else:
            tail = ""
        if tail:
            port = int(tail) if tail.isascii() and tail.isdecimal() and len(tail) < 6 else 0
        if 0 < port < 0x10000 and (found := _sockaddr(host, port)) is not None:
            return NameServer(*found, tcp=scheme == "tcp")
    raise ConfigError(
        f"{text!r} is no name server: write its IP address, with :PORT behind it unless that is "
        "53, or tcp:// in front of it"
    )


def _sockaddr(host: str, port: int) -> tuple[int, tuple[Any, ...]] | None:
    try:
        ip_address(host)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
    except (ValueError, OSError):
        return None
    return found[0][0], found[0][4]


class NameServers:
    """Several that know the same.

    :param servers: one or more, the first of which is preferred.
    :param waits: seconds after each question of a look-up until the next one is asked; by default
        :data:`WAITS`.
    :param rotate: let every look-up begin with another one.
    """

    def __init__(
        self,
        servers: tuple[NameServer, ...],
        waits: tuple[float, ...] = (),
        *,
        rotate: bool = False,
    ) -> None:
        self.servers = servers
        self.waits = waits or WAITS
        self._rotate = rotate
        self._turn = 0
        self._silent_until: dict[NameServer, float] = {}

    def __str__(self) -> str:
        return ", ".join(map(str, self.servers))

    def in_order(self) -> tuple[NameServer, ...]:
        """Return them in the order in which to ask."""
        servers = self.servers
        if self._rotate:
            self._turn = (self._turn + 1) % len(servers)
            servers = servers[self._turn :] + servers[: self._turn]
        if self._silent_until:
            now = time.monotonic()
            servers = tuple(sorted(servers, key=lambda one: self._silent_until.get(one, 0) > now))
        return servers

    def answered(self, server: NameServer) -> None:
        """Note that one has answered."""
        if self._silent_until:
            self._silent_until.pop(server, None)

    def silent(self, server: NameServer) -> None:
        """Note that one has not answered in time, or refuses to."""
        self._silent_until[server] = time.monotonic() + _REST


def of_resolv_conf(found: ResolvConf) -> NameServers:
    """Return the name servers of a system."""
    servers = [read_name_server(f"[{text}]" if ":" in text else text) for text in found.servers]
    waits: tuple[float, ...] = ()
    if found.timeout is not None:
        waits = tuple([found.timeout] * (found.attempts * len(servers)))
        while len(waits) > 1 and sum(waits) > LONGEST_WAIT:
            waits = waits[:-1]
        waits = (*waits[:-1], min(waits[-1], LONGEST_WAIT))
    return NameServers(
        tuple(server._replace(tcp=found.tcp) for server in servers), waits, rotate=found.rotate
    )
