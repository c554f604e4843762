"""What each of several processes has counted, in shared memory.

Of each process one counter of 8 bytes for each name in :data:`NAMES`. Each has one process that
writes it, from time to time, so there is nothing to lock.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from fastsocks import errors
from fastsocks.policy import Cap
from fastsocks.shared_memory import SharedMemory

from .dropped_datagrams import DROPS

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What is now, which ends with its process; all else is since the start.
GAUGES: Final = ("active", "relaying", "associations", "waiting", "connections", "handshakes")

_SUMS = (
    "accepted",
    "relays",
    "bytes_up",
    "bytes_down",
    "packets_up",
    "packets_down",
    "datagram_bytes_up",
    "datagram_bytes_down",
)

#: Begin the names of what is counted by reason, or by cap.
FAILED: Final = "failed."
DROPPED: Final = "dropped."
HIT: Final = "hit."

#: In the place of a reason that has no counter of its own.
_OTHER = "other"


def _statuses() -> set[str]:
    kinds = (one for one in vars(errors).values() if isinstance(one, type))
    return {one.status for one in kinds if issubclass(one, errors.FastsocksError)}


_FAILURES = sorted({*_statuses(), "limit", _OTHER})
_DROPS = sorted({*_statuses(), *DROPS, "closed", "no-client", "upstream", _OTHER})

#: Of all counters, in their order.
NAMES: Final = (
    *GAUGES,
    *_SUMS,
    *(FAILED + reason for reason in _FAILURES),
    *(DROPPED + reason for reason in _DROPS),
    *(HIT + cap.value for cap in Cap),
)

_PLACES = {name: place for place, name in enumerate(NAMES)}
_COUNTER_SIZE = 8

#: Other names are another layout.
_LAYOUT = zlib.crc32(" ".join(NAMES).encode())


class ProcessCounts:
    """Counters by process; see the module.

    Memory: less than 1 KB for each process.

    :param workers: how many processes there are, 1 or more.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        size = _COUNTER_SIZE * len(NAMES) * workers
        #: What holds them.
        self.memory = SharedMemory("counters", size, _LAYOUT)
        self._counters = memoryview(self.memory.map).cast("Q")
        self._before = [0] * len(NAMES)
        self._worker = 0

    def enter(self, worker: int) -> None:
        """Say which process this is, from 0 on; what its predecessors have counted stays."""
        self._worker = worker
        self.forget(worker)
        self._before = self._counters[self._of(worker)].tolist()

    def write(self, counts: Mapping[str, int]) -> None:
        """Note what this process has counted since it began."""
        found = list(self._before)
        for name, count in counts.items():
            place = _PLACES.get(name)
            if place is None:
                place = _PLACES[f"{name.partition('.')[0]}.{_OTHER}"]
            found[place] += count
        start = self._of(self._worker).start
        for place, count in enumerate(found):
            self._counters[start + place] = count

    def total(self) -> dict[str, int]:
        """Return the sums of what all processes have noted; names that have nothing left out."""
        counts = (
            (name, sum(self._counters[place :: len(NAMES)])) for name, place in _PLACES.items()
        )
        return {name: count for name, count in counts if count}

    def forget(self, worker: int) -> None:
        """Note that a process has died, and with it what it was at."""
        start = self._of(worker).start
        for place in range(len(GAUGES)):
            self._counters[start + place] = 0

    def _of(self, worker: int) -> slice:
        return slice(worker * len(NAMES), (worker + 1) * len(NAMES))
