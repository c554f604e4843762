"""Names a second, and how long a connection to a name takes, for fastsocks and its peers.

python -m benchmarks.names [--rounds N] [--output FILE.md]

The name server answers each question after 50 ms; beside the connections that are measured none,
or a hundred to names that it never answers for, of the same client. Runs in namespaces of its own,
with a resolv.conf of its own, so as root. benchmarks/load/names.c is name server, client and
target.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .macro.peer import SOCKS5, End, MissingPeerError, make_link
from .macro.peers import PEERS

_LOAD = Path(__file__).resolve().parent / "load"
_INSIDE = "FASTSOCKS_BENCHMARK_NAMESPACES"
_METHOD = "2022-blake3-aes-128-gcm"

_DELAY_MS = 50
_AT_ONCE = 200
_NAMES = 3000
_SILENT = (0, 100)
#: Connections one after another to see what a name costs that nobody waits in line for.
_FEW = 40

#: The peer, and what it is asked to speak.
_MEASURED = {
    "fastsocks": SOCKS5,
    "fastsocks-python": SOCKS5,
    "microsocks": SOCKS5,
    "dante": SOCKS5,
    "rust": _METHOD,
}


@dataclass(frozen=True)
class Run:
    """What came of one load on one peer."""

    a_second: float
    p50_ms: float
    p99_ms: float
    failed: int
    cpu_us: float


def _enter_namespaces() -> None:
    """Go on in a network and with a resolv.conf of our own."""
    if not os.environ.get(_INSIDE):
        command = ["unshare", "--net", "--mount", sys.executable, "-m", "benchmarks.names"]
        environment = {**os.environ, _INSIDE: "1"}
        os.execvpe(command[0], [*command, *sys.argv[1:]], environment)  # noqa: S606
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write("nameserver 127.0.0.1\n")
    Path(file.name).chmod(0o644)
    subprocess.run(["mount", "--bind", file.name, "/etc/resolv.conf"], check=True)


def _cpu_seconds(processes: Sequence[subprocess.Popen[bytes]]) -> float:
    """CPU time of processes and of the children they have; of those that ended, too."""
    ticks = 0
    parents = {process.pid for process in processes}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, rest = path.read_text().split(" (", 1)
        except OSError:
            continue
        words = rest.rpartition(") ")[2].split()
        if int(pid) in parents or int(words[1]) in parents:
            ticks += sum(map(int, words[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _start(end: End, folder: Path) -> subprocess.Popen[bytes]:
    with (folder / f"{end.role}.log").open("wb") as log:
        process = subprocess.Popen(
            end.argv,
            env={**os.environ, **end.env},
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
    listening = f":{end.port:04X} 00000000:0000 0A"
    for _ in range(200):
        if listening in Path("/proc/net/tcp").read_text(encoding="ascii"):
            return process
        time.sleep(0.05)
    process.kill()
    raise RuntimeError(f"{end.argv[0]} does not listen")


def _measure(peer: str, count: int, at_once: int, silent: int) -> Run:
    """Start a peer, put one load on it, and end it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        link = make_link(_MEASURED[peer], folder)
        processes = []
        for end in PEERS[peer].ends(link):
            process = _start(end, folder)
            processes.append(process)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        before = _cpu_seconds(processes)
        command = [_LOAD / "names", link.local_port, count, at_once, silent, _DELAY_MS]
        done = subprocess.run(
            list(map(str, command)), check=True, stdout=subprocess.PIPE, timeout=180
        )
        found: dict[str, Any] = json.loads(done.stdout)
        took = _cpu_seconds(processes) - before
        for process in processes:
            if process.poll() is not None:
                log = "".join(path.read_text() for path in folder.glob("*.log"))
                raise RuntimeError(f"{peer} ended with {process.returncode}:\n{log[-2000:]}")
    times = found["first_byte"] or {"p50": float("nan"), "p99": float("nan")}
    completed = found["done"] - found["failed"]
    return Run(
        completed / found["seconds"],
        times["p50"] / 1000,
        times["p99"] / 1000,
        found["failed"] + count - found["done"],
        1e6 * took / max(completed, 1),
    )


def _row(name: str, silent: int, runs: list[Run], alone: list[Run]) -> str:
    def middle(field: str, of: list[Run] = runs) -> float:
        return statistics.median(float(getattr(run, field)) for run in of)

    rates = [run.a_second for run in runs]
    part = middle("a_second") / (_AT_ONCE / (_DELAY_MS / 1000))
    return (
        f"| {name} | {silent} | {middle('a_second'):.0f} ({min(rates):.0f}-{max(rates):.0f}) | "
        f"{part:.0%} | {middle('p50_ms'):.0f} | {middle('p99_ms'):.0f} | "
        f"{middle('p50_ms', alone):.1f} | {middle('cpu_us'):.0f} | {sum(r.failed for r in runs)} |"
    )


def main() -> None:
    """Measure, and write a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default=",".join(_MEASURED))
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    subprocess.run(["make", "-s", "-C", str(_LOAD), "names"], check=True)
    _enter_namespaces()
    peers = []
    for peer in arguments.peers.split(","):
        try:
            print(f"- {PEERS[peer].version()}", file=sys.stderr)
            peers.append(peer)
        except MissingPeerError as error:
            print(f"- {peer} is left out: {error}", file=sys.stderr)
    runs: dict[tuple[str, int, bool], list[Run]] = {}
    for number in range(arguments.rounds):
        for silent in _SILENT:
            for peer in peers[number % len(peers) :] + peers[: number % len(peers)]:
                for many in (True, False):
                    load = (_NAMES, _AT_ONCE) if many else (_FEW, 1)
                    run = _measure(peer, *load, silent)
                    runs.setdefault((peer, silent, many), []).append(run)
                    print(number, peer, silent, load, run, file=sys.stderr)
    head = (
        f"| {_AT_ONCE} at a time | silent beside | names a second | of what is possible | p50 ms | "
        "p99 ms | one at a time, p50 ms | CPU us | failed |"
    )
    lines = [
        head,
        "|---|---|---|---|---|---|---|---|---|",
        *(
            _row(PEERS[peer].name, silent, runs[peer, silent, True], runs[peer, silent, False])
            for silent in _SILENT
            for peer in peers
        ),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.output is not None:
        arguments.output.write_text(text)


if __name__ == "__main__":
    main()
