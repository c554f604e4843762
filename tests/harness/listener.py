"""Ports and addresses on loopback."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

_LISTENING = "0A"
"""The state of a listening socket in /proc/net/tcp."""

_PORT_ATTEMPTS = 100


class SocketAddress(NamedTuple):
    """Where something listens."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def require_loopback(host: str) -> None:
    """Skip the test where this loopback address cannot be had, as ::1 in some containers."""
    try:
        with socket.create_server((host, 0), family=_family(host)):
            return
    except OSError as error:
        pytest.skip(f"{host} cannot be had: {error}")


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def free_port() -> int:
    """Return a port that is free now, for TCP and UDP, for programs that cannot take port 0.

    It lies below those that the kernel gives to outgoing connections and to port 0: a test that
    runs beside this one cannot come by it before the program does.
    """
    first_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in random.sample(range(first_ephemeral // 2, first_ephemeral), _PORT_ATTEMPTS):
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as packet:
            try:
                stream.bind(("127.0.0.1", port))
                packet.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"{_PORT_ATTEMPTS} ports below {first_ephemeral} are in use")


def accept_queue(address: SocketAddress) -> int | None:
    """Return how many connections wait to be accepted at an IPv4 address.

    :return: their number; None where nobody listens.
    """
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        _, local, _, state, queues, *_ = line.split()
        if state == _LISTENING and int(local.partition(":")[2], 16) == address.port:
            return int(queues.partition(":")[2], 16)
    return None


@contextmanager
def refusing_address(host: str = "127.0.0.1") -> Iterator[SocketAddress]:
    """Hold a port that is bound and not listening, so that a connect to it is refused."""
    require_loopback(host)
    with socket.socket(_family(host)) as holder:
        holder.bind((host, 0))
        yield SocketAddress(*holder.getsockname()[:2])


@contextmanager
def silent_address() -> Iterator[SocketAddress]:
    """Hold a listening port whose queue is full: a connect to it is neither taken nor refused."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = []
        try:
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
                fillers.append(filler)
            yield SocketAddress(*listener.getsockname())
        finally:
            for filler in fillers:
                filler.close()
