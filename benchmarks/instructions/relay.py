"""The relays: one whose instructions callgrind counts, or that runs bare, and the end opposite."""

from __future__ import annotations

import base64
import os
import random
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..macro.peer import HOST, Link
from ..macro.peers import PEERS
from ..macro.process import Process

# Under callgrind a relay takes about 10 seconds until it listens.
_START_SECONDS = 180.0
_DUMP_SECONDS = 60
_TOTALS = re.compile(r"^totals: (\d+)$", re.MULTILINE)
# What the programs themselves are found by.
_KEPT = ("PATH", "HOME", "LD_LIBRARY_PATH")
_KEY = base64.b64encode(bytes(range(32))).decode()


class CountError(Exception):
    """Valgrind is not there, or did not tell what it counted."""


@dataclass(frozen=True)
class Relay:
    """A relay that runs: the end that is measured, and the port that clients go to."""

    measured: Process
    #: The measured one and the one opposite.
    pids: list[int]
    proxy_port: int
    #: Where callgrind writes: .1, .2 and so on are added.
    counts: Path

    def dump(self) -> Path:
        """Let callgrind write what it counted since the last call. Raises CountError."""
        written = set(self.counts.parent.glob(f"{self.counts.name}.*"))
        done = subprocess.run(
            ["vgdb", f"--pid={self.measured.pids()[0]}", "dump"],
            check=False,
            capture_output=True,
            text=True,
            timeout=_DUMP_SECONDS,
        )
        new = set(self.counts.parent.glob(f"{self.counts.name}.*")) - written
        if done.returncode or len(new) != 1:
            raise CountError(f"callgrind wrote no counts: {done.stderr.strip()}")
        return new.pop()


def totals(text: str) -> int:
    """Read how many instructions callgrind counted out of what it wrote. Raises CountError."""
    found = _TOTALS.search(text)
    if found is None:
        raise CountError("callgrind wrote no totals")
    return int(found[1])


@contextmanager
def running(
    role: str, method: str, source: Path, opposite: Path, folder: Path, *, counted: bool
) -> Iterator[Relay]:
    """Run the sources `source` as `role`, and `opposite` as the other end; files go to `folder`.

    Raises StartError of macro.process, and CountError where valgrind is not installed.
    """
    if counted and not (shutil.which("valgrind") and shutil.which("vgdb")):
        raise CountError("valgrind is not installed: apt-get install valgrind")
    counts = folder / "counts"
    # A path as long for every tree: else all would lie elsewhere in memory, and attributes of types
    # in other slots of the interpreter's cache.
    place = folder / "src"
    place.symlink_to(source)
    callgrind = ["valgrind", "--tool=callgrind", "--quiet", f"--callgrind-out-file={counts}"]
    link = Link(method, _KEY, _free_port(), _free_port(), folder)
    processes = {}
    with ExitStack() as stack:
        for end in PEERS["fastsocks"].ends(link):
            measured = end.role == role
            argv = [
                *_environment(place if measured else opposite),
                *(callgrind if measured and counted else []),
                *end.argv,
            ]
            process = Process(argv, {}, end.port, folder / f"{end.role}.log")
            processes[end.role] = stack.enter_context(process)
            process.wait_listening(_START_SECONDS)
        pids = [pid for process in processes.values() for pid in process.pids()]
        yield Relay(processes[role], pids, link.local_port, counts)


def _free_port() -> int:
    """A port that the kernel gives to nobody by itself, so that it is free for seconds yet."""
    most = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10000, most)
        with (
            socket.socket() as stream,
            socket.socket(type=socket.SOCK_DGRAM) as packet,
            suppress(OSError),
        ):
            stream.bind((HOST, port))
            packet.bind((HOST, port))
            return port


def _environment(source: Path) -> list[str]:
    """The command that runs another with these variables alone."""
    variables = {
        "FASTSOCKS_IMPL": "cython",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": str(source),
        **{name: os.environ[name] for name in _KEPT if name in os.environ},
    }
    return ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
