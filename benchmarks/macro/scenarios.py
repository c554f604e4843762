"""What is measured: each scenario drives one load through a pair and notes raw figures.

Raw figures go to the JSON as they are; ``figures`` turns one sample of them
into the numbers that the report compares.
"""

from __future__ import annotations

import time

from . import load
from .datagrams import DATAGRAM_SCENARIOS
from .measuring import Meter, around, resident_around
from .peer import SOCKS5
from .process import settle
from .scale import SCALE_SCENARIOS
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
from .starting import STARTING_SCENARIOS

# What a download takes to reach its pace.
_UNDER_WAY_SECONDS = 0.2
# For some time, as beside a download there is a factor of a thousand between the relays, and at a
# steady rate, as a user's requests come: one after another, few would fall into a stall.
_EVERY = 20  # milliseconds
_STEADY_CONNECTIONS = 10
_STEADY_EXCHANGES = [
    *["pingpong", "--connections", str(_STEADY_CONNECTIONS), "--every", str(_EVERY)],
    *["--times", "10000", "--bytes", "64", "--until-told"],
]


def _idle(pair: Pair, sizes: Sizes) -> Sample:
    sample: Sample = {}
    arguments = ["idle", "--connections", str(sizes.idle_connections)]
    with (
        resident_around(pair, sizes, sample),
        load.started(arguments, pair.proxy, sizes.limit) as idle,
    ):
        idle.ready()
        settle(pair.processes(), 3.0)
        for role, end in pair.ends.items():
            sample["ends"][role]["idle"] = end.resident()
        sample["load"] = idle.end()
    return sample


def _pingpong_beside_bulk(pair: Pair, sizes: Sizes) -> Sample:
    bulk = ["download", "--bytes", "1000000000000", "--warm-up", "--until-told"]
    meter = Meter(pair)
    with load.started(bulk, pair.proxy, sizes.limit) as beside:
        beside.ready()
        meter.begin()
        beside.tell()
        time.sleep(_UNDER_WAY_SECONDS)
        with load.started(_STEADY_EXCHANGES, pair.proxy, sizes.limit) as exchanges:
            time.sleep(sizes.beside_seconds)
            outcome = exchanges.end()
        ends = meter.read(rest=False)
        moved = beside.end()
    if not moved["received"] or not outcome["exchange_us"]:
        raise load.LoadError("the download did not come to move beside the exchanges, or they")
    return {"load": outcome, "beside": moved, "ends": ends}


def _beside_bulk_figures(sample: Sample, sizes: Sizes) -> dict[str, float]:
    latency, moved = sample["load"]["exchange_us"], sample["beside"]
    return {
        "p50": latency["p50"],
        "p99": latency["p99"],
        "count": latency["count"],
        "MB/s": moved["received"] / MB / moved["seconds"],
        **named("s/GB", by_end(sample, "cpu_seconds", moved["received"] / GB)),
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

# Where the cipher decides little, one of the oldest and one of the newest edition stand for all.
_NOT_ALL = ("aes-256-gcm", "2022-blake3-aes-128-gcm", SOCKS5)

SCENARIOS = [
    Scenario(
        "download",
        lambda sizes: f"Download, {sizes.bulk_bytes / MB:,.0f} MB over one connection",
        around(lambda sizes: ["download", "--bytes", str(sizes.bulk_bytes)]),
        _bulk_figures,
        _BULK_COLUMNS,
        ceiling=True,
    ),
    Scenario(
        "upload",
        lambda sizes: f"Upload, {sizes.bulk_bytes / MB:,.0f} MB over one connection",
        around(lambda sizes: ["upload", "--bytes", str(sizes.bulk_bytes)]),
        _bulk_figures,
        _BULK_COLUMNS,
        ceiling=True,
    ),
    Scenario(
        "short",
        lambda sizes: f"{sizes.short_connections:,} short connections, one after another",
        around(
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
        methods=_NOT_ALL,
        ceiling=True,
    ),
    Scenario(
        "short-concurrent",
        lambda sizes: (
            f"{sizes.short_connections:,} short connections, {sizes.short_concurrency} at once"
        ),
        around(
            lambda sizes: [
                *["short", "--connections", str(sizes.short_connections), "--bytes", "1024"],
                *["--concurrency", str(sizes.short_concurrency)],
            ]
        ),
        _short_figures,
        _SHORT_COLUMNS,
        methods=("aes-256-gcm", SOCKS5),
        rounds=3,
        connections=lambda sizes: sizes.short_concurrency,
        ceiling=True,
    ),
    Scenario(
        "pingpong",
        lambda sizes: f"{sizes.exchanges:,} requests and replies of 64 bytes, one connection",
        around(lambda sizes: ["pingpong", "--times", str(sizes.exchanges), "--bytes", "64"]),
        _exchange_figures,
        [
            Column("p50", "p50, us", 0),
            Column("p99", "p99, us", 0),
            *each_end("us", "CPU us", 1),
            *each_end("calls", "system calls", 1),
        ],
        methods=_NOT_ALL,
        ceiling=True,
    ),
    Scenario(
        "pingpong-bulk",
        lambda sizes: (
            f"A request and reply of 64 bytes every {_EVERY} ms on {_STEADY_CONNECTIONS} "
            f"connections for {sizes.beside_seconds:g} s, while another one downloads"
        ),
        _pingpong_beside_bulk,
        _beside_bulk_figures,
        [
            Column("p50", "p50, us", 0),
            Column("p99", "p99, us", 0),
            Column("count", "exchanges", 0),
            Column("MB/s", "MB/s of the download", 0),
            *each_end("s/GB", "CPU s/GB, all that was relayed"),
        ],
        own_pair=True,
        methods=("aes-256-gcm", SOCKS5),
        rounds=3,
        notes="The download goes as fast as it can, so a relay that lets more bytes through has "
        "more to do meanwhile. A request that must wait for the reply to the one before counts "
        "from when it was due.",
        ceiling=True,
    ),
    Scenario(
        "paced",
        lambda sizes: f"{sizes.paced_flows} paced flows of {sizes.paced_rate / KB:.0f} kB/s",
        around(
            lambda sizes: [
                *["paced", "--connections", str(sizes.paced_flows)],
                *["--rate", str(sizes.paced_rate)],
                *["--bytes", str(sizes.paced_rate * sizes.paced_seconds)],
            ]
        ),
        _bulk_figures,
        _BULK_COLUMNS,
        methods=("aes-256-gcm", "2022-blake3-aes-128-gcm"),
        rounds=3,
        connections=lambda sizes: sizes.paced_flows,
        notes="Downloads; each flow is sent what is due every 100 ms.",
        ceiling=True,
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
        methods=("aes-256-gcm", "2022-blake3-aes-128-gcm"),
        rounds=3,
        connections=lambda sizes: sizes.idle_connections,
        notes="Resident memory of the process, after one byte went each way on every "
        "connection; socket buffers in the kernel are not in it.",
    ),
    *SCALE_SCENARIOS,
    *STARTING_SCENARIOS,
    *DATAGRAM_SCENARIOS,
]
