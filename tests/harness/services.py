"""Start the services of fastsocks and of its peers."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, NoReturn, Self

import pytest

import twins

from .deadline import wait_until
from .listener import SocketAddress, accept_queue, free_port
from .process import Process, ProcessEndedError

Implementation = Literal["cython", "python"]
PeerName = Literal["libev", "rust"]

_PROGRAMS = {
    "libev": {"server": "ss-server", "local": "ss-local"},
    "rust": {"server": "ssserver", "local": "sslocal"},
}
_PORT_ATTEMPTS = 5


@dataclass(frozen=True)
class Service:
    """A process and the address on which it listens.

    Leaving its context ends it, and checks that one of ours ends as it should.
    """

    process: Process
    address: SocketAddress
    ours: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.was_killed:
            return
        code = self.stop()
        if error is None and self.ours:
            assert code == 0, f"{self.process.name} ended with {code}"

    def stop(self) -> int:
        """End the process and return its exit code."""
        return self.process.stop()


def require_implementation(implementation: Implementation) -> None:
    """Skip or fail unless every extension module is built where they are asked for."""
    if implementation == "cython":
        for module in twins.extension_modules():
            if not twins.is_built(module):
                twins.missing_extension(module)


def environment(implementation: Implementation | None = None, **variables: str) -> dict[str, str]:
    """Return the environment for a child that runs this checkout of fastsocks."""
    package = importlib.util.find_spec("fastsocks")
    assert package is not None
    assert package.origin is not None
    path = [str(Path(package.origin).resolve().parents[1])]
    if inherited := os.environ.get("PYTHONPATH"):
        path.append(inherited)
    found = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1"}
    found.pop("FASTSOCKS_IMPL", None)
    # A resolver that does not answer must not take longer than the test.
    found["RES_OPTIONS"] = "timeout:1 attempts:1"
    if implementation is not None:
        found["FASTSOCKS_IMPL"] = implementation
    return {**found, **variables}


def fastsocks_command(*arguments: str) -> list[str]:
    """Return the command line for ``fastsocks ARGUMENTS``."""
    return [sys.executable, "-m", "fastsocks", *arguments]


def start_fastsocks(
    *arguments: str, implementation: Implementation | None = None, **variables: str
) -> Service:
    """Start a service and wait until it listens.

    :param arguments: the sub-command and its flags.
    :param variables: added to the environment.
    :raises ProcessEndedError: it ended before it listened.
    """
    process = Process(
        f"fastsocks {arguments[0]} ({implementation or 'auto'})",
        fastsocks_command(*arguments),
        environment(implementation, **variables),
    )
    try:
        found = process.wait_for_line(r"listening on \[?([^\s\]]+)\]?:(\d+)")
    except BaseException:
        process.kill()
        raise
    return Service(process, SocketAddress(found[1], int(found[2])), ours=True)


def start_server(
    method: str,
    key: str,
    *extra: str,
    implementation: Implementation | None = None,
    **variables: str,
) -> Service:
    """Start ``fastsocks server`` on a port of the kernel's choice, for targets on loopback."""
    return start_fastsocks(
        *("server", "-s", "127.0.0.1", "-p", "0", "--allow-private"),
        *("-k", key, "-m", method, *extra),
        implementation=implementation,
        **variables,
    )


def start_local(
    server: SocketAddress,
    method: str,
    key: str,
    *extra: str,
    implementation: Implementation | None = None,
    **variables: str,
) -> Service:
    """Start ``fastsocks local`` on a port of the kernel's choice."""
    return start_fastsocks(
        *("local", "-s", server.host, "-p", str(server.port), "-b", "127.0.0.1", "-l", "0"),
        *("-k", key, "-m", method, *extra),
        implementation=implementation,
        **variables,
    )


def start_proxy(
    *extra: str, implementation: Implementation | None = None, **variables: str
) -> Service:
    """Start ``fastsocks proxy`` on a port of the kernel's choice."""
    return start_fastsocks(
        *("proxy", "-b", "127.0.0.1", "-l", "0", *extra),
        implementation=implementation,
        **variables,
    )


def start_tunnel(
    target: object,
    *extra: str,
    implementation: Implementation | None = None,
    **variables: str,
) -> Service:
    """Start ``fastsocks tunnel`` on a port of the kernel's choice."""
    return start_fastsocks(
        *("tunnel", "-b", "127.0.0.1", "-l", "0", "-L", str(target), *extra),
        implementation=implementation,
        **variables,
    )


def find_program(program: str) -> str:
    """Return the path of a program; skip, or fail with FASTSOCKS_REQUIRE_PEERS=1, without it."""
    prefix = os.environ.get("FASTSOCKS_PEERS")
    peers = Path(prefix) if prefix else Path.home() / ".cache" / "fastsocks-peers"
    # Debian has daemons where only root looks.
    path = os.pathsep.join((str(peers / "bin"), os.environ.get("PATH", os.defpath), "/usr/sbin"))
    found = shutil.which(program, path=path)
    if found is None:
        missing_peer(f"{program} is missing; install the peers: make peers")
    return found


def missing_peer(reason: str) -> NoReturn:
    """Skip, or fail with FASTSOCKS_REQUIRE_PEERS=1; for a whole module, too."""
    if os.environ.get("FASTSOCKS_REQUIRE_PEERS") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason, allow_module_level=True)


def peer_program(peer: PeerName, role: Literal["server", "local"]) -> str:
    """Return the path of a peer's program; skip or fail where it is missing."""
    return find_program(_PROGRAMS[peer][role])


def start_peer_server(peer: PeerName, method: str, key: str) -> Service:
    """Start the peer's server, for TCP and UDP."""
    program = peer_program(peer, "server")

    def command(port: int) -> list[str]:
        if peer == "libev":
            return [program, "-s", "127.0.0.1", "-p", str(port), "-k", key, "-m", method, "-u"]
        return [program, "-s", f"127.0.0.1:{port}", *_rust_cipher(method, key), "-U"]

    return _start_on_free_port(f"{program} {method}", command)


def start_peer_local(peer: PeerName, server: SocketAddress, method: str, key: str) -> Service:
    """Start the peer's SOCKS5 server, for TCP and UDP, that leads to the server at `server`."""
    program = peer_program(peer, "local")

    def command(port: int) -> list[str]:
        if peer == "libev":
            return [
                *(program, "-s", server.host, "-p", str(server.port)),
                *("-b", "127.0.0.1", "-l", str(port), "-k", key, "-m", method, "-u"),
            ]
        return [
            *(program, "-s", str(server), "-b", f"127.0.0.1:{port}"),
            *(*_rust_cipher(method, key), "--single-threaded", "-U"),
        ]

    return _start_on_free_port(f"{program} {method}", command)


def start_libev_tunnel(
    server: SocketAddress, method: str, key: str, target: SocketAddress
) -> Service:
    """Start ss-tunnel: what is sent to it goes, through the server, to `target`."""
    program = find_program("ss-tunnel")

    def command(port: int) -> list[str]:
        return [
            *(program, "-s", server.host, "-p", str(server.port), "-k", key, "-m", method),
            *("-b", "127.0.0.1", "-l", str(port), "-L", str(target), "-u"),
        ]

    return _start_on_free_port(f"{program} {method}", command)


def start_rust_server_with_users(
    method: str, key: str, users: dict[str, str], folder: Path
) -> Service:
    """Start ssserver with users (SIP023), which only its configuration file knows.

    :param users: name to key of each user.
    :param folder: where to write that file.
    """
    program = peer_program("rust", "server")

    def command(port: int) -> list[str]:
        file = folder / f"ssserver-{port}.json"
        server = {
            "mode": "tcp_and_udp",
            "address": "127.0.0.1",
            "port": port,
            "method": method,
            "password": key,
            "users": [{"name": name, "password": psk} for name, psk in users.items()],
        }
        file.write_text(json.dumps({"servers": [server]}), encoding="utf-8")
        return [program, "-c", str(file)]

    return _start_on_free_port(f"{program} {method} with users", command)


def _rust_cipher(method: str, key: str) -> Sequence[str]:
    return ("-m", method) if method in {"none", "plain"} else ("-m", method, "-k", key)


def _start_on_free_port(name: str, command: Callable[[int], list[str]]) -> Service:
    for attempt in range(_PORT_ATTEMPTS):
        try:
            return _start_on_port(name, command, free_port())
        except ProcessEndedError as error:
            if "in use" not in str(error) or attempt == _PORT_ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _start_on_port(name: str, command: Callable[[int], list[str]], port: int) -> Service:
    address = SocketAddress("127.0.0.1", port)
    process = Process(name, command(port))
    try:
        process.wait_for_line(rf"listening (?:at|on) 127\.0\.0\.1:{port}\b")
        # shadowsocks-libev says so before it does so.
        wait_until(
            lambda: accept_queue(address) is not None or not process.alive, f"{name} listens"
        )
        process.check_alive()
    except BaseException:
        process.kill()
        raise
    return Service(process, address)


def wait_until_listening(name: str, command: Callable[[int], list[str]]) -> Service:
    """Start a program that says nothing, and wait until it listens on the port it is given."""
    address = SocketAddress("127.0.0.1", free_port())
    process = Process(name, command(address.port))
    try:
        wait_until(
            lambda: accept_queue(address) is not None or not process.alive, f"{name} listens"
        )
        process.check_alive()
    except BaseException:
        process.kill()
        raise
    return Service(process, address)
