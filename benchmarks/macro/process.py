"""One end of a relay: a peer's process tree, started, measured and stopped.

CPU time comes from each process's CPU clock (``clock_getcpuclockid(3)``): the
scheduler's sum of run time over all threads, ended ones included, in
nanoseconds. ``/proc/PID/stat`` rounds the same sum to ticks of 10 ms, and
``/proc/PID/task/*/schedstat`` forgets threads that have ended.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

_LISTEN = "0A"
_CPUCLOCK_SCHED = 2
_TICKS = os.sysconf("SC_CLK_TCK")
_POLL_SECONDS = 0.001


class StartError(Exception):
    """A peer's process ended, or did not listen in time."""


class Process:
    """A running end.

    Parameters: the command, its environment, the TCP port it is to listen on
    (loopback), and the file its output goes to.
    """

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], port: int, log: Path) -> None:
        self.argv = list(argv)
        self.port = port
        self.start_seconds = 0.0
        self._log = log
        self._began = time.monotonic()
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                self.argv,
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def wait_listening(self, seconds: float) -> None:
        """Return once the port listens, ``start_seconds`` after the process began.

        Raises StartError on exit or deadline.

        The kernel's table is read rather than a connection tried: a stray
        connection is something several peers would count, log or hold.
        """
        deadline = time.monotonic() + seconds
        pidfd = os.pidfd_open(self._popen.pid)
        try:
            while self.port not in _listening_ports():
                if select.select([pidfd], [], [], _POLL_SECONDS)[0]:
                    raise StartError(f"{self._name()} ended: {self._last_output()}")
                if time.monotonic() > deadline:
                    raise StartError(
                        f"{self._name()} did not listen on port {self.port} in {seconds:g} s: "
                        f"{self._last_output()}"
                    )
            self.start_seconds = time.monotonic() - self._began
        finally:
            os.close(pidfd)

    def pids(self) -> list[int]:
        """The process and its descendants."""
        found = [self._popen.pid]
        for pid in found:
            found.extend(_children(pid))
        return found

    def cpu_seconds(self) -> float:
        """CPU time so far, user and system, of the whole tree."""
        return sum(self.cpu_seconds_each().values())

    def cpu_seconds_each(self) -> dict[int, float]:
        """CPU time so far of each process of the tree, its ended children with it."""
        return {pid: _cpu_clock(pid) + _of_ended_children(pid) for pid in self.pids()}

    def resident(self) -> int:
        """Resident bytes of the whole tree now (exact, from smaps_rollup)."""
        return sum(_kilobytes(pid, "smaps_rollup", "Rss:") for pid in self.pids()) * 1024

    def peak_resident(self) -> int:
        """Most resident bytes since the start or reset_peak (VmHWM), processes added up."""
        return sum(_kilobytes(pid, "status", "VmHWM:") for pid in self.pids()) * 1024

    def reset_peak(self) -> None:
        """Let peak_resident count from now on."""
        for pid in self.pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def stop(self) -> None:
        """End the process: SIGTERM, and SIGKILL to its session after 5 s."""
        if self._popen.poll() is None:
            self._popen.terminate()
            try:
                self._popen.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self._popen.pid, signal.SIGKILL)
                self._popen.wait()

    def _name(self) -> str:
        return Path(self.argv[0]).name

    def _last_output(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "(no output)"


def settle(processes: Sequence[Process], seconds: float = 1.0) -> None:
    """Wait until the processes have done what they were doing: 20 ms with under 1% CPU."""
    deadline = time.monotonic() + seconds
    before = sum(process.cpu_seconds() for process in processes)
    while time.monotonic() < deadline:
        time.sleep(0.02)
        now = sum(process.cpu_seconds() for process in processes)
        if now - before < 0.0002:
            return
        before = now


def _listening_ports() -> set[int]:
    ports = set()
    for name in ("tcp", "tcp6"):
        with Path(f"/proc/net/{name}").open() as table:
            next(table, None)
            for line in table:
                fields = line.split()
                # The kernel lists listening sockets first; behind them stand thousands
                # in TIME_WAIT after a load of short connections.
                if fields[3] != _LISTEN:
                    break
                ports.add(int(fields[1].rsplit(":", 1)[1], 16))
    return ports


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found.extend(int(child) for child in task.read_text().split())
        except FileNotFoundError:
            continue  # the thread ended meanwhile
    return found


def _cpu_clock(pid: int) -> float:
    return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)


def _of_ended_children(pid: int) -> float:
    # The name, second of the fields, may have spaces; cutime and cstime are the 16th and 17th.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / _TICKS


def _kilobytes(pid: int, file: str, key: str) -> int:
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1])
    raise LookupError(f"no {key} in /proc/{pid}/{file}")
