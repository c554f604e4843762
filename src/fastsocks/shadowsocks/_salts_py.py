"""The salts of earlier connections and packets in pure Python; the twin of ``_salts.pyx``."""

from __future__ import annotations

import contextlib
import mmap
import secrets
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from ..errors import ReplayError
from .salt_memory import (
    BUCKET_SIZE,
    FINGERPRINT_SIZE,
    HEADER_SIZE,
    SLOTS,
    TIME_SLACK,
    TIME_WRAPS,
    bucket_bits,
    take_memory,
)

_LITTLE = sys.byteorder == "little"
#: Where in a slot its fingerprint, and the byte with its lap, are.
_FINGERPRINT_AT = 2 if _LITTLE else 0
_LAP_AT = 0 if _LITTLE else 7

_LAPS = bytes(value & 1 for value in range(256))
_WORD = 2**64 - 1
_FINGERPRINT = 2**48 - 1


class SaltFilter:
    """Remembers the salts or IVs of the last while in bounded memory.

    Salts are random, so that their first 8 bytes tell them apart: an honest one is refused by
    accident once in 10**12. They are kept in buckets of 64, chosen by a secret multiplication, in
    each of which a new salt takes the place of the oldest. Of a filter for n salts that is once in
    2 million times one of the last n/2, and never one of the last n/4.

    With `retention` no salt is forgotten early. Where its bucket has 64 that must be kept, a new
    salt is refused instead; for a filter of a million that takes 8,000 salts a second for a minute,
    and hits 1 in 9 million then.

    Memory: 8 bytes a salt, taken from the kernel page by page as buckets are first used. Processes
    can share it: what one of them adds is seen by all, and of several that add the same salt at
    once one is told that it is new.

    :param capacity: how many salts; rounded up to 64 times a power of two.
    :param retention: seconds for which a salt is remembered at least, and 1 more at most; up to
        3600. None: until others push it out.
    :param memory: as many bytes as :func:`.salt_memory.memory_size` says, zeros or what a filter
        with the same parameters has left there; by default new ones, which processes made by fork
        share.
    :param lock: held while a salt is added, in this twin only, where several processes add; one
        that a process gives back by dying.
    :param clock: monotonic time in seconds, the same in all processes.
    :raises ValueError: a parameter is out of bounds.
    """

    __slots__ = ("_bits", "_clock", "_lock", "_memory", "_multiplier", "_retention", "_words")

    def __init__(
        self,
        capacity: int,
        retention: int | None = None,
        *,
        memory: mmap.mmap | None = None,
        lock: AbstractContextManager[object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if retention is not None and not 0 < retention <= 3600:
            raise ValueError(f"a retention of {retention} s, not of 1 to 3600")
        self._bits = bucket_bits(capacity)
        self._memory = take_memory(capacity, memory)
        self._words = memoryview(self._memory).cast("Q")
        self._lock = lock or contextlib.nullcontext()
        self._retention = retention
        self._clock = clock
        with self._lock:
            if not self._words[0]:
                # Secret, so that nobody can choose salts that crowd together in a bucket.
                self._words[0] = secrets.randbits(64) | 1
            self._multiplier = self._words[0]

    def seen(self, salt: bytes) -> bool:
        """Return whether `salt`, of 8 bytes or more, is remembered.

        :raises ValueError: it is shorter.
        """
        start, fingerprint = self._place(salt)
        return self._holds(start, fingerprint, int(self._clock()))

    def add(self, salt: bytes) -> bool:
        """Remember `salt`, of 8 bytes or more.

        :return: False if it is remembered already; the time it was first seen then stands.
        :raises ReplayError: there is no room for it.
        :raises ValueError: it is shorter.
        """
        start, fingerprint = self._place(salt)
        with self._lock:
            now = int(self._clock())
            if self._holds(start, fingerprint, now):
                return False
            laps = self._memory[start + _LAP_AT : start + BUCKET_SIZE : 8].translate(_LAPS)
            oldest = laps.find(1 - laps[0])
            lap = laps[0]
            if oldest < 0:
                oldest, lap = 0, 1 - lap
            word = start // 8
            if self._retention is None:
                now = 0
            elif self._alive(self._words[word + oldest], now) and all(
                self._alive(slot, now) for slot in self._words[word : word + SLOTS]
            ):
                raise ReplayError("too many requests within a minute to remember the salt of one")
            stamp = now % TIME_WRAPS << 1 | lap
            self._words[word + oldest] = fingerprint << 16 | stamp
        return True

    def _place(self, salt: bytes) -> tuple[int, int]:
        """Return where the bucket of `salt` begins, and what marks it there."""
        if len(salt) < FINGERPRINT_SIZE:
            raise ValueError(f"a salt of {len(salt)} bytes, too short to be told from others")
        product = int.from_bytes(salt[:FINGERPRINT_SIZE], sys.byteorder) * self._multiplier & _WORD
        bucket = product >> 1 >> 63 - self._bits
        return HEADER_SIZE + bucket * BUCKET_SIZE, product & _FINGERPRINT or 1

    def _holds(self, start: int, fingerprint: int, now: int) -> bool:
        mark = fingerprint.to_bytes(6, sys.byteorder)
        end = start + BUCKET_SIZE
        found = self._memory.find(mark, start, end)
        while found >= 0:
            place = found - _FINGERPRINT_AT
            if place % 8 == 0 and self._alive(self._words[place // 8], now):
                return True
            found = self._memory.find(mark, found + 1, end)
        return False

    def _alive(self, slot: int, now: int) -> bool:
        if self._retention is None:
            return slot != 0
        age = (now - (slot >> 1)) % TIME_WRAPS
        return slot != 0 and (age <= self._retention or age >= TIME_WRAPS - TIME_SLACK)
