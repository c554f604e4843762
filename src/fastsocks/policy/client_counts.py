"""How many connections each client has at every one of several processes, in shared memory.

    header   64 bytes: a secret key, 16 bytes; free
    totals   of each kind one counter for each process
    cells    2 rows of 16,384 columns; in each column, of each kind one counter for each process

A counter has 4 bytes and one process that writes it; so there is nothing to lock, and what a dead
process has left there can be wiped. A client has one column in each row, chosen by its name and
the key, and shares it with those that happen to be there too; of the two columns the one that
counts less is believed. So no client counts too little, however many there are; too much only
where both columns hold a client that is itself near a cap: one in 268 million for each of those.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from fastsocks.shared_memory import SharedMemory

if TYPE_CHECKING:
    from collections.abc import Callable

#: Version of all this.
_LAYOUT = 1

#: Of the header, in bytes.
_HEADER_SIZE = 64
_KEY_SIZE = 16
_COUNTER_SIZE = 4
_ROWS = 2
_COLUMNS = 1 << 14

#: Where the counters of one client begin, a place in each row.
Places: TypeAlias = tuple[int, int]


#: What is counted; plain integers because they are used for every connection.
CONNECTIONS: Final = 0
HANDSHAKES: Final = 1
_KINDS: Final = 2

#: Clients whose places are remembered, since finding them takes a while.
_REMEMBERED = 4096


class ClientCounts:
    """Connections by process and client; see the module.

    Memory: 256 KB for each process, page by page as it is written to.

    :param workers: how many processes there are, 1 or more.
    :param descriptor: that of the :attr:`memory` of another process; by default it is new.
    :raises ValueError: that is another memory; see :class:`fastsocks.shared_memory.SharedMemory`.
    """

    def __init__(self, workers: int, descriptor: int | None = None) -> None:
        #: What holds them.
        self.memory = SharedMemory("clients", _memory_size(workers), _LAYOUT, descriptor=descriptor)
        memory = self.memory.map
        if not any(memory[:_KEY_SIZE]):
            memory[:_KEY_SIZE] = os.urandom(_KEY_SIZE)
        self._workers = workers
        self._own: tuple[int, ...] = ()
        self.enter(0)
        self._key = memory[:_KEY_SIZE]
        self._counters = memoryview(memory)[_HEADER_SIZE:].cast("I")
        #: Returns where a client, given by its name, is counted.
        self.places: Callable[[str], Places] = lru_cache(_REMEMBERED)(self._places)

    def enter(self, worker: int) -> None:
        """Say which process this is, from 0 on."""
        self._own = tuple(kind * self._workers + worker for kind in range(_KINDS))

    def _places(self, client: str) -> Places:
        import hashlib  # of no use to a process that serves alone

        digest = hashlib.blake2b(client.encode(), key=self._key, digest_size=4).digest()
        column = _KINDS * self._workers
        first = int.from_bytes(digest[:2], "little") % _COLUMNS
        second = int.from_bytes(digest[2:], "little") % _COLUMNS
        return column * (1 + first), column * (1 + _COLUMNS + second)

    def add(self, places: Places, kind: int, change: int) -> None:
        """Count what has come (1) or gone (-1) in this process."""
        counters, own = self._counters, self._own[kind]
        first, second = places
        counters[own] += change
        counters[first + own] += change
        counters[second + own] += change

    def elsewhere(self, kind: int, place: int = 0) -> int:
        """Return how many there are in the other processes, at one place or in all."""
        counters = self._counters
        start = place + kind * self._workers
        return sum(counters[start : start + self._workers]) - counters[place + self._own[kind]]

    def elsewhere_of(self, places: Places, kind: int) -> int:
        """Return how many of a client there are in the other processes."""
        first, second = places
        return min(self.elsewhere(kind, first), self.elsewhere(kind, second))

    def forget(self, worker: int) -> None:
        """Wipe what a process has counted, which has died."""
        count = len(self._counters) // self._workers
        self._counters[worker :: self._workers] = memoryview(bytes(4 * count)).cast("I")


def _memory_size(workers: int) -> int:
    """Return the bytes that the counts of this many processes take."""
    if workers < 1:
        raise ValueError(f"{workers} workers")
    return _HEADER_SIZE + _COUNTER_SIZE * _KINDS * workers * (1 + _ROWS * _COLUMNS)
