"""The salts of earlier connections and packets in pure Python; the twin of ``_salts.pyx``."""

from __future__ import annotations

import contextlib
import mmap
import sys
import threading
from contextlib import AbstractContextManager

from ..errors import ReplayError
from .process_lock import ProcessLock
from .salt_memory import (
    BUCKET_SIZE,
    HEADER_SIZE,
    SLOTS,
    TIME_SLACK,
    TIME_WRAPS,
    bucket_bits,
    clock_set_back,
    memory_size,
    take_memory,
)

_LITTLE = sys.byteorder == "little"
#: Where in a slot its mark, and the byte with its lap, are.
_MARK_AT = 2 if _LITTLE else 0
_LAP_AT = 0 if _LITTLE else 7

_LAPS = bytes(value & 1 for value in range(256))
_MARK = 2**48 - 1


class SaltFilter:
    """Remembers the salts or IVs of the last while in bounded memory, by their fingerprints.

    A fingerprint is a keyed hash of 64 bits, of which 62 and more count: an honest salt is refused
    by accident once in 10**12. They are kept in buckets of 64, in each of which a new one takes the
    place of the oldest. Of a filter for n salts one of the last n/2 is missing once in 2 million
    times, and one of the last n/4 never.

    With `retention` none is forgotten early. Where its bucket has 64 that must be kept, a new
    salt is refused instead; for a filter of a million that takes 6,900 salts a second for a minute,
    and hits 1 in 9 million then. So is one that comes at a time more than 5 s before that of an
    earlier one: the clock was set back, and salts that are forgotten may be valid again.

    Memory: 8 bytes a salt, taken from the kernel page by page as buckets are first used. Processes
    can share it: what one of them adds is seen by all, and of several that add the same salt at
    once one is told that it is new.

    :param capacity: how many salts; rounded up to 64 times a power of two.
    :param retention: seconds for which a salt is remembered, and 1 more at most; up to 3600. None:
        until others push it out.
    :param memory: as many bytes as :func:`.salt_memory.memory_size` says, zeros or what a filter
        with the same parameters has left there; by default new ones, which processes made by fork
        share.
    :param lock: held while a salt is added, in this twin only, where several threads or processes
        add; one that a process gives back by dying.
    :raises ValueError: a parameter is out of bounds.
    """

    __slots__ = ("_bits", "_lock", "_memory", "_retention", "_words")

    def __init__(
        self,
        capacity: int,
        retention: int | None = None,
        *,
        memory: mmap.mmap | None = None,
        lock: AbstractContextManager[object] | None = None,
    ) -> None:
        if retention is not None and not 0 < retention <= 3600:
            raise ValueError(f"a retention of {retention} s, not of 1 to 3600")
        self._bits = bucket_bits(capacity)
        self._memory = take_memory(memory_size(capacity), memory)
        self._words = memoryview(self._memory).cast("Q")
        self._lock = lock or contextlib.nullcontext()
        self._retention = retention

    def seen(self, fingerprint: int, now: float = 0) -> bool:
        """Return whether a salt of that fingerprint is remembered.

        :param fingerprint: a hash of 64 bits.
        :param now: Unix time in seconds; of no account without a retention.
        """
        return self._holds(*self._place(fingerprint), int(now))

    def add(self, fingerprint: int, now: float = 0) -> bool:
        """Remember a salt.

        :param fingerprint: as for :meth:`seen`.
        :param now: likewise.
        :return: False if it is remembered already; the time it was first seen then stands.
        :raises ReplayError: there is no room for it, or `now` lies too far back.
        """
        start, mark = self._place(fingerprint)
        now = int(now)
        with self._lock:
            if self._holds(start, mark, now):
                return False
            laps = self._memory[start + _LAP_AT : start + BUCKET_SIZE : 8].translate(_LAPS)
            oldest = laps.find(1 - laps[0])
            lap = laps[0]
            if oldest < 0:
                oldest, lap = 0, 1 - lap
            word = start // 8
            if self._retention is None:
                now = 0
            else:
                if not pass_time(self._words, now):
                    raise clock_set_back(self._words[0] - now)
                kept = self._retention + 2 * TIME_SLACK
                if all(_alive(slot, kept, now) for slot in self._words[word : word + SLOTS]):
                    raise ReplayError(
                        "too many requests within a minute to remember the salt of one"
                    )
            stamp = now % TIME_WRAPS << 1 | lap
            self._words[word + oldest] = mark << 16 | stamp
        return True

    def _place(self, fingerprint: int) -> tuple[int, int]:
        """Return where the bucket of a salt begins, and what marks it there."""
        bucket = fingerprint >> 1 >> 63 - self._bits
        return HEADER_SIZE + bucket * BUCKET_SIZE, fingerprint & _MARK or 1

    def _holds(self, start: int, mark: int, now: int) -> bool:
        wanted = mark.to_bytes(6, sys.byteorder)
        end = start + BUCKET_SIZE
        found = self._memory.find(wanted, start, end)
        while found >= 0:
            place = found - _MARK_AT
            if place % 8 == 0 and _alive(self._words[place // 8], self._retention, now):
                return True
            found = self._memory.find(wanted, found + 1, end)
        return False


def new_lock() -> AbstractContextManager[object] | None:
    """Make the lock of memory that processes share; None where it needs none."""
    return threading.Lock() if sys.platform == "win32" else ProcessLock()


def pass_time(words: memoryview, now: int) -> bool:
    """Note `now` as the latest time, the first of `words`; False where it lies too far back."""
    latest: int = words[0]
    if now < latest - TIME_SLACK:
        return False
    words[0] = max(latest, now)
    return True


def _alive(slot: int, retention: int | None, now: int) -> bool:
    if retention is None:
        return slot != 0
    age = (now - (slot >> 1)) % TIME_WRAPS
    return slot != 0 and (age <= retention or age >= TIME_WRAPS - TIME_SLACK)
