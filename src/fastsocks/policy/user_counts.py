"""What each user has used at every one of several processes, in shared memory.

Of each user and process four counters of 8 bytes: relays, active ones, bytes up, bytes down. Each
has one process that writes it, from time to time, so there is nothing to lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fastsocks.shared_memory import SharedMemory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Version of all this.
_LAYOUT = 1

_COUNTER_SIZE = 8


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

    def and_of(self, other: Usage) -> Usage:
        """Return the sum of both."""
        return Usage(*map(sum, zip(self, other, strict=True)))


NOTHING = Usage(0, 0, 0, 0)


class UserCounts:
    """Usage by process and user; see the module.

    Memory: 32 bytes for each user and process.

    :param users: their names; who is not among them is counted in one process only.
    :param workers: how many processes there are, 1 or more.
    """

    def __init__(self, users: Iterable[str], workers: int) -> None:
        #: Which process this is, from 0 on.
        self.worker = 0
        self._workers = workers
        self._places = {
            user: number * workers * len(Usage._fields) for number, user in enumerate(users)
        }
        size = _COUNTER_SIZE * len(Usage._fields) * workers * len(self._places)
        #: What holds them.
        self.memory = SharedMemory("users", max(size, 1), _LAYOUT)
        self._counters = memoryview(self.memory.map)[:size].cast("Q")

    def __contains__(self, user: str | None) -> bool:
        return user in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def write(self, user: str, usage: Usage) -> None:
        """Note what a user has used in this process, its predecessors included."""
        place = self._place(user, self.worker)
        for number, count in enumerate(usage):
            self._counters[place + number] = count

    def read(self, user: str, worker: int) -> Usage:
        """Return what a process has noted of a user."""
        place = self._place(user, worker)
        return Usage(*self._counters[place : place + len(Usage._fields)])

    def elsewhere(self, user: str) -> Usage:
        """Return what a user has used in the other processes."""
        total = NOTHING
        for worker in range(self._workers):
            if worker != self.worker:
                total = total.and_of(self.read(user, worker))
        return total

    def forget(self, worker: int) -> None:
        """Note that a process has died, and with it its relays; what they carried stays."""
        for user in self._places:
            self._counters[self._place(user, worker) + 1] = 0

    def _place(self, user: str, worker: int) -> int:
        return self._places[user] + worker * len(Usage._fields)
