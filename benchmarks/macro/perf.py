"""perf attached to the ends of a pair while a load runs: system calls counted, or profiles.

Both disturb what they watch a little, so they are for runs of their own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .process import Process

_ENTER = "raw_syscalls:sys_enter"


class PerfError(Exception):
    """perf is not installed, or may not do what was asked."""


@contextmanager
def system_calls(ends: Mapping[str, Process]) -> Iterator[dict[str, int]]:
    """Count each end's system calls; the dictionary is filled when the block ends."""
    counts: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="fastsocks-benchmark-") as name:
        outputs = {role: Path(name, role) for role in ends}
        with ExitStack() as stack:
            for role, end in ends.items():
                command = ["perf", "stat", "-x,", "-e", _ENTER, "-o", str(outputs[role])]
                stack.enter_context(_attached(command, end))
            yield counts
        for role, output in outputs.items():
            counts[role] = _count(output.read_text())


@contextmanager
def profiles(ends: Mapping[str, Process], folder: Path, name: str) -> Iterator[None]:
    """Record a profile with call graphs of each end into folder/NAME-ROLE.data."""
    with ExitStack() as stack:
        for role, end in ends.items():
            output = folder / f"{name}-{role}.data"
            command = ["perf", "record", "-q", "-g", "-F", "997", "-o", str(output)]
            stack.enter_context(_attached(command, end))
        yield


@contextmanager
def _attached(command: Sequence[str], process: Process) -> Iterator[None]:
    """Run perf on the process and its children, from when it says that it is ready."""
    control, tell = os.pipe()
    hear, acknowledge = os.pipe()
    pids = ",".join(map(str, process.pids()))
    channel = ["-D", "-1", "--control", f"fd:{control},{acknowledge}", "-p", pids]
    with os.fdopen(tell, "wb", buffering=0) as to_perf, os.fdopen(hear, "rb") as from_perf:
        try:
            perf = subprocess.Popen(
                [*command, *channel],
                pass_fds=(control, acknowledge),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        except FileNotFoundError:
            raise PerfError("perf is not installed (Debian: apt-get install linux-perf)") from None
        finally:
            os.close(control)
            os.close(acknowledge)
        with perf:
            try:
                to_perf.write(b"enable\n")
                if not from_perf.readline():  # perf has ended
                    raise PerfError(perf.communicate()[1].strip())
                yield
            finally:
                perf.send_signal(signal.SIGINT)


def _count(output: str) -> int:
    for line in output.splitlines():
        if _ENTER in line:
            return int(line.split(",")[0])
    raise PerfError(f"perf counted nothing: {output.strip()}")
