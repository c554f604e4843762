"""What a peer is: the processes of a relay to measure, and what is told to them."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

HOST = "127.0.0.1"
SOCKS5 = "socks5"  # stands for a method where the relay is a plain SOCKS5 proxy, one end


class MissingPeerError(Exception):
    """The peer is not installed; the text says how to get it."""


@dataclass(frozen=True)
class Link:
    """What a pair is told: a method, its key, two free ports, a folder for files."""

    method: str
    key: str
    server_port: int
    local_port: int
    folder: Path


@dataclass(frozen=True)
class End:
    """One process of a peer."""

    role: str  # server, local, or proxy where there is one end
    argv: list[str]
    port: int
    env: Mapping[str, str] = field(default_factory=dict)


Ends = Callable[[Link], list[End]]


@dataclass(frozen=True)
class Peer:
    """A relay to measure. ends() and version() raise MissingPeerError.

    ``udp``: what its ends are told to relay UDP, too; None where they cannot.
    ``version_command``: what a user runs to see its version. ``rounds``: the
    most it takes part in, and ``most_connections`` the most it is given at
    once, where more would take it minutes. ``named_only``: takes part only in
    scenarios that name it.
    """

    name: str
    ends: Ends
    version: Callable[[], str]
    speaks: Callable[[str], bool]
    udp: Sequence[str] | None = None
    version_command: Callable[[], tuple[Sequence[str], Mapping[str, str]]] | None = None
    rounds: int = 100
    most_connections: int = 1_000_000
    named_only: bool = False

    def datagram_end(self, link: Link, role: str) -> End:
        """The end of that role, relaying UDP."""
        (end,) = (each for each in self.ends(link) if each.role == role)
        return replace(end, argv=[*end.argv, *(self.udp or ())])


def make_link(method: str, folder: Path) -> Link:
    """A Link with a fresh key and two ports that the kernel says are free."""
    size = 16 if "aes-128" in method else 32
    key = base64.b64encode(os.urandom(size)).decode()
    server_port, local_port = _free_ports()
    return Link(method, key, server_port, local_port, folder)


def _free_ports() -> tuple[int, int]:
    """Two ports that are free for TCP and for UDP."""
    with ExitStack() as stack:
        found: list[int] = []
        while len(found) < 2:
            stream = stack.enter_context(socket.socket())
            stream.bind((HOST, 0))
            port = stream.getsockname()[1]
            packet = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            with suppress(OSError):  # another one, where a datagram socket has this
                packet.bind((HOST, port))
                found.append(port)
        return found[0], found[1]


def installed() -> Path:
    """The folder that scripts/install_peers.sh installs into."""
    return Path(os.environ.get("FASTSOCKS_PEERS", Path.home() / ".cache/fastsocks-peers"))


def find(program: str, remedy: str) -> str:
    """The path of a peer's program, the peers' folder first. Raises MissingPeerError."""
    found = shutil.which(program, path=str(installed() / "bin"))
    found = found or shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if found is None:
        raise MissingPeerError(f"{program} is not installed: {remedy}")
    return found


def output(argv: Sequence[str], env: Mapping[str, str] | None = None) -> tuple[int, list[str]]:
    """Exit code and the lines written to either stream."""
    done = subprocess.run(
        argv,
        check=False,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
    )
    return done.returncode, done.stdout.strip().splitlines() or ["(no output)"]


def debian_version(package: str) -> str:
    """The version of an installed Debian package, or that it is not known."""
    with suppress(FileNotFoundError):
        code, lines = output(["dpkg-query", "-W", "-f", "${Version}", package])
        if code == 0:
            return f"{package} {lines[0]}"
    return f"{package}, version unknown"
