"""Child processes: started, waited for by what they say, stopped, and their logs kept."""

from __future__ import annotations

import atexit
import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, ClassVar

from .deadline import DEADLINE, wait_until


class ProcessEndedError(RuntimeError):
    """A process ended while the test waited for a line of it."""


class Process:
    """A child process whose output is collected line by line.

    :param name: how reports call it.
    :param command: program and arguments.
    :param environment: the whole environment; None inherits ours.
    """

    known: ClassVar[list[Process]] = []
    """Every process that a report of the running test may have to quote."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.lines: list[str] = []
        self.error_lines: list[str] = []
        self.was_killed = False
        self._start = 0
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=None if environment is None else dict(environment),
            text=True,
            errors="backslashreplace",
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._streams: list[IO[str]] = [self._process.stdout, self._process.stderr]
        self._readers = [
            threading.Thread(target=self._collect, args=(stream,), daemon=True)
            for stream in self._streams
        ]
        for reader in self._readers:
            reader.start()
        self.known.append(self)

    def _collect(self, stream: IO[str]) -> None:
        for text in stream:
            line = text.rstrip("\n")
            with self._changed:
                self.lines.append(line)
                if stream is self._streams[1]:
                    self.error_lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def output(self) -> str:
        """What it wrote to both streams so far."""
        with self._changed:
            return "\n".join(self.lines)

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def check_alive(self) -> None:
        """Raise ProcessEndedError, with the whole log, unless it still runs."""
        if not self.alive:
            code = self.wait()
            raise ProcessEndedError(f"{self.name} ended with {code}:\n{self.output}")

    @property
    def resident_bytes(self) -> int:
        """Its resident set size (VmRSS of /proc/PID/status)."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
        if found is None:
            raise ProcessEndedError(f"{self.name} has no memory any more")
        return int(found[1]) * 1024

    @property
    def sockets(self) -> int:
        """How many sockets it holds open."""
        count = 0
        for descriptor in Path(f"/proc/{self.pid}/fd").iterdir():
            try:
                count += str(descriptor.readlink()).startswith("socket:")
            except FileNotFoundError:
                continue
        return count

    def mark_start(self) -> None:
        """Let :attr:`lines_of_test` begin here."""
        with self._changed:
            self._start = len(self.lines)

    @property
    def lines_of_test(self) -> list[str]:
        """What it wrote since :meth:`mark_start`."""
        with self._changed:
            return self.lines[self._start :]

    def wait_for_line(self, expression: str, deadline: float = DEADLINE) -> re.Match[str]:
        """Wait for a line, since :meth:`mark_start`, in which the regular expression is found.

        :raises ProcessEndedError: the process ended without it.
        :raises TimeoutError: it did not come in time.
        """
        end = time.monotonic() + deadline
        with self._changed:
            start = self._start
            while True:
                for line in self.lines[start:]:
                    found = re.search(expression, line)
                    if found is not None:
                        return found
                start = len(self.lines)
                if not any(reader.is_alive() for reader in self._readers):
                    raise ProcessEndedError(
                        f"{self.name} ended with {self._process.poll()} and did not say "
                        f"{expression!r}:\n" + "\n".join(self.lines)
                    )
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"{self.name} did not say {expression!r}")
                self._changed.wait(min(left, 0.1))

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self, deadline: float = DEADLINE) -> int:
        """Wait for its end and return its exit code (-N: killed by signal N).

        :raises subprocess.TimeoutExpired: it still runs.
        """
        code = self._process.wait(deadline)
        for reader in self._readers:
            reader.join(DEADLINE)
        for stream in self._streams:
            stream.close()
        return code

    def stop(self) -> int:
        """End it by SIGTERM, a second one in case it waits for relays, or SIGKILL.

        :return: its exit code.
        """
        for patience in (1.0, 5.0):
            self.send_signal(signal.SIGTERM)
            try:
                return self.wait(patience)
            except subprocess.TimeoutExpired:
                continue
        return self.kill()

    def kill(self) -> int:
        """End it by SIGKILL."""
        self.was_killed = True
        self._process.kill()
        return self.wait()


def wait_for_sockets(process: Process, least: int, most: int) -> None:
    """Wait until a process holds at least `least` and at most `most` sockets."""
    wait_until(
        lambda: least <= process.sockets <= most,
        f"{process.name} holds {least} to {most} sockets",
    )


@atexit.register
def _kill_what_is_left() -> None:
    for process in Process.known:
        if process.alive:
            process.kill()
