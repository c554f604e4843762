"""System calls that fail at any point: no crash, nothing left open, and service goes on."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from harness import udp
from harness.deadline import DEADLINE, wait_until
from harness.failing_calls import CALLS, FailingCalls, build_library
from harness.listener import SocketAddress
from harness.process import Process
from harness.services import Implementation, Service, start_local, start_proxy, start_server
from harness.shadowsocks import generate_key
from harness.socks import ReplyError, Socks5Client
from harness.targets import ServingTarget, echo

#: Not of the 2022 edition, whose UDP sessions live for a minute at least.
METHOD = "aes-256-gcm"
#: Seconds that a client waits for what may never come.
PATIENCE = 0.5
#: Past what a relay carries without transports.
PAYLOAD = bytes(range(256)) * 600
#: One call in so many fails.
ODDS = 5
ROUNDS = 15
UDP_TIMEOUT = "1"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_library(tmp_path_factory.mktemp("library"))


def descriptors(process: Process) -> list[str]:
    """Return what the process has open, but for the pipes that it keeps in stock."""
    found = []
    for path in Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(str(path.readlink()))
    return [one for one in found if not one.startswith(("pipe:", "/dev/null"))]


def at_rest(process: Process) -> bool:
    """Whether no connection is left, nor a UDP port but that which is listened on."""
    inodes = {one[8:-1] for one in descriptors(process) if one.startswith("socket:")}
    tables = {
        name: [line.split() for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
        for name in ("tcp", "udp")
    }
    connections = [row for row in tables["tcp"] if row[9] in inodes and row[3] != "0A"]
    return not connections and sum(row[9] in inodes for row in tables["udp"]) <= 1


def rest(services: list[Service]) -> None:
    """Wait until nothing is left of what clients did."""
    for one in services:
        wait_until(partial(at_rest, one.process), f"{one.process.name} comes to rest")


def by_tcp(server: SocketAddress, target: SocketAddress, seconds: float) -> bytes:
    """Send the payload to a target that echoes, and return what comes back of it."""
    with Socks5Client(server) as client:
        client.connection.settimeout(seconds)
        client.connect(target)
        client.send(PAYLOAD)
        client.finish()
        return client.read_to_end()


def by_udp(server: SocketAddress, target: SocketAddress, seconds: float) -> None:
    """Exchange some datagrams, and leave."""
    with udp.UdpAssociation(server) as client:
        client.socket.settimeout(seconds)
        for number in range(3):
            client.exchange(b"%d" % number, target)


def echo_what_comes(connection: socket.socket) -> None:
    """Send back what comes, as long as anybody is there."""
    with contextlib.suppress(OSError):
        echo(connection)


def attempt(server: SocketAddress, tcp: SocketAddress, datagrams: SocketAddress) -> None:
    """Do both as far as they go: a client may meet any error, but no other answer."""
    gone = (OSError, AssertionError, ReplyError)
    with contextlib.suppress(*gone):
        assert PAYLOAD.startswith(by_tcp(server, tcp, PATIENCE))
    with contextlib.suppress(*gone):
        by_udp(server, datagrams, PATIENCE / 5)
    with contextlib.suppress(*gone), Socks5Client(server) as client:
        client.send(b"\x05\x01")


@pytest.mark.parametrize(
    ("kind", "loop", "seed"),
    [
        ("proxy", "uvloop", 1),
        ("proxy", "asyncio", 2),
        (METHOD, "uvloop", 3),
        (METHOD, "asyncio", 4),
        *(
            pytest.param(kind, loop, seed, marks=pytest.mark.slow)
            for kind in ("proxy", METHOD)
            for loop in ("uvloop", "asyncio")
            for seed in range(10, 15)
        ),
    ],
)
@pytest.mark.timeout(120)
def test_service_goes_on(
    implementation: Implementation,
    library: Path,
    tmp_path: Path,
    kind: str,
    loop: str,
    seed: int,
) -> None:
    calls = [FailingCalls(library, tmp_path / f"calls-{n}", seed + n * 1000) for n in range(2)]
    variables = [{**one.variables, "FASTSOCKS_LOOP": loop} for one in calls]
    with contextlib.ExitStack() as stack:
        if kind == "proxy":
            entrance = start_proxy(
                "--udp-timeout", UDP_TIMEOUT, implementation=implementation, **variables[0]
            )
            services = [stack.enter_context(entrance)]
        else:
            key = generate_key(kind)
            mode = ("-u", "--udp-timeout", UDP_TIMEOUT)
            server = start_server(kind, key, *mode, implementation=implementation, **variables[0])
            services = [stack.enter_context(server)]
            entrance = start_local(
                server.address, kind, key, *mode, implementation=implementation, **variables[1]
            )
            services.append(stack.enter_context(entrance))
        tcp = stack.enter_context(ServingTarget(echo_what_comes))
        datagrams = stack.enter_context(udp.Echo())

        def works() -> bool:
            by_tcp(entrance.address, tcp.address, DEADLINE)
            with contextlib.suppress(TimeoutError):
                by_udp(entrance.address, datagrams.address, 1.0)
                return True
            return False

        wait_until(works, "it serves")
        rest(services)
        before = [len(descriptors(one.process)) for one in services]
        for fault in calls:
            fault.begin(ODDS)
        for _ in range(ROUNDS):
            attempt(entrance.address, tcp.address, datagrams.address)
        for fault in calls:
            fault.end()
        for one, fault in zip(services, calls, strict=False):
            one.process.check_alive()
            assert sum(fault.failed.values()) > ROUNDS / 2, "nothing failed"
            assert fault.failed["epoll_ctl"] or implementation == "python"
        wait_until(works, "it serves again")
        rest(services)
        for one, count in zip(services, before, strict=True):
            assert len(descriptors(one.process)) <= count, descriptors(one.process)
            # Of its own readers and writers asyncio's loop tells by a traceback.
            assert loop == "asyncio" or "Traceback" not in one.process.output, one.process.output


def test_the_library_counts(library: Path, tmp_path: Path) -> None:
    """It fails every call that it is for: a test without faults would prove nothing."""
    program = """
import mmap, os, select, socket, struct, sys
control = mmap.mmap(os.open(sys.argv[1], os.O_RDWR), 0)
listener = socket.create_server(("127.0.0.1", 0))
struct.pack_into("=I", control, 0, 1)
for call in (
    select.epoll,
    socket.socket,
    listener.accept,
    lambda: os.urandom(1),
    lambda: mmap.mmap(-1, 1 << 20),
    os.pipe,
):
    try:
        call()
    except OSError:
        continue
    sys.exit(f"{call} does not fail")
"""
    control = tmp_path / "control"
    calls = FailingCalls(library, control, 0)
    subprocess.run([sys.executable, "-c", program, control], env=calls.variables, check=True)
    # epoll_ctl fails for our own modules alone.
    assert all(calls.failed[call] for call in CALLS if call != "epoll_ctl"), calls.failed
