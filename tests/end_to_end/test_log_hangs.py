"""A log that nobody reads holds nobody up: no connection, no signal, and not the end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from harness.deadline import DEADLINE, wait_until
from harness.listener import SocketAddress, free_port
from harness.services import Implementation, environment, fastsocks_command
from harness.socks import Socks5Client
from harness.socks import request as socks_request

#: More lines than the queues of two processes hold, and the pipe behind them.
_CONNECTIONS = 2500


@dataclass
class Unread:
    """A proxy whose standard output and standard error are one pipe that is not read."""

    process: subprocess.Popen[bytes]
    address: SocketAddress
    reading: int
    writing: int
    text: str = field(default="")

    def read(self) -> str:
        """Read what is there, and return all that was read so far."""
        os.set_blocking(self.reading, False)
        with suppress(BlockingIOError):
            self.text += os.read(self.reading, 1 << 20).decode()
        return self.text

    def read_lines(self, expression: str) -> None:
        """Read until there is something like that."""
        wait_until(lambda: re.search(expression, self.read()) is not None, expression)


@pytest.fixture(params=[1, 2], ids=["alone", "workers"])
def unread(request: pytest.FixtureRequest, implementation: Implementation) -> Iterator[Unread]:
    reading, writing = os.pipe()
    address = SocketAddress("127.0.0.1", free_port())
    arguments = ["-b", address.host, "-l", str(address.port), "--rule", "deny all"]
    arguments += ["--access-log", "--log-format", "json", "--workers", str(request.param)]
    process = subprocess.Popen(
        fastsocks_command("proxy", *arguments),
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=writing,
        env=environment(implementation),
    )
    found = Unread(process, address, reading, writing)
    try:
        found.read_lines("listening on")
        yield found
    finally:
        process.kill()
        process.wait()
        os.close(reading)
        os.close(writing)


def fill(writing: int) -> None:
    """Leave no room in a pipe."""
    # It is not this process alone that has this open.
    pipe = os.open(f"/proc/self/fd/{writing}", os.O_WRONLY | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(pipe, b"\n" * 4096)
    os.close(pipe)


def test_connections_and_signals_are_served(unread: Unread) -> None:
    for _ in range(_CONNECTIONS):
        # Refused, and that is logged.
        with Socks5Client(unread.address) as client:
            client.negotiate()
            client.send(socks_request(SocketAddress("127.0.0.1", 9)))
            assert client.read(2) == b"\x05\x02"

    def all_are_there() -> bool:
        text = unread.read()
        lost = re.findall(r"(\d+) lines of the access log were lost here", text)
        return text.count('"end": "not-allowed"') + sum(map(int, lost)) == _CONNECTIONS

    wait_until(all_are_there, "each line is there, or counted")
    assert "lost here" in unread.text
    unread.process.send_signal(signal.SIGTERM)
    unread.read_lines("stopped")
    assert unread.process.wait(DEADLINE) == 0


def test_the_end_comes_soon(unread: Unread) -> None:
    fill(unread.writing)
    unread.process.send_signal(signal.SIGTERM)
    # Patience with the log is part of that.
    assert unread.process.wait(DEADLINE) == 0
