"""What is measured: each scenario drives one load through a pair and notes raw figures.

Raw figures go to the JSON as they are; ``figures`` turns one sample of them
into the numbers that the report compares.
"""

from __future__ import annotations

from collections.abc import Callable

from . import load
from .datagrams import DATAGRAM_SCENARIOS
from .process import settle
from .scenario import (
    GB,
    KB,
    MB,
    Column,
    Pair,
    Sample,
    Scenario,
    Sizes,
    by_end,
    each_end,
    named,
)


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


def _bulk_figures(sample: Sample, sizes: Sizes) -> dict[str, float]:
    moved = sample["load"]["sent"] + sample["load"]["received"]
    return {
        **named("s/GB", by_end(sample, "cpu_seconds", moved / GB)),
        **named("peak MB", by_end(sample, "peak_resident", MB)),
        **named("calls", by_end(sample, "system_calls", moved / MB)),
        "MB/s": moved / MB / sample["load"]["seconds"],
        "load s/GB": sample["load"]["cpu_seconds"] / (moved / GB),
    }


def _short_figures(sample: Sample, sizes: Sizes) -> dict[str, float]:
    count = sample["load"]["completed"]
    return {
        **named("us", by_end(sample, "cpu_seconds", count / 1e6)),
        **named("calls", by_end(sample, "system_calls", count)),
        "per second": count / sample["load"]["seconds"],
        "p50": sample["load"]["first_byte_us"]["p50"],
        "p99": sample["load"]["first_byte_us"]["p99"],
        "load us": sample["load"]["cpu_seconds"] / count * 1e6,
    }


def _exchange_figures(sample: Sample, sizes: Sizes) -> dict[str, float]:
    latency = sample["load"]["exchange_us"]
    return {
        **named("us", by_end(sample, "cpu_seconds", latency["count"] / 1e6)),
        **named("calls", by_end(sample, "system_calls", latency["count"])),
        "p50": latency["p50"],
        "p99": latency["p99"],
    }


def _idle_figures(sample: Sample, sizes: Sizes) -> dict[str, float]:
    count = sample["load"]["completed"]
    grown = {
        "ends": {role: {"grown": end["idle"] - end["rest"]} for role, end in sample["ends"].items()}
    }
    return {
        **named("KB", by_end(grown, "grown", count * KB)),
        **named("rest MB", by_end(sample, "rest", MB)),
        **named("kept MB", by_end(sample, "kept", MB)),
    }


_BULK_COLUMNS = [
    *each_end("s/GB", "CPU s/GB"),
    Column("MB/s", "MB/s", 0),
    *each_end("peak MB", "peak MB", 1),
    Column("load s/GB", "generator s/GB"),
    *each_end("calls", "system calls/MB", 1),
]
_SHORT_COLUMNS = [
    *each_end("us", "CPU us", 0),
    Column("p50", "first byte p50, us", 0),
    Column("p99", "first byte p99, us", 0),
    Column("per second", "connections/s", 0),
    *each_end("calls", "system calls", 1),
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
            *each_end("us", "CPU us", 1),
            *each_end("calls", "system calls", 1),
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
            *each_end("KB", "KB a connection", 1),
            *each_end("rest MB", "MB at rest", 1),
            *each_end("kept MB", "MB after", 1),
        ],
        own_pair=True,
        notes="Resident memory of the process, after one byte went each way on every "
        "connection; socket buffers in the kernel are not in it.",
    ),
    *DATAGRAM_SCENARIOS,
]
