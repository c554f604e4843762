"""What signals do, from the first instruction on."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

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
from harness.terminal import Terminal

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
    if host == b"endless.example.":
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
        [sys.executable, "-c", ENDLESS_LOOK_UP, "proxy", "-l", "0", "-d", "system"],
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


def without_terminal(implementation: str, loop: str, *arguments: str) -> Service:
    """Start a proxy that no terminal belongs to."""
    chosen: Implementation = implementation  # type: ignore[assignment]
    command = ["setsid", *fastsocks_command("proxy", "-l", "0", *arguments)]
    process = Process("fastsocks proxy", command, environment(chosen, FASTSOCKS_LOOP=loop))
    found = process.wait_for_line(r"listening on (\S+):(\d+)")
    return Service(process, SocketAddress(found[1], int(found[2])), ours=True)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_where_there_is_no_terminal_a_hangup_reads_the_configuration_again(
    implementation: str, loop: str, workers: str
) -> None:
    with without_terminal(implementation, loop, "--workers", workers) as service:
        with Target() as target, open_connection(service.address, target.address) as client:
            accepted = target.accept()
            for _ in range(2):
                service.process.send_signal(signal.SIGHUP)
                service.process.wait_for_line("the configuration was read again: nothing to change")
            client.send(b"x")
            assert accepted.recv(1) == b"x"
            accepted.close()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_process_of_a_service_dies_of_a_signal_that_means_nothing(
    implementation: str, loop: str, workers: str
) -> None:
    with without_terminal(implementation, loop, "--workers", workers) as service:
        pid = service.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            for process in (pid, *map(int, children)):
                os.kill(process, number)
        service.process.wait_for_line("the configuration was read again: nothing to change")
        assert listens(service.address)
        assert Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split() == children
        assert "ended" not in service.process.output


def at_terminal(implementation: str, loop: str, *command: str) -> Terminal:
    """Start something at a terminal of its own."""
    chosen: Implementation = implementation  # type: ignore[assignment]
    return Terminal(command, environment(chosen, FASTSOCKS_LOOP=loop))


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("gone", [False, True], ids=["a signal", "the terminal is gone"])
def test_at_a_terminal_a_hangup_ends_it(
    implementation: str, loop: str, workers: str, gone: bool
) -> None:
    command = fastsocks_command("proxy", "-l", "0", "--workers", workers)
    with at_terminal(implementation, loop, *command) as terminal:
        terminal.wait_for("listening on")
        if gone:
            terminal.hang_up()
        else:
            os.kill(terminal.pid, signal.SIGHUP)
            terminal.wait_for("stopped")
        assert terminal.wait() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_who_wants_no_hangup_gets_none(implementation: str, loop: str, workers: str) -> None:
    command = fastsocks_command("proxy", "-l", "0", "--workers", workers)
    with at_terminal(
        implementation, loop, "sh", "-c", 'trap "" HUP; exec "$@"', "sh", *command
    ) as terminal:
        terminal.wait_for("listening on")
        for _ in range(2):
            os.kill(terminal.pid, signal.SIGHUP)
        os.kill(terminal.pid, signal.SIGTERM)
        terminal.wait_for("stopped")
        assert "SIGHUP" not in terminal.output
        assert terminal.wait() == 0


#: Sends this process a signal while it imports a module, then runs the command line.
WHILE_IMPORTING = """
import os, sys

number, name, *sys.argv[1:] = sys.argv[1:]

class Finder:
    def find_spec(self, found, path=None, target=None):
        if found == name:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), int(number))

sys.meta_path.insert(0, Finder())
from fastsocks.cli import main
main()
"""


def while_importing(number: signal.Signals, module: str, *arguments: str) -> list[str]:
    """Return a command line that is sent a signal while it imports a module."""
    return [sys.executable, "-c", WHILE_IMPORTING, str(number.value), module, *arguments]


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize(
    "module", ["fastsocks.cli.title", "click", "fastsocks.config", "fastsocks.service", "uvloop"]
)
def test_one_that_comes_while_it_starts_is_a_stop(
    number: signal.Signals, module: str, workers: str
) -> None:
    process = Process(
        "fastsocks proxy",
        while_importing(number, module, "proxy", "-l", "0", "--workers", workers),
        environment(),
    )
    assert process.wait() == 0
    assert "Traceback" not in process.output


#: Sends this process the signal once more while it ends.
ONCE_MORE = """
import atexit, os, sys

atexit.register(os.kill, os.getpid(), int(sys.argv[1]))
"""


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("module", ["fastsocks.cli.title", "fastsocks.service"])
def test_another_one_after_a_stop_while_it_starts_changes_nothing(
    number: signal.Signals, module: str
) -> None:
    python, option, program, *arguments = while_importing(number, module, "proxy", "-l", "0")
    process = Process(
        "fastsocks proxy", [python, option, ONCE_MORE + program, *arguments], environment()
    )
    assert process.wait() == 0
    assert "Traceback" not in process.output


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
@pytest.mark.parametrize("module", ["fastsocks.cli.title", "fastsocks.service"])
def test_one_that_means_nothing_while_it_starts(
    number: signal.Signals, module: str, workers: str
) -> None:
    process = Process(
        "fastsocks proxy",
        ["setsid", *while_importing(number, module, "proxy", "-l", "0", "--workers", workers)],
        environment(),
    )
    process.wait_for_line("listening on")
    if number == signal.SIGHUP:
        process.wait_for_line("the configuration was read again: nothing to change")
    assert process.stop() == 0


def test_other_commands_end_as_programs_do() -> None:
    process = Process(
        "fastsocks genkey",
        while_importing(signal.SIGTERM, "click", "genkey", "aes-256-gcm"),
        environment(),
    )
    assert process.wait() == -signal.SIGTERM
