"""The relays that are compared: how each is started, and at what version.

A new peer is one Peer in PEERS: a function from a Link to its ends, in the
order to start them, the last one being the one that the load talks to.
"""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import sys
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


@dataclass(frozen=True)
class Peer:
    """A relay to measure. version() raises MissingPeerError.

    ``udp``: what both ends are told to relay UDP, too; None where they cannot.
    """

    name: str
    ends: Callable[[Link], list[End]]
    version: Callable[[], str]
    speaks: Callable[[str], bool]
    udp: Sequence[str] | None = None

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


def find(program: str, remedy: str) -> str:
    """The path of a peer's program, the peers' folder first. Raises MissingPeerError."""
    home = Path(os.environ.get("FASTSOCKS_PEERS", Path.home() / ".cache/fastsocks-peers"))
    found = shutil.which(program, path=str(home / "bin")) or shutil.which(program)
    if found is None:
        raise MissingPeerError(f"{program} is not installed: {remedy}")
    return found


def _output(argv: list[str], env: Mapping[str, str] | None = None) -> tuple[int, list[str]]:
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


def _fastsocks(implementation: str) -> Peer:
    env = {"FASTSOCKS_IMPL": implementation}
    command = [sys.executable, "-m", "fastsocks"]

    def ends(link: Link) -> list[End]:
        way = ["-s", HOST, "-p", str(link.server_port), "-k", link.key, "-m", link.method]
        listen = ["-b", HOST, "-l", str(link.local_port)]
        if link.method == SOCKS5:
            return [End("proxy", [*command, "proxy", *listen], link.local_port, env)]
        return [
            End("server", [*command, "server", "--allow-private", *way], link.server_port, env),
            End("local", [*command, "local", *way, *listen], link.local_port, env),
        ]

    def version() -> str:
        code, lines = _output([*command, "--version"], env)
        if code:
            raise MissingPeerError(f"FASTSOCKS_IMPL={implementation}: {lines[-1]}")
        return ", ".join(lines)

    return Peer(f"fastsocks ({implementation})", ends, version, lambda method: True, udp=())


_LIBEV_REMEDY = "apt-get install shadowsocks-libev"


def _libev_ends(link: Link) -> list[End]:
    way = ["-s", HOST, "-p", str(link.server_port), "-k", link.key, "-m", link.method]
    listen = ["-b", HOST, "-l", str(link.local_port)]
    return [
        End("server", [find("ss-server", _LIBEV_REMEDY), *way], link.server_port),
        End("local", [find("ss-local", _LIBEV_REMEDY), *way, *listen], link.local_port),
    ]


def _libev_version() -> str:
    return _output([find("ss-server", _LIBEV_REMEDY), "-h"])[1][0]


_RUST_REMEDY = "cargo install shadowsocks-rust, or put ssserver and sslocal in FASTSOCKS_PEERS/bin"


def _rust_ends(link: Link) -> list[End]:
    way = ["-s", f"{HOST}:{link.server_port}", "-k", link.key, "-m", link.method]
    listen = ["-b", f"{HOST}:{link.local_port}"]
    return [
        End("server", [find("ssserver", _RUST_REMEDY), *way], link.server_port),
        End("local", [find("sslocal", _RUST_REMEDY), *way, *listen], link.local_port),
    ]


def _rust_version() -> str:
    return _output([find("ssserver", _RUST_REMEDY), "--version"])[1][0]


_MICROSOCKS_REMEDY = "apt-get install microsocks"


def _microsocks_ends(link: Link) -> list[End]:
    program = find("microsocks", _MICROSOCKS_REMEDY)
    return [End("proxy", [program, "-i", HOST, "-p", str(link.local_port)], link.local_port)]


def _microsocks_version() -> str:
    find("microsocks", _MICROSOCKS_REMEDY)
    return "microsocks " + _output(["dpkg-query", "-W", "-f", "${Version}", "microsocks"])[1][0]


_THREADS = Path(__file__).resolve().parents[1] / "threads"
_THREADS_METHODS = {SOCKS5, "aes-128-gcm", "aes-256-gcm", "chacha20-ietf-poly1305"}


def _threads_ends(link: Link) -> list[End]:
    program, port = str(_THREADS / "relay"), str(link.local_port)
    if link.method == SOCKS5:
        return [End("proxy", [program, "proxy", port], link.local_port)]
    way = [link.method, link.key]
    server = str(link.server_port)
    return [
        End("server", [program, "server", server, *way], link.server_port),
        End("local", [program, "local", port, *way, server], link.local_port),
    ]


def _threads_version() -> str:
    # Always anew: make does not see that FASTSOCKS_OPENSSL_DIR is another one.
    code, lines = _output(["make", "-s", "-B", "-C", str(_THREADS), "relay"])
    if code:
        raise MissingPeerError(f"benchmarks/threads does not build: {lines[-1]}")
    return _output([str(_THREADS / "relay"), "version"])[1][0]


BASELINE = "fastsocks (cython)"
DIRECT = "no proxy"

PEERS = {
    "fastsocks": _fastsocks("cython"),
    "fastsocks-python": _fastsocks("python"),
    "rust": Peer(
        "shadowsocks-rust", _rust_ends, _rust_version, lambda method: method != SOCKS5, ["-U"]
    ),
    "libev": Peer(
        "shadowsocks-libev",
        _libev_ends,
        _libev_version,
        lambda method: method != SOCKS5 and not method.startswith("2022-"),
        udp=["-u"],
    ),
    "microsocks": Peer(
        "microsocks", _microsocks_ends, _microsocks_version, lambda method: method == SOCKS5
    ),
    "threads": Peer(
        "C threads", _threads_ends, _threads_version, lambda method: method in _THREADS_METHODS
    ),
    "direct": Peer(
        DIRECT, lambda link: [], lambda: "the load generator alone", lambda method: True, udp=()
    ),
}
