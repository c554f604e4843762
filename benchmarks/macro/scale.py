"""Many connections: cost as they grow in number, memory kept, slow readers, workers."""

from __future__ import annotations

import time
from collections.abc import Callable

from . import load
from .measuring import Meter, around, connections_possible, resident_around
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

ACTIVE = (1, 100, 1000, 10_000)
# The methods that what takes long is measured with.
_FEW = ("aes-256-gcm", "socks5")


def _active(wanted: int) -> Callable[[Pair, Sizes], Sample]:
    """Bulk on ``wanted`` connections at once, then short ones while those stay open."""

    def run(pair: Pair, sizes: Sizes) -> Sample:
        count = connections_possible(wanted)
        arguments = [
            *["download", "--connections", str(count), *load.spread(count)],
            *["--bytes", str(sizes.active_bytes // count), "--warm-up", "--hold"],
        ]
        short = ["short", "--connections", str(sizes.scale_connections), "--bytes", "1024"]
        meter = Meter(pair)
        with load.started(arguments, pair.proxy, sizes.limit) as active:
            active.ready()
            meter.begin()
            active.tell()
            active.ready()
            ends = meter.read()
            meter.begin()
            beside = load.run(short, pair.proxy, sizes.limit)
            for role, figures in meter.read().items():
                ends[role]["short_seconds"] = figures["cpu_seconds"]
            outcome = active.end()
        return {"load": outcome, "beside": beside, "ends": ends}

    return run


def _active_figures(sample: Sample, sizes: Sizes) -> dict[str, float]:
    return {
        **named("s/GB", by_end(sample, "cpu_seconds", sample["load"]["received"] / GB)),
        **named("us", by_end(sample, "short_seconds", sample["beside"]["completed"] / 1e6)),
        "p50": sample["beside"]["first_byte_us"]["p50"],
        "connections": sample["load"]["completed"],
    }


def _active_scenario(wanted: int) -> Scenario:
    return Scenario(
        f"active-{wanted}",
        lambda sizes: (
            f"{sizes.active_bytes / MB:,.0f} MB over {wanted:,} "
            f"connection{'s' if wanted > 1 else ''} at once, then short ones beside them"
        ),
        _active(wanted),
        _active_figures,
        [
            *each_end("s/GB", "CPU s/GB"),
            *each_end("us", "CPU us a short connection beside them", 0),
            Column("p50", "its first byte p50, us", 0),
            Column("connections", "connections at once", 0),
        ],
        own_pair=True,
        quick=wanted in (1, 100),
        methods=("aes-256-gcm",),
        rounds=3,
        connections=lambda sizes: wanted,
        notes="Set-up is not in the CPU time a GB: each connection has moved a byte each way "
        "before. The short ones come one after another.",
    )


def _busy(pair: Pair, sizes: Sizes) -> Sample:
    count = connections_possible(sizes.busy_connections)
    arguments = [
        *["download", "--connections", str(count), "--bytes", str(sizes.busy_bytes)],
        *["--warm-up", "--hold", *load.spread(count)],
    ]
    sample: Sample = {}
    with resident_around(pair, sizes, sample):
        meter = Meter(pair)
        meter.begin()
        with load.started(arguments, pair.proxy, sizes.limit) as busy:
            busy.ready()
            busy.tell()
            busy.ready()
            figures = meter.read()
            sample["load"] = busy.end()
        for role, end in figures.items():
            sample["ends"][role]["peak_resident"] = end["peak_resident"]
    return sample


def _busy_figures(sample: Sample, sizes: Sizes) -> dict[str, float]:
    grown = {
        "ends": {
            role: {"kept": end["kept"] - end["rest"], "peak": end["peak_resident"] - end["rest"]}
            for role, end in sample["ends"].items()
        }
    }
    return {
        **named("kept MB", by_end(grown, "kept", MB)),
        **named("peak MB", by_end(grown, "peak", MB)),
        **named("rest MB", by_end(sample, "rest", MB)),
    }


def _slow(pair: Pair, sizes: Sizes) -> Sample:
    """A sender as fast as it may be behind each of many readers that take little."""
    arguments = [
        *["download", "--connections", str(sizes.slow_readers), "--warm-up", "--until-told"],
        *["--bytes", "1000000000000", "--read-rate", str(sizes.slow_rate)],
    ]
    sample: Sample = {}
    with resident_around(pair, sizes, sample):
        meter = Meter(pair)
        with load.started(arguments, pair.proxy, sizes.limit) as readers:
            readers.ready()
            meter.begin()
            readers.tell()
            time.sleep(sizes.slow_seconds)
            figures = meter.read(rest=False)
            sample["load"] = readers.end()
        for role, end in figures.items():
            sample["ends"][role].update(end)
    return sample


def _slow_figures(sample: Sample, sizes: Sizes) -> dict[str, float]:
    grown = {
        "ends": {
            role: {
                "grown": end["peak_resident"] - end["rest"],
                "each": (end["peak_resident"] - end["rest"]) / sizes.slow_readers,
            }
            for role, end in sample["ends"].items()
        }
    }
    return {
        **named("peak MB", by_end(grown, "grown", MB)),
        **named("KB", by_end(grown, "each", KB)),
        **named("rest MB", by_end(sample, "rest", MB)),
    }


def _held(pair: Pair, sizes: Sizes) -> Sample:
    count = connections_possible(sizes.held_connections)
    idle = ["idle", "--connections", str(count), *load.spread(count)]
    short = ["short", "--connections", str(sizes.scale_connections), "--bytes", "1024"]
    sample: Sample = {}
    with (
        resident_around(pair, sizes, sample),
        load.started(idle, pair.proxy, 2 * sizes.limit) as held,
    ):
        held.ready()
        settle(pair.processes(), 3.0)
        for role, end in pair.ends.items():
            sample["ends"][role]["idle"] = end.resident()
        meter = Meter(pair)
        meter.begin()
        sample["beside"] = load.run(short, pair.proxy, sizes.limit)
        for role, figures in meter.read().items():
            sample["ends"][role]["short_seconds"] = figures["cpu_seconds"]
        sample["load"] = held.end()
    return sample


def _held_figures(sample: Sample, sizes: Sizes) -> dict[str, float]:
    count = sample["load"]["completed"]
    grown = {
        "ends": {role: {"grown": end["idle"] - end["rest"]} for role, end in sample["ends"].items()}
    }
    return {
        **named("KB", by_end(grown, "grown", count * KB)),
        **named("us", by_end(sample, "short_seconds", sample["beside"]["completed"] / 1e6)),
        "connections": count,
    }


def _workers_figures(sample: Sample, sizes: Sizes) -> dict[str, float]:
    load = sample["load"]
    bulk = load["mode"] == "download"
    done = load["received"] / GB if bulk else load["completed"] / 1e6
    return {
        **named("busiest", by_end(sample, "busiest_seconds", done)),
        **named("each", by_end(sample, "cpu_seconds", done)),
        "per second": (load["received"] / MB if bulk else load["completed"]) / load["seconds"],
    }


def _workers_scenario(
    name: str, title: str, unit: str, rate: str, arguments: Callable[[Sizes], list[str]]
) -> Scenario:
    return Scenario(
        f"workers-{name}",
        lambda sizes: f"Workers: {title}",
        around(arguments),
        _workers_figures,
        [
            *each_end("busiest", f"CPU {unit} of the busiest process"),
            *each_end("each", f"CPU {unit} of all processes"),
            Column("per second", rate, 0),
        ],
        own_pair=True,
        quick=False,
        methods=_FEW,
        rounds=3,
        connections=lambda sizes: 256,
        peers=("fastsocks", "fastsocks-workers"),
        notes="What two workers could do on cores of their own shows in the CPU time of the "
        "busiest one: a relay is done when it is. Where the load generator shares the cores, "
        "as with two of them, what comes through a second cannot double.",
    )


SCALE_SCENARIOS = [
    *map(_active_scenario, ACTIVE),
    Scenario(
        "busy",
        lambda sizes: (
            f"Memory kept after {sizes.busy_connections:,} connections, "
            f"{sizes.busy_bytes / KB:,.0f} KB on each at once"
        ),
        _busy,
        _busy_figures,
        [
            *each_end("kept MB", "MB kept above rest", 1),
            *each_end("peak MB", "peak MB above rest", 1),
            *each_end("rest MB", "MB at rest", 1),
        ],
        own_pair=True,
        methods=_FEW,
        rounds=3,
        connections=lambda sizes: sizes.busy_connections,
        notes="Read when the ends have come to rest after the last connection closed, "
        "within three seconds.",
    ),
    Scenario(
        "slow-readers",
        lambda sizes: (
            f"{sizes.slow_readers} slow readers ({sizes.slow_rate / KB:.0f} kB/s each) "
            f"and fast senders, {sizes.slow_seconds:g} s"
        ),
        _slow,
        _slow_figures,
        [
            *each_end("peak MB", "peak MB above rest", 1),
            *each_end("KB", "KB a connection", 0),
            *each_end("rest MB", "MB at rest", 1),
        ],
        own_pair=True,
        methods=_FEW,
        rounds=2,
        connections=lambda sizes: sizes.slow_readers,
    ),
    Scenario(
        "held",
        lambda sizes: f"{sizes.held_connections:,} idle connections held by one process",
        _held,
        _held_figures,
        [
            *each_end("KB", "KB a connection", 1),
            *each_end("us", "CPU us a short connection beside them", 0),
            Column("connections", "connections held", 0),
        ],
        own_pair=True,
        named_only=True,
        methods=("socks5",),
        rounds=2,
        connections=lambda sizes: sizes.held_connections,
        notes="From many loopback addresses to a plain proxy. As many as the descriptor "
        "limit allows, two for each connection.",
    ),
    _workers_scenario(
        "short",
        "short connections, 64 at once",
        "us a connection",
        "connections/s",
        lambda sizes: [
            *["short", "--connections", str(2 * sizes.short_connections), "--bytes", "1024"],
            *["--concurrency", "64"],
        ],
    ),
    _workers_scenario(
        "bulk",
        "256 downloads at once",
        "s/GB",
        "MB/s",
        lambda sizes: [
            *["download", "--connections", "256", "--bytes", str(sizes.bulk_bytes // 256)]
        ],
    ),
]
