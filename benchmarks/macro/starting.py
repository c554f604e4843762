"""Start-up, and what needs ends of its own for other reasons: the system calls of a connection."""

from __future__ import annotations

import os
import subprocess
import time

from . import load, perf
from .process import settle
from .scenario import MB, Column, Pair, Sample, Scenario, Sizes, by_end, each_end, named


def _start(pair: Pair, sizes: Sizes) -> Sample:
    """How long the ends of a fresh pair took to listen, and the version command."""
    sample: Sample = {
        "ends": {
            role: {"start_seconds": end.start_seconds, "resident": end.resident()}
            for role, end in pair.ends.items()
        }
    }
    if pair.version:
        command, env = pair.version
        began = time.monotonic()
        subprocess.run(command, env={**os.environ, **env}, check=True, capture_output=True)
        sample["version_seconds"] = time.monotonic() - began
    return sample


def _start_figures(sample: Sample, sizes: Sizes) -> dict[str, float]:
    figures = {
        **named("ms", by_end(sample, "start_seconds", 1e-3)),
        **named("MB", by_end(sample, "resident", MB)),
    }
    if "version_seconds" in sample:
        figures["version ms"] = sample["version_seconds"] * 1e3
    return figures


def _system_calls(pair: Pair, sizes: Sizes) -> Sample:
    arguments = ["short", "--connections", str(sizes.scale_connections), "--bytes", "1024"]
    load.run(["pingpong", "--bytes", "1"], pair.proxy, sizes.limit)
    settle(pair.processes())
    with perf.system_calls(pair.ends) as calls:
        outcome = load.run(arguments, pair.proxy, sizes.limit)
        settle(pair.processes())
    ends = {role: {"system_calls": count} for role, count in calls.items()}
    return {"load": outcome, "ends": ends}


def _system_calls_figures(sample: Sample, sizes: Sizes) -> dict[str, float]:
    return named("calls", by_end(sample, "system_calls", sample["load"]["completed"]))


STARTING_SCENARIOS = [
    Scenario(
        "start",
        lambda sizes: "Start-up",
        _start,
        _start_figures,
        [
            *each_end("ms", "ms from exec to listening", 0),
            Column("version ms", "ms to tell the version", 0),
            *each_end("MB", "MB then", 1),
        ],
        own_pair=True,
        methods=("aes-256-gcm", "socks5"),
        notes="Programs and modules are in the page cache.",
    ),
    Scenario(
        "system-calls",
        lambda sizes: f"System calls of {sizes.scale_connections} short connections",
        _system_calls,
        _system_calls_figures,
        [*each_end("calls", "system calls a connection", 1)],
        own_pair=True,
        quick=False,
        rounds=1,
        notes="Counted by perf, one connection after another. With the multi-threaded peers "
        "that is waking threads, too.",
    ),
]
