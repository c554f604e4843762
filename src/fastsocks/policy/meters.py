"""What each user of a service uses and may use, in memory that its processes share.

    header   64 bytes: how many cells there are, how often one was taken back or given to another
             user, and how many are free; 8 bytes each
    cells    one for each user; see ``relay/meter_cell.py``

A user gets a cell at the first use, in whatever process that is; under a lock, so that nobody has
two. One that is removed leaves it to another once no relay is left there, in any process.
"""

from __future__ import annotations

import contextlib
import mmap
from typing import TYPE_CHECKING, NamedTuple

from fastsocks.relay import Meter
from fastsocks.relay.meter_cell import (
    ACTIVE,
    BYTES,
    GENERATION,
    NAME,
    NAME_LENGTH,
    NAME_SIZE,
    RELAYS,
)
from fastsocks.shadowsocks.process_lock import ProcessLock
from fastsocks.shared_memory import SharedMemory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

#: Version of the memory.
_LAYOUT = 2

#: In words of 8 bytes.
_HEADER = 8
_CELLS = 0
_CHANGES = 1
_FREE = 2

#: Cells that there are at least; the kernel gives their memory as they are used.
_LEAST_ROOM = 1 << 16


class Usage(NamedTuple):
    """What one user has used."""

    #: Relays begun, those that run included.
    relays: int
    #: Relays that run now.
    active: int
    #: Payload from the user, in bytes.
    bytes_up: int
    #: Payload to the user, in bytes.
    bytes_down: int


NOTHING = Usage(0, 0, 0, 0)

#: What a cell holds that is given to somebody, but for its generation and relays.
_NO_USER = memoryview(bytes(8 * (ACTIVE - GENERATION - 1))).cast("Q")


class Meters:
    """Usage by user name, live and of all processes; and the meters that count it.

    None is the name of those who have none. Memory: 376 bytes for each user, as they come, and 8
    for each process of them.

    :param users: those that are known beforehand. There is room for twice as many, and 65,536 at
        least; who comes later, or has a name of more than 256 bytes, counts in one process only.
    :param workers: how many processes share it, 1 or more; None is this process alone.
    """

    def __init__(self, users: Iterable[str] = (), workers: int | None = None) -> None:
        self._room = max(_LEAST_ROOM, 2 * len(tuple(users)))
        # In words.
        self._cell = ACTIVE + (workers or 1)
        self._worker = 0
        size = 8 * (_HEADER + self._room * self._cell)
        #: What holds the cells, where processes share them.
        self.memory = None if workers is None else SharedMemory("users", size, _LAYOUT)
        self._map = mmap.mmap(-1, size) if self.memory is None else self.memory.map
        self._words = memoryview(self._map).cast("Q")
        self._lock: AbstractContextManager[object]
        self._lock = contextlib.nullcontext() if workers is None else ProcessLock()
        self._meters: dict[str | None, Meter] = {}
        # As far as this process knows them: the generations of cells, and how often they changed.
        self._generations: list[int] = []
        self._changes = 0

    def of(self, user: str | None) -> Meter:
        """Return the meter of a user, for a relay that begins now, or to set limits."""
        meter = self._meters.get(user)
        return self._give(user) if meter is None or meter.removed else meter

    def remove(self, user: str | None) -> None:
        """Forget a user and what was used; who comes by that name again is another one."""
        self._look()
        meter = self._meters.pop(user, None)
        if meter is not None and not meter.removed:
            with self._lock:
                meter.words[meter.place + GENERATION] += 1
                if meter.words is self._words:
                    self._words[_CHANGES] += 1
                    self._words[_FREE] += 1

    def enter(self, worker: int) -> None:
        """Say which of the processes this is, from 0 on."""
        self._worker = worker
        for meter in self._meters.values():
            meter.worker = worker

    def forget(self, worker: int) -> None:
        """Note that a process has died, and with it its relays; what they carried stays."""
        for number in range(self._words[_CELLS]):
            self._words[self._place(number) + ACTIVE + worker] = 0

    def __getitem__(self, user: str | None) -> Usage:
        """Return what `user` has used; zeros for one who has used nothing."""
        self._look()
        meter = self._meters.get(user)
        if meter is None or meter.removed:
            return NOTHING
        words, place = meter.words, meter.place
        active = sum(words[place + ACTIVE : place + self._cell])
        return Usage(words[place + RELAYS], active, words[place + BYTES], words[place + BYTES + 1])

    def __iter__(self) -> Iterator[str | None]:
        """Users who have used anything."""
        self._look()
        return iter([user for user in self._meters if self[user] != NOTHING])

    def __len__(self) -> int:
        return len(tuple(iter(self)))

    def items(self) -> Iterator[tuple[str | None, Usage]]:
        """Users who have used anything, and what."""
        return ((user, self[user]) for user in self)

    def _place(self, number: int) -> int:
        return _HEADER + number * self._cell

    def _look(self) -> None:
        """Find out which cells were given out and taken back, in whatever process."""
        words = self._words
        if words[_CELLS] != len(self._generations) or words[_CHANGES] != self._changes:
            with self._lock:
                self._catch_up()

    def _catch_up(self) -> None:
        words, known = self._words, self._generations
        first = len(known) if words[_CHANGES] == self._changes else 0
        start = self._place(first) + GENERATION
        found = words[start : self._place(words[_CELLS]) : self._cell].tolist()
        before = known[first:]
        known[first:] = found
        self._changes = words[_CHANGES]
        for number, generation in enumerate(found):
            if not generation & 1 and before[number : number + 1] != [generation]:
                place = self._place(first + number)
                user = self._name(place)
                self._meters[user] = Meter(user, words, place, self._worker, self._lock)

    def _name(self, place: int) -> str | None:
        length, start = self._words[place + NAME_LENGTH], 8 * (place + NAME)
        if not length:
            return None
        return self._map[start : start + length - 1].decode("utf-8", "surrogatepass")

    def _give(self, user: str | None) -> Meter:
        """Give a user a cell, unless there is one now."""
        name = b"" if user is None else user.encode("utf-8", "surrogatepass")
        words = self._words
        with self._lock:
            self._catch_up()
            meter = self._meters.get(user)
            if meter is not None and not meter.removed:
                return meter
            number = self._free_cell()
            if number is None or len(name) > NAME_SIZE:
                alone = memoryview(bytearray(8 * self._cell)).cast("Q")
                meter = self._meters[user] = Meter(user, alone, 0, self._worker, self._lock)
                return meter
            place = self._place(number)
            words[place + GENERATION + 1 : place + ACTIVE] = _NO_USER
            words[place + NAME_LENGTH] = len(name) + (user is not None)
            self._map[8 * (place + NAME) : 8 * (place + NAME) + len(name)] = name
            if number == words[_CELLS]:
                words[_CELLS] += 1
            else:
                words[place + GENERATION] += 1
                words[_CHANGES] += 1
                words[_FREE] -= 1
            self._catch_up()
            return self._meters[user]

    def _free_cell(self) -> int | None:
        """Return the number of a cell that nobody uses, if there is one."""
        words = self._words
        if words[_FREE]:
            for number, generation in enumerate(self._generations):
                place = self._place(number)
                # A relay that begins meanwhile takes back what it has counted; see Meter.begin.
                if generation & 1 and not any(words[place + ACTIVE : place + self._cell]):
                    return number
        return words[_CELLS] if words[_CELLS] < self._room else None
