"""What SIGTERM and SIGINT do."""

from __future__ import annotations

import signal
import sys

import pytest

from harness.deadline import wait_until
from harness.listener import SocketAddress
from harness.process import Process
from harness.services import (
    Implementation,
    Service,
    environment,
    fastsocks_command,
    start_proxy,
)
from harness.socks import Socks5Client, open_connection, request
from harness.targets import Target

SIGNALS = [signal.SIGTERM, signal.SIGINT]


@pytest.fixture(params=["uvloop", "asyncio"])
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def start(implementation: str, loop: str, *extra: str) -> Service:
    chosen: Implementation = implementation  # type: ignore[assignment]
    return start_proxy(*extra, implementation=chosen, FASTSOCKS_LOOP=loop)


def listens(address: SocketAddress) -> bool:
    try:
        Socks5Client(address).connection.close()
    except ConnectionError:  # refused, or reset in the queue of a socket that closes
        return False
    return True


@pytest.mark.parametrize("number", SIGNALS)
def test_with_nothing_to_finish_the_first_one_ends_it(
    implementation: str, loop: str, number: signal.Signals
) -> None:
    service = start(implementation, loop, "--grace", "3600")
    service.process.send_signal(number)
    assert service.process.wait() == 0
    assert "Traceback" not in service.process.output


def test_it_stops_as_well_where_standard_input_is_closed(implementation: str, loop: str) -> None:
    chosen: Implementation = implementation  # type: ignore[assignment]
    process = Process(
        "fastsocks without standard input",
        ["sh", "-c", 'exec "$@" <&-', "sh", *fastsocks_command("proxy", "-l", "0")],
        environment(chosen, FASTSOCKS_LOOP=loop),
    )
    process.wait_for_line("listening on")
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0


def test_one_after_the_end_changes_nothing(implementation: str, loop: str) -> None:
    with start(implementation, loop) as service:
        service.process.send_signal(signal.SIGTERM)
        service.process.wait_for_line("stopped")
        while service.process.alive:
            service.process.send_signal(signal.SIGTERM)
        assert service.process.wait() == 0


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_one_lets_relays_finish(
    implementation: str, loop: str, number: signal.Signals
) -> None:
    service = start(implementation, loop, "--grace", "3600")
    with Target() as target, open_connection(service.address, target.address) as client:
        accepted = target.accept()
        service.process.send_signal(number)
        service.process.wait_for_line("stopping: 1 connection")
        wait_until(lambda: not listens(service.address), "the port is closed")
        client.send(b"up")
        assert accepted.recv(2) == b"up"
        accepted.sendall(b"down")
        assert client.read(4) == b"down"
        accepted.close()
        assert client.read_to_end() == b""
        client.finish()
        assert service.process.wait() == 0


@pytest.mark.parametrize("second", SIGNALS)
def test_the_second_one_ends_relays_at_once(
    implementation: str, loop: str, second: signal.Signals
) -> None:
    service = start(implementation, loop, "--grace", "3600")
    with Target() as target, open_connection(service.address, target.address) as client:
        accepted = target.accept()
        service.process.send_signal(signal.SIGTERM)
        service.process.wait_for_line("stopping: 1 connection")
        service.process.send_signal(second)
        assert service.process.wait() == 0
        for end in (client.connection, accepted):
            with pytest.raises(ConnectionResetError):
                end.recv(1)
    assert "ending 1 connection" in service.process.output
    assert "Traceback" not in service.process.output


def test_grace_ends(implementation: str, loop: str) -> None:
    service = start(implementation, loop, "--grace", "0.1")
    with Target() as target, open_connection(service.address, target.address) as client:
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait() == 0
        with pytest.raises(ConnectionResetError):
            client.read(1)


def test_unfinished_handshakes_end_with_the_second_one(implementation: str, loop: str) -> None:
    service = start(implementation, loop, "--grace", "3600")
    with Socks5Client(service.address) as client:
        client.negotiate()
        service.process.send_signal(signal.SIGTERM)
        service.process.wait_for_line("stopping: 1 connection")
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait() == 0


ENDLESS_LOOK_UP = """
import socket, threading

system = socket.getaddrinfo

def getaddrinfo(host, *arguments, **options):
    if host == b"endless.example":
        print("looking up", flush=True)
        threading.Event().wait()
    return system(host, *arguments, **options)

socket.getaddrinfo = getaddrinfo
from fastsocks.cli import main
main()
"""


def test_a_look_up_without_an_end_does_not_hold_the_process_up() -> None:
    process = Process(
        "fastsocks proxy",
        [sys.executable, "-c", ENDLESS_LOOK_UP, "proxy", "-l", "0"],
        environment(FASTSOCKS_LOOP="asyncio"),
    )
    found = process.wait_for_line(r"listening on (\S+):(\d+)")
    with Socks5Client(SocketAddress(found[1], int(found[2]))) as client:
        client.negotiate()
        client.send(request(SocketAddress("endless.example", 80)))
        process.wait_for_line("looking up")
        process.send_signal(signal.SIGTERM)
        process.wait_for_line("stopping: 1 connection")
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert "stopped" in process.output
