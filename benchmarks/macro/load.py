"""The load generator (benchmarks/load, C): built on first use, run, its outcome read."""

from __future__ import annotations

import json
import select
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).resolve().parents[1] / "load"
# Fewer than what fastsocks lets one client have by default, 4096.
CONNECTIONS_OF_ONE_ADDRESS = 4000

Outcome = dict[str, Any]


class LoadError(Exception):
    """The load generator failed, or saw connections fail or bytes change."""


@cache
def build() -> Path:
    """Compile the load generator where needed; its path. Needs make and a C compiler."""
    command = ["make", "-s", "-C", str(_FOLDER), "load"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise LoadError(f"cannot build {_FOLDER}: {done.stderr.strip()}")
    return _FOLDER / "load"


def run(arguments: Sequence[str], proxy: str | None, seconds: int) -> Outcome:
    """Run one mode through ``proxy`` (HOST:PORT, None: no proxy) for at most ``seconds``."""
    with started(arguments, proxy, seconds) as load:
        return load.end()


def spread(connections: int) -> list[str]:
    """The option that spreads many connections over several addresses of the loopback network.

    There are some 28,000 ports between two addresses, and relays limit what one client may have.
    """
    return ["--spread", str(-(-connections // CONNECTIONS_OF_ONE_ADDRESS))]


class Load:
    """A load generator that runs. What it is told, it was started to wait for."""

    def __init__(self, process: subprocess.Popen[str], seconds: int) -> None:
        self._process = process
        self._seconds = seconds

    def ready(self) -> None:
        """Wait until --warm-up or --hold has come to where it waits. Raises LoadError."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], self._seconds)[0]:
            raise LoadError(f"the connections did not stand within {self._seconds} s")
        line = self._process.stdout.readline()
        if not line or json.loads(line)["failed"]:
            output, problem = self._process.communicate("\n\n", timeout=30)
            _outcome(output, problem)
            raise LoadError(f"connections failed: {line.strip()} {problem.strip()}")

    def tell(self) -> None:
        """Let it begin (--warm-up), close (--hold) or end (--until-told)."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self) -> Outcome:
        """Wait for the outcome, telling it to end where it waits. Raises LoadError."""
        return _outcome(*self._process.communicate(timeout=self._seconds + 30))


@contextmanager
def started(arguments: Sequence[str], proxy: str | None, seconds: int) -> Iterator[Load]:
    """Start one mode; killed at the end of the block where it has not ended."""
    with _started(arguments, proxy, seconds) as process:
        yield Load(process, seconds)


class Datagrams:
    """UDP associations that are set up, and datagrams over them once run() is called."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.outcome: Outcome = {}

    def run(self) -> None:
        """Send, and read the outcome; the associations stay. Raises LoadError.

        Datagrams may be lost, which the outcome tells; none may be changed.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self.outcome = json.loads(self._process.stdout.readline())
        if self.outcome["error"] or self.outcome["mismatches"] or not self.outcome["returned"]:
            raise LoadError(
                f"udp: {self.outcome['mismatches']} mismatches, {self.outcome['reached']} of "
                f"{self.outcome['sent']} reached the target, {self.outcome['returned']} came "
                f"back ({self.outcome['error']})"
            )


@contextmanager
def datagrams(arguments: Sequence[str], proxy: str | None, seconds: int) -> Iterator[Datagrams]:
    """Set up the associations of mode udp, a datagram echoed on each; yields once they stand."""
    with _started(arguments, proxy, seconds) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line or "ready" not in json.loads(line):
            _, problem = process.communicate(timeout=30)
            raise LoadError(f"no UDP associations: {line.strip()} {problem.strip()}")
        yield Datagrams(process)
        process.communicate("\n", timeout=30)


@contextmanager
def _started(
    arguments: Sequence[str], proxy: str | None, seconds: int
) -> Iterator[subprocess.Popen[str]]:
    through = [] if proxy is None else ["--proxy", proxy]
    command = [str(build()), *arguments, *through, "--deadline", str(seconds)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def _outcome(output: str, problem: str) -> Outcome:
    lines = output.strip().splitlines()
    if not lines:
        raise LoadError(f"no outcome: {problem.strip()}")
    outcome: Outcome = json.loads(lines[-1])
    if outcome["failed"] or outcome["lost"] or outcome["mismatches"]:
        raise LoadError(
            f"{outcome['mode']}: {outcome['failed']} failed, {outcome['lost']} lost, "
            f"{outcome['mismatches']} mismatches ({outcome['error']})"
        )
    return outcome
