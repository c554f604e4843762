"""What a scenario is, and how the figures of the ends of a pair are put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    datagram_rate: int = 5000  # datagrams a second, all associations together
    limit: int = 120  # seconds any one load may take


FULL = Sizes(1_000_000_000, 2000, 32, 5000, 500, 200_000, 3, 4000, 5_000)
QUICK = Sizes(100_000_000, 500, 32, 1000, 100, 200_000, 1, 1000, 2_500)


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


class Arrangement(Enum):
    """Which ends of a relay are the measured peer's; the other end is the same for all."""

    PAIR = "both ends, TCP"
    SERVER = "the server end, with UDP"
    LOCAL = "the local end, with UDP"


@dataclass(frozen=True)
class Scenario:
    """``columns[0]`` is the figure that peers are compared by; less is better.

    ``own_pair``: run on a pair started for it alone, because what ran before
    would show in its memory figures. ``arrangement``: which ends are the
    peer's. ``quick``: a part of --quick.
    """

    name: str
    title: Callable[[Sizes], str]
    run: Callable[[Pair, Sizes], Sample]
    figures: Callable[[Sample, Sizes], dict[str, float]]
    columns: Sequence[Column]
    own_pair: bool = False
    arrangement: Arrangement = Arrangement.PAIR
    quick: bool = True
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
