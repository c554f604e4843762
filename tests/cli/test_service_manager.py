"""Sockets that a service manager hands over, and what it is told."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.deadline import DEADLINE, wait_until
from harness.listener import SocketAddress, free_port
from harness.process import Process
from harness.services import (
    Implementation,
    Service,
    environment,
    fastsocks_command,
    find_program,
    start_local,
    start_proxy,
)
from harness.shadowsocks import generate_key
from harness.socks import NOT_ALLOWED, ReplyError, open_connection
from harness.targets import ServingTarget, Target, echo
from harness.udp import Echo, UdpAssociation

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is of Linux")

METHOD = "2022-blake3-aes-128-gcm"

#: Becomes a command that is handed sockets: of what kinds, and at what port.
_HAND_OVER = """
import os, socket, sys
kinds, port, command = sys.argv[1].split(","), int(sys.argv[2]), sys.argv[3:]
host = "::" if kinds[-1] == "both-families" else "0.0.0.0" if kinds[-1] == "public" else "127.0.0.1"
found = []
for kind in kinds:
    if kind not in ("tcp", "udp", "bound", "unix"):
        continue
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    family = socket.AF_UNIX if kind == "unix" else family
    sock = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    if kind == "unix":
        sock.bind("")
    else:
        sock.bind((host, port))
    if kind == "tcp":
        sock.listen()
    found.append(sock)
# Out of the way first, as one of them may be 4 where another belongs.
copies = [os.dup(sock.fileno()) for sock in found]
copies = [os.dup2(copy, 100 + number) for number, copy in enumerate(copies)]
for number, copy in enumerate(copies):
    os.dup2(copy, 3 + number, inheritable=True)
if "file" in kinds:
    os.dup2(os.open("/dev/null", os.O_RDONLY), 3)
os.environ["LISTEN_FDS"] = str(len(copies) or 1)
os.environ["LISTEN_PID"] = str(os.getpid() + ("foreign" in kinds))
os.execv(command[0], command)
"""


def hand_over(
    kinds: str, command: Sequence[str], implementation: Implementation | None = None
) -> Process:
    return Process(
        "activated",
        [
            *(sys.executable, "-c", _HAND_OVER, kinds, str(free_port())),
            *fastsocks_command(*command),
        ],
        environment(implementation, FASTSOCKS_LOCAL_PORT="0"),
    )


def activated(kinds: str, *command: str, implementation: Implementation | None = None) -> Service:
    process = hand_over(kinds, command, implementation)
    found = process.wait_for_line(r"listening on ([\d.]+):(\d+)")
    return Service(process, SocketAddress(found[1], int(found[2])), ours=True)


class Manager:
    """Receives what services tell."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(DEADLINE)
        self.socket.bind(address.replace("@", "\0"))

    def receive(self) -> list[str]:
        return self.socket.recv(4096).decode().split("\n")


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    path = str(tmp_path / "notify")
    made = Manager(path if request.param == "path" else f"@fastsocks-{os.getpid()}-{tmp_path.name}")
    with made.socket:
        yield made


@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_is_told_of_start_and_stop(
    implementation: Implementation, manager: Manager, workers: str
) -> None:
    service = start_proxy(
        *("--grace", "600", "--workers", workers),
        implementation=implementation,
        NOTIFY_SOCKET=manager.address,
    )
    assert manager.receive() == ["READY=1", f"STATUS=listening on {service.address}"]
    with Target() as target, open_connection(service.address, target.address):
        accepted = target.accept()
        service.process.send_signal(signal.SIGTERM)
        assert manager.receive() == ["STOPPING=1", "STATUS=letting connections finish"]
        accepted.close()
    assert service.process.wait() == 0
    manager.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.receive()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_is_told_of_a_reload(manager: Manager, workers: str) -> None:
    command = ["setsid", *fastsocks_command("proxy", "-l", "0", "--workers", workers)]
    process = Process("fastsocks proxy", command, environment(None, NOTIFY_SOCKET=manager.address))
    assert manager.receive()[0] == "READY=1"
    before = time.monotonic_ns() // 1000
    process.send_signal(signal.SIGHUP)
    state, stamp = manager.receive()
    assert state == "RELOADING=1"
    assert before <= int(stamp.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
    assert manager.receive() == ["READY=1"]
    assert process.stop() == 0


def test_nobody_there_to_be_told_is_a_warning(tmp_path: Path) -> None:
    with start_proxy(NOTIFY_SOCKET=str(tmp_path / "nobody")) as service:
        service.process.wait_for_line("WARNING cannot notify the service manager: No such file")


@pytest.mark.parametrize("workers", ["1", "3"])
def test_a_server_uses_sockets_of_tcp_and_udp(implementation: Implementation, workers: str) -> None:
    key = generate_key(METHOD)
    with ExitStack() as stack:
        # Another port and address than these.
        command = ("server", "-s", "192.0.2.1", "-p", "1", "-m", METHOD, "-k", key)
        server = stack.enter_context(
            activated(
                *("tcp,udp", *command, "--allow-private", "--workers", workers),
                implementation=implementation,
            )
        )
        local = stack.enter_context(start_local(server.address, METHOD, key))
        target = stack.enter_context(ServingTarget(echo))
        for number in range(8):
            client = stack.enter_context(open_connection(local.address, target.address))
            client.send(b"%d" % number)
            assert client.read(1) == b"%d" % number
        association = stack.enter_context(UdpAssociation(local.address))
        datagrams = stack.enter_context(Echo())
        assert association.exchange(b"by UDP", datagrams.address) == b"by UDP"


def test_who_may_reach_what_goes_by_the_sockets(implementation: Implementation) -> None:
    # By default a proxy listens on loopback and reaches everything; this one listens beyond it.
    with (
        activated("tcp,public", "proxy", implementation=implementation) as proxy,
        Target() as target,
    ):
        address = SocketAddress("127.0.0.1", proxy.address.port)
        with pytest.raises(ReplyError) as refused:
            open_connection(address, target.address)
        assert refused.value.code == NOT_ALLOWED


def test_what_was_meant_for_another_process_is_left_alone() -> None:
    with activated("tcp,foreign", "proxy", "-b", "127.0.0.2") as proxy:
        assert proxy.address.host == "127.0.0.2"


@pytest.mark.parametrize(
    ("kinds", "command", "message"),
    [
        ("tcp", ["server"], "no UDP socket was passed: add ListenDatagram="),
        ("udp", ["server"], "no TCP socket was passed: add ListenStream="),
        ("tcp,udp", ["server", "--mode", "tcp_only"], "remove ListenDatagram="),
        (
            "tcp,udp",
            ["proxy", "--workers", "2"],
            "a UDP socket was passed that this service has no use for",
        ),
        ("tcp,both-families", ["proxy"], "write BindIPv6Only=ipv6-only"),
        ("bound", ["proxy"], "and does not listen"),
        ("unix", ["proxy"], "which is not one of TCP or UDP"),
        ("file", ["proxy"], "descriptor 3 of LISTEN_FDS is no socket"),
    ],
)
def test_sockets_of_no_use_are_an_error(kinds: str, command: list[str], message: str) -> None:
    if command[0] == "server":
        command = [*command, "-m", METHOD, "-k", generate_key(METHOD)]
    process = hand_over(kinds, command)
    assert process.wait() == 3, process.output
    assert message in process.output
    assert "Traceback" not in process.output


def test_sockets_for_two_services_are_an_error(tmp_path: Path) -> None:
    file = tmp_path / "two.toml"
    file.write_text("[[locals]]\nlocal_port = 1\n[[locals]]\nlocal_port = 2\n")
    process = hand_over("tcp", ["proxy", "-c", str(file)])
    assert process.wait() == 2
    assert "give each a unit of its own" in process.output


@pytest.mark.interop
@pytest.mark.parametrize("workers", ["1", "2"])
def test_systemd_starts_it_for_the_first_connection(
    implementation: Implementation, workers: str
) -> None:
    program = find_program("systemd-socket-activate")
    variables = environment(implementation)
    address = SocketAddress("127.0.0.1", free_port())
    passed = [f"--setenv={name}" for name in variables]
    process = Process(
        "systemd-socket-activate",
        [
            *(program, "-l", str(address), *passed),
            *fastsocks_command("proxy", "--workers", workers),
        ],
        variables,
    )
    with Service(process, address, ours=True), ServingTarget(echo) as target:
        process.wait_for_line("Listening on")
        with open_connection(address, target.address) as client:
            client.send(b"hello")
            assert client.read(5) == b"hello"
        process.wait_for_line(rf"listening on {address}")
        wait_until(lambda: process.alive, "it goes on")
