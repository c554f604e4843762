"""What scenarios note of the ends of a pair around a load."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from . import load
from .process import settle
from .scenario import Pair, Sample, Sizes

# Descriptors that a process needs besides two for each connection it relays.
_OTHER_DESCRIPTORS = 600


class Meter:
    """CPU time of every end since begin(), and their memory."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._before: dict[str, dict[int, float]] = {}

    def begin(self) -> None:
        """Let the ends come to rest; count from now on."""
        processes = self._pair.processes()
        settle(processes)
        for process in processes:
            process.reset_peak()
        self._before = {role: end.cpu_seconds_each() for role, end in self._pair.ends.items()}

    def read(self, rest: bool = True) -> dict[str, dict[str, float]]:
        """The figures of each end, once they have come to rest (or, without ``rest``, now)."""
        if rest:
            settle(self._pair.processes())
        figures = {}
        for role, end in self._pair.ends.items():
            before = self._before[role]
            each = [now - before.get(pid, 0) for pid, now in end.cpu_seconds_each().items()]
            figures[role] = {
                "cpu_seconds": sum(each),
                "busiest_seconds": max(each),
                "resident": end.resident(),
                "peak_resident": end.peak_resident(),
            }
        return figures


def around(arguments: Callable[[Sizes], list[str]]) -> Callable[[Pair, Sizes], Sample]:
    """A scenario's run: CPU time and peak memory of every end around one load."""

    def run(pair: Pair, sizes: Sizes) -> Sample:
        meter = Meter(pair)
        meter.begin()
        outcome = load.run(arguments(sizes), pair.proxy, sizes.limit)
        return {"load": outcome, "ends": meter.read()}

    return run


@contextmanager
def resident_around(pair: Pair, sizes: Sizes, sample: Sample) -> Iterator[None]:
    """Note each end's resident bytes before (``rest``) and after (``kept``) in ``sample``."""
    processes = pair.processes()
    load.run(["pingpong", "--bytes", "1"], pair.proxy, sizes.limit)  # what is loaded on first use
    settle(processes)
    rest = {role: end.resident() for role, end in pair.ends.items()}
    ends = sample.setdefault("ends", {role: {} for role in pair.ends})
    yield
    settle(processes, 3.0)
    for role, end in pair.ends.items():
        ends[role].update(rest=rest[role], kept=end.resident())


def connections_possible(wanted: int) -> int:
    """``wanted``, or as many connections as the descriptor limit lets one process relay."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return wanted if limit == resource.RLIM_INFINITY else int(possible_within(limit, wanted))


def possible_within(limit: int, wanted: float) -> float:
    """``wanted``, or as many connections as ``limit`` descriptors are enough for."""
    return min(wanted, (limit - _OTHER_DESCRIPTORS) // 2)
