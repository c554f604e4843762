"""UDP: datagrams through one end of a peer at a steady rate, echoed, both ways counted.

The measured end stands behind (or in front of) the same other end for all peers, so that what
arrives at it, one by one or in batches, is the same, too.
"""

from __future__ import annotations

from collections.abc import Callable

from . import load
from .process import settle
from .scenario import Arrangement, Column, Pair, Sample, Scenario, Sizes, by_end, named

_BURST_MILLISECONDS = 1
_PAYLOADS = (64, 512, 1400)
_ASSOCIATIONS = (1, 50, 200)
_QUICK = {(64, 1), (1400, 50)}
_USUAL = {*_QUICK, (1400, 200)}


def _drive(size: int, associations: int) -> Callable[[Pair, Sizes], Sample]:
    """CPU time of both ends while datagrams flow; associations are set up before."""

    def run(pair: Pair, sizes: Sizes) -> Sample:
        arguments = [
            *["udp", "--connections", str(associations), "--bytes", str(size)],
            *["--times", str(sizes.datagrams), "--rate", str(sizes.datagram_rate)],
            *["--interval", str(_BURST_MILLISECONDS)],
        ]
        processes = pair.processes()
        with load.datagrams(arguments, pair.proxy, sizes.limit) as flow:
            settle(processes)
            before = {role: end.cpu_seconds() for role, end in pair.ends.items()}
            flow.run()
            settle(processes)
            return {
                "load": flow.outcome,
                "ends": {
                    role: {
                        "cpu_seconds": end.cpu_seconds() - before[role],
                        "resident": end.resident(),
                    }
                    for role, end in pair.ends.items()
                },
            }

    return run


def _figures(sample: Sample, sizes: Sizes) -> dict[str, float]:
    load = sample["load"]
    relayed = load["reached"] + load["returned"]
    return {
        **named("us", by_end(sample, "cpu_seconds", relayed / 1e6)),
        **named("calls", by_end(sample, "system_calls", relayed)),
        "lost up": 100 * (load["sent"] - load["reached"]) / load["sent"],
        "lost down": 100 * (load["reached"] - load["returned"]) / load["sent"],
        "reordered": 100 * load["reordered"] / load["sent"],
        "per second": load["reached"] / load["seconds"],
        "p50": load["round_trip_us"]["p50"],
        "p99": load["round_trip_us"]["p99"],
        "load us": load["cpu_seconds"] / relayed * 1e6,
    }


def _scenario(
    role: str,
    other: str | None,
    size: int,
    associations: int,
    arrangement: Arrangement,
) -> Scenario:
    common = [Column(f"us {other}", f"CPU us, the common {other}")] if other else []
    plural = "association" if associations == 1 else "associations"
    return Scenario(
        f"udp-{role}-{size}x{associations}",
        lambda sizes: (
            f"UDP, {role}{' end' if other else ''}: {sizes.datagrams:,} datagrams of {size:,} "
            f"bytes, echoed, {sizes.datagram_rate:,} a second over {associations} {plural}"
        ),
        _drive(size, associations),
        _figures,
        [
            Column(f"us {role}", f"CPU us a datagram one way, {role}"),
            Column("lost up", "lost there, %"),
            Column("lost down", "lost back, %"),
            Column("reordered", "reordered, %"),
            Column("per second", "datagrams/s each way", 0),
            Column("p50", "round trip p50, us", 0),
            Column("p99", "round trip p99, us", 0),
            Column(f"calls {role}", "system calls a datagram one way"),
            *common,
            Column("load us", "generator us"),
        ],
        own_pair=True,
        arrangement=arrangement,
        ceiling=True,
        quick=role == "server" and (size, associations) in _QUICK,
        named_only=(size, associations) not in _USUAL,
        methods=("socks5",) if other is None else ("aes-256-gcm", "2022-blake3-aes-128-gcm"),
        rounds=3,
        connections=lambda sizes: associations,
    )


DATAGRAM_SCENARIOS = [
    *(
        _scenario("server", "local", size, associations, Arrangement.SERVER)
        for associations in _ASSOCIATIONS
        for size in _PAYLOADS
    ),
    _scenario("local", "server", 64, 1, Arrangement.LOCAL),
    _scenario("local", "server", 1400, 50, Arrangement.LOCAL),
    _scenario("proxy", None, 64, 1, Arrangement.PROXY),
    _scenario("proxy", None, 1400, 50, Arrangement.PROXY),
]
