"""What is measured: each scenario drives one load through a pair and notes raw figures.

Raw figures go to the JSON as they are; ``figures`` turns one sample of them
into the numbers that the report compares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import load
from .process import Process, settle

GB = 1e9
MB = 1e6
KB = 1e3


@dataclass(frozen=True)
class Sizes:
    """How much load, in bytes, connections and seconds."""

    bulk_bytes: int
    short_connections: int
    short_concurrency: int
    exchanges: int
    paced_flows: int
    paced_rate: int  # bytes a second of each flow
    paced_seconds: int
    idle_connections: int
    limit: int = 120  # seconds any one load may take


FULL = Sizes(1_000_000_000, 2000, 32, 5000, 500, 200_000, 3, 4000)
QUICK = Sizes(100_000_000, 500, 32, 1000, 100, 200_000, 1, 1000)


@dataclass
class Pair:
    """The running ends of one peer, by role, and where the load connects (None: no proxy)."""

    ends: dict[str, Process]
    proxy: str | None

    def processes(self) -> list[Process]:
        return list(self.ends.values())


Sample = dict[str, Any]  # {"load": outcome, "ends": {role: {figure: number}}}


@dataclass(frozen=True)
class Column:
    """One figure of a scenario: its key, its title with the unit, and its decimals."""

    key: str
    title: str
    decimals: int = 2


@dataclass(frozen=True)
class Scenario:
    """``columns[0]`` is the figure that peers are compared by; less is better.

    ``own_pair``: run on a pair started for it alone, because what ran before
    would show in its memory figures.
    """

    name: str
    title: Callable[[Sizes], str]
    run: Callable[[Pair, Sizes], Sample]
    figures: Callable[[Sample, Sizes], dict[str, float]]
    columns: Sequence[Column]
    own_pair: bool = False
    notes: str = field(default="")


def _drive(arguments: Callable[[Sizes], list[str]]) -> Callable[[Pair, Sizes], Sample]:
    """A scenario's run: CPU time and peak memory of every end around one load."""

    def run(pair: Pair, sizes: Sizes) -> Sample:
        processes = pair.processes()
        settle(processes)
        for process in processes:
            process.reset_peak()
        before = {role: end.cpu_seconds() for role, end in pair.ends.items()}
        outcome = load.run(arguments(sizes), pair.proxy, sizes.limit)
        settle(processes)
        return {
            "load": outcome,
            "ends": {
                role: {
                    "cpu_seconds": end.cpu_seconds() - before[role],
                    "resident": end.resident(),
                    "peak_resident": end.peak_resident(),
                }
                for role, end in pair.ends.items()
            },
        }

    return run


def _idle(pair: Pair, sizes: Sizes) -> Sample:
    processes = pair.processes()
    load.run(["pingpong", "--bytes", "1"], pair.proxy, sizes.limit)  # what is loaded on first use
    settle(processes)
    rest = {role: end.resident() for role, end in pair.ends.items()}
    with load.held(sizes.idle_connections, pair.proxy, sizes.limit) as connections:
        settle(processes, 3.0)
        idle = {role: end.resident() for role, end in pair.ends.items()}
        connections.close()
    settle(processes, 3.0)
    return {
        "load": connections.outcome,
        "ends": {
            role: {"rest": rest[role], "idle": idle[role], "kept": end.resident()}
            for role, end in pair.ends.items()
        },
    }


def _by_end(sample: Sample, figure: str, unit: float) -> dict[str, float]:
    """``figure`` of every end and of all together, divided by ``unit``; empty where unknown."""
    each = {
        role: numbers[figure] / unit
        for role, numbers in sample["ends"].items()
        if figure in numbers
    }
    return {**each, "all": sum(each.values())} if each else {}


def _named(prefix: str, figures: dict[str, float]) -> dict[str, float]:
    return {f"{prefix} {role}": value for role, value in figures.items()}


def _bulk_figures(sample: Sample, sizes: Sizes) -> dict[str, float]:
    moved = sample["load"]["sent"] + sample["load"]["received"]
    return {
        **_named("s/GB", _by_end(sample, "cpu_seconds", moved / GB)),
        **_named("peak MB", _by_end(sample, "peak_resident", MB)),
        **_named("calls", _by_end(sample, "system_calls", moved / MB)),
        "MB/s": moved / MB / sample["load"]["seconds"],
        "load s/GB": sample["load"]["cpu_seconds"] / (moved / GB),
    }


def _short_figures(sample: Sample, sizes: Sizes) -> dict[str, float]:
    count = sample["load"]["completed"]
    return {
        **_named("us", _by_end(sample, "cpu_seconds", count / 1e6)),
        **_named("calls", _by_end(sample, "system_calls", count)),
        "per second": count / sample["load"]["seconds"],
        "p50": sample["load"]["first_byte_us"]["p50"],
        "p99": sample["load"]["first_byte_us"]["p99"],
        "load us": sample["load"]["cpu_seconds"] / count * 1e6,
    }


def _exchange_figures(sample: Sample, sizes: Sizes) -> dict[str, float]:
    latency = sample["load"]["exchange_us"]
    return {
        **_named("us", _by_end(sample, "cpu_seconds", latency["count"] / 1e6)),
        **_named("calls", _by_end(sample, "system_calls", latency["count"])),
        "p50": latency["p50"],
        "p99": latency["p99"],
    }


def _idle_figures(sample: Sample, sizes: Sizes) -> dict[str, float]:
    count = sample["load"]["completed"]
    grown = {
        "ends": {role: {"grown": end["idle"] - end["rest"]} for role, end in sample["ends"].items()}
    }
    return {
        **_named("KB", _by_end(grown, "grown", count * KB)),
        **_named("rest MB", _by_end(sample, "rest", MB)),
        **_named("kept MB", _by_end(sample, "kept", MB)),
    }


def _each(key: str, title: str, decimals: int = 2) -> list[Column]:
    """A column for all ends together and one for each."""
    ends = (("all", "all ends"), ("server", "server"), ("local", "local"))
    return [Column(f"{key} {end}", f"{title}, {text}", decimals) for end, text in ends]


_BULK_COLUMNS = [
    *_each("s/GB", "CPU s/GB"),
    Column("MB/s", "MB/s", 0),
    *_each("peak MB", "peak MB", 1),
    Column("load s/GB", "generator s/GB"),
    *_each("calls", "system calls/MB", 1),
]
_SHORT_COLUMNS = [
    *_each("us", "CPU us", 0),
    Column("p50", "first byte p50, us", 0),
    Column("p99", "first byte p99, us", 0),
    Column("per second", "connections/s", 0),
    *_each("calls", "system calls", 1),
    Column("load us", "generator us", 0),
]

SCENARIOS = [
    Scenario(
        "download",
        lambda sizes: f"Download, {sizes.bulk_bytes / MB:,.0f} MB over one connection",
        _drive(lambda sizes: ["download", "--bytes", str(sizes.bulk_bytes)]),
        _bulk_figures,
        _BULK_COLUMNS,
    ),
    Scenario(
        "upload",
        lambda sizes: f"Upload, {sizes.bulk_bytes / MB:,.0f} MB over one connection",
        _drive(lambda sizes: ["upload", "--bytes", str(sizes.bulk_bytes)]),
        _bulk_figures,
        _BULK_COLUMNS,
    ),
    Scenario(
        "short",
        lambda sizes: f"{sizes.short_connections:,} short connections, one after another",
        _drive(
            lambda sizes: [
                "short",
                "--connections",
                str(sizes.short_connections),
                "--bytes",
                "1024",
            ]
        ),
        _short_figures,
        _SHORT_COLUMNS,
        notes="Connect through SOCKS5, 1 KiB request, 1 KiB reply, close. "
        "First byte: from connect() to the first byte of the reply.",
    ),
    Scenario(
        "short-concurrent",
        lambda sizes: (
            f"{sizes.short_connections:,} short connections, {sizes.short_concurrency} at once"
        ),
        _drive(
            lambda sizes: [
                *["short", "--connections", str(sizes.short_connections), "--bytes", "1024"],
                *["--concurrency", str(sizes.short_concurrency)],
            ]
        ),
        _short_figures,
        _SHORT_COLUMNS,
    ),
    Scenario(
        "pingpong",
        lambda sizes: f"{sizes.exchanges:,} requests and replies of 64 bytes, one connection",
        _drive(lambda sizes: ["pingpong", "--times", str(sizes.exchanges), "--bytes", "64"]),
        _exchange_figures,
        [
            Column("p50", "p50, us", 0),
            Column("p99", "p99, us", 0),
            *_each("us", "CPU us", 1),
            *_each("calls", "system calls", 1),
        ],
    ),
    Scenario(
        "paced",
        lambda sizes: f"{sizes.paced_flows} paced flows of {sizes.paced_rate / KB:.0f} kB/s",
        _drive(
            lambda sizes: [
                *["paced", "--connections", str(sizes.paced_flows)],
                *["--rate", str(sizes.paced_rate)],
                *["--bytes", str(sizes.paced_rate * sizes.paced_seconds)],
            ]
        ),
        _bulk_figures,
        _BULK_COLUMNS,
        notes="Downloads; each flow is sent what is due every 100 ms.",
    ),
    Scenario(
        "idle",
        lambda sizes: f"{sizes.idle_connections:,} idle connections",
        _idle,
        _idle_figures,
        [
            *_each("KB", "KB a connection", 1),
            *_each("rest MB", "MB at rest", 1),
            *_each("kept MB", "MB after", 1),
        ],
        own_pair=True,
        notes="Resident memory of the process, after one byte went each way on every "
        "connection; socket buffers in the kernel are not in it.",
    ),
]
