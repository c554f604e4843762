"""What a scenario is, and how the figures of the ends of a pair are put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from .process import Process

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
    datagrams: int
    busy_connections: int
    busy_bytes: int  # that each of them downloads
    slow_readers: int
    slow_rate: int  # bytes a second that each of them reads
    slow_seconds: float
    active_bytes: int  # of all active connections together
    beside_seconds: float = 3.0  # of exchanges beside a download
    scale_connections: int = 500  # short ones beside active ones
    held_connections: int = 50_000
    datagram_rate: int = 5000  # datagrams a second, all associations together
    limit: int = 120  # seconds any one load may take


FULL = Sizes(
    bulk_bytes=500_000_000,
    short_connections=2000,
    short_concurrency=32,
    exchanges=5000,
    paced_flows=500,
    paced_rate=200_000,
    paced_seconds=3,
    idle_connections=2000,
    datagrams=5000,
    busy_connections=2000,
    busy_bytes=200_000,
    slow_readers=200,
    slow_rate=20_000,
    slow_seconds=4.0,
    active_bytes=300_000_000,
)
QUICK = Sizes(
    bulk_bytes=100_000_000,
    short_connections=500,
    short_concurrency=32,
    exchanges=1000,
    paced_flows=100,
    paced_rate=200_000,
    paced_seconds=1,
    idle_connections=500,
    datagrams=2500,
    busy_connections=500,
    busy_bytes=100_000,
    slow_readers=50,
    slow_rate=20_000,
    slow_seconds=1.0,
    active_bytes=50_000_000,
    scale_connections=200,
    held_connections=2000,
    beside_seconds=1.0,
)


@dataclass
class Pair:
    """The running ends of one peer, by role, and where the load connects (None: no proxy).

    ``version``: the command that tells the peer's version, and its environment.
    """

    ends: dict[str, Process]
    proxy: str | None
    version: tuple[Sequence[str], Mapping[str, str]] | None = None

    def processes(self) -> list[Process]:
        return list(self.ends.values())


Sample = dict[str, Any]  # {"load": outcome, "ends": {role: {figure: number}}}


@dataclass(frozen=True)
class Column:
    """One figure of a scenario: its key, its title with the unit, and its decimals."""

    key: str
    title: str
    decimals: int = 2


class Arrangement(Enum):
    """Which ends of a relay are the measured peer's; the other end is the same for all."""

    PAIR = "both ends, TCP"
    SERVER = "the server end, with UDP"
    LOCAL = "the local end, with UDP"
    PROXY = "a plain SOCKS5 proxy, with UDP"


@dataclass(frozen=True)
class Scenario:
    """``columns[0]`` is the figure that peers are compared by; less is better.

    ``own_pair``: run on a pair started for it alone, because what ran before
    would show in its memory figures. ``arrangement``: which ends are the
    peer's. ``quick``: a part of --quick; ``named_only``: measured only where
    it is named. ``methods`` and ``rounds``: those it is worth its time with,
    where none are asked for. ``connections``: how many stand at once.
    ``peers``: whom it concerns, where not all. ``ceiling``: it says something
    without a relay, too.
    """

    name: str
    title: Callable[[Sizes], str]
    run: Callable[[Pair, Sizes], Sample]
    figures: Callable[[Sample, Sizes], dict[str, float]]
    columns: Sequence[Column]
    own_pair: bool = False
    arrangement: Arrangement = Arrangement.PAIR
    quick: bool = True
    named_only: bool = False
    methods: Sequence[str] | None = None
    rounds: int = 5
    connections: Callable[[Sizes], int] = lambda sizes: 1
    peers: Sequence[str] | None = None
    ceiling: bool = False
    notes: str = field(default="")


def by_end(sample: Sample, figure: str, unit: float) -> dict[str, float]:
    """``figure`` of every end and of all together, divided by ``unit``; empty where unknown."""
    each = {
        role: numbers[figure] / unit
        for role, numbers in sample["ends"].items()
        if figure in numbers
    }
    return {**each, "all": sum(each.values())} if each else {}


def named(prefix: str, figures: dict[str, float]) -> dict[str, float]:
    return {f"{prefix} {role}": value for role, value in figures.items()}


def each_end(key: str, title: str, decimals: int = 2) -> list[Column]:
    """A column for all ends together and one for each."""
    ends = (("all", "all ends"), ("server", "server"), ("local", "local"))
    return [Column(f"{key} {end}", f"{title}, {text}", decimals) for end, text in ends]
