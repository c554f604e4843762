"""What a user uses and may use, in pure Python; the twin of ``_meter.pyx``.

Where that adds to a word in one step, this holds a lock.
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager

from .meter_cell import (
    ACTIVE,
    BURST,
    BYTES,
    DATAGRAMS,
    FLAGS,
    GENERATION,
    HAS_QUOTA,
    LEAST_PIECE,
    LEFT,
    PIECES_PER_SECOND,
    RELAYS,
    SECOND,
    SPEED,
    STREAMS,
    UP_IS_FREE,
    set_limit,
    set_quota,
)


class Meter:
    """Counts what one user, or everybody, uses, and says what they may use.

    Directions: `up` is from the client.

    :param user: the name; None where users are not told apart.
    :param words: of memory that processes may share, cast to "Q".
    :param place: where in it the cell begins; see ``meter_cell.py``.
    :param worker: which of these processes this is, from 0 on.
    :param lock: held while words are changed, in this twin only, where several processes do; one
        that a process gives back by dying.
    :raises IndexError: the memory ends before the cell does.
    """

    __slots__ = ("_generation", "_lock", "_signed", "place", "user", "words", "worker")

    def __init__(
        self,
        user: str | None,
        words: memoryview,
        place: int,
        worker: int = 0,
        lock: AbstractContextManager[object] | None = None,
    ) -> None:
        if not 0 <= place < len(words) - ACTIVE - worker:
            raise IndexError(f"no cell begins at word {place}")
        self.user = user
        self.worker = worker
        self.words = words
        self._signed = words.cast("B").cast("q")
        self.place = place
        self._lock = lock or contextlib.nullcontext()
        self._generation = words[place + GENERATION]

    def spend(self, size: int, up: bool) -> bool:
        """Count payload, in bytes.

        :return: False if nothing was left of the quota; then it is not counted, and nobody may
            get it. What begins within the quota is counted and may pass as a whole.
        """
        words, place = self.words, self.place
        with self._lock:
            if self._has_quota(up):
                if self._signed[place + LEFT] <= 0:
                    return False
                self._signed[place + LEFT] -= size
            words[place + BYTES + (not up)] += size
        return True

    def pause(self, size: int, up: bool, now: float) -> float:
        """Have payload its turn under the speed limit.

        :param size: in bytes, spent before.
        :param now: the monotonic clock, in seconds.
        :return: seconds to wait before it is delivered, 0 for not at all. Nothing more may be read
            from there until it is.
        """
        time = int(now * SECOND)
        with self._lock:
            turn = self._take_turn(STREAMS, size, up, time)
        return max(0.0, (turn - time) / SECOND)

    def passes(self, size: int, up: bool, now: float) -> bool:
        """Tell whether the speed limit lets a datagram pass, and have it its turn then.

        :param size: of its payload, in bytes; to be spent only if it passes.
        :param now: the monotonic clock, in seconds.
        """
        time = int(now * SECOND)
        with self._lock:
            if not self.words[self.place + SPEED + (not up)]:
                return True
            if self.words[self.place + DATAGRAMS + (not up)] > time:
                return False
            self._take_turn(DATAGRAMS, size, up, time)
            self._take_turn(STREAMS, size, up, time)
        return True

    def _take_turn(self, kind: int, size: int, up: bool, time: int) -> int:
        words, place = self.words, self.place
        speed = words[place + SPEED + (not up)]
        if not speed:
            return time
        earliest = time - words[place + BURST]
        turn = max(words[place + kind + (not up)], earliest) + int(size * SECOND / speed)
        words[place + kind + (not up)] = turn
        return turn

    def piece(self, most: int, up: bool) -> int:
        """Return how many bytes to read at a time: `most`, and less under a limit."""
        speed = self.words[self.place + SPEED + (not up)]
        if speed:
            most = min(most, max(LEAST_PIECE, speed // PIECES_PER_SECOND))
        if self._has_quota(up):
            most = min(most, max(LEAST_PIECE, self._signed[self.place + LEFT]))
        return most

    def _has_quota(self, up: bool) -> bool:
        flags = self.words[self.place + FLAGS]
        return bool(flags & HAS_QUOTA and not (up and flags & UP_IS_FREE))

    def limited(self) -> bool:
        """Tell whether there is a speed limit, either way."""
        return any(self.words[self.place + SPEED : self.place + SPEED + 2])

    def begin(self) -> bool:
        """Count a relay that begins; False if the user was removed meanwhile."""
        words, place = self.words, self.place
        with self._lock:
            if self.removed:
                return False
            words[place + ACTIVE + self.worker] += 1
            words[place + RELAYS] += 1
        return True

    def end(self) -> None:
        """Take off one that has begun."""
        with self._lock:
            self.words[self.place + ACTIVE + self.worker] -= 1

    @property
    def removed(self) -> bool:
        """Whether the user was removed; ask for their meter anew then."""
        return self.words[self.place + GENERATION] != self._generation

    @property
    def quota(self) -> int | None:
        """Bytes that are left; None without a quota."""
        if not self.words[self.place + FLAGS] & HAS_QUOTA:
            return None
        return max(0, self._signed[self.place + LEFT])

    def exhausted(self, up: bool) -> bool:
        """Tell whether nothing is left for payload in that direction."""
        return self._has_quota(up) and self._signed[self.place + LEFT] <= 0

    def set_quota(self, size: int | None, *, up_is_free: bool = False) -> None:
        """Let the user have so many bytes from now on, in all processes.

        :param size: both ways together; None is no quota.
        :param up_is_free: only those to the user count.
        :raises ValueError: `size` is out of bounds.
        """
        set_quota(self.words, self.place, size, up_is_free=up_is_free)

    def limit(self, up: int | None = None, down: int | None = None, burst: float = 0.25) -> None:
        """Limit the user's speed from now on, in all processes.

        :param up: bytes a second, 1 or more, of streams and datagrams together; None is no limit.
        :param down: likewise.
        :param burst: seconds, up to 1: what was not used of so many may be caught up with.
        :raises ValueError: a parameter is out of bounds.
        """
        set_limit(self.words, self.place, up, down, burst)
