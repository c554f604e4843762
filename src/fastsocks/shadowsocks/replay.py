"""What remembers the salts of earlier connections."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable


class SaltStore:
    """The salts of the last while, exactly: no false positive and no early forgetting.

    SIP022 wants a request's salt refused for as long as its timestamp can pass. Memory: 190
    to 250 bytes per remembered salt of 32 bytes; 1,000 connections a second hold about 14 MB.
    Only salts of requests that opened with the key may be added; nobody else can fill it.

    :param retention: seconds that a salt is remembered. 62: stamps have whole seconds, so one
        dated 30 s ahead stays valid for up to 61.
    :param clock: monotonic time in seconds.
    """

    __slots__ = ("_clock", "_order", "_retention", "_salts")

    #: Expired salts forgotten per call. More than one, so that the store shrinks under load;
    #: a constant, so that no call pays for a burst of a minute ago.
    _FORGET_PER_CALL = 8

    def __init__(
        self, retention: float = 62.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._retention = retention
        self._clock = clock
        # Salt -> when it expires; `_order` holds the same salts, the oldest first.
        self._salts: dict[bytes, float] = {}
        self._order: deque[tuple[float, bytes]] = deque()

    def __len__(self) -> int:
        """How many salts are held, expired ones that were not yet forgotten included."""
        return len(self._salts)

    def add(self, salt: bytes) -> bool:
        """Remember `salt`.

        :return: False if it is remembered already; the time it was first seen then stands.
        """
        now = self._clock()
        self._forget(now)
        expiry = self._salts.get(salt)
        if expiry is not None and expiry > now:
            return False
        expiry = now + self._retention
        self._salts[salt] = expiry
        self._order.append((expiry, salt))
        return True

    def _forget(self, now: float) -> None:
        order, salts = self._order, self._salts
        for _ in range(self._FORGET_PER_CALL):
            if not order or order[0][0] > now:
                return
            expiry, salt = order.popleft()
            # A salt that came again after its expiry has a later entry of its own.
            if salts[salt] == expiry:
                del salts[salt]


class SaltFilter:
    """The last salts or IVs in bounded memory, for editions without a timestamp.

    Two generations, as all peers keep them: salts go into the current one, and when that holds
    half the capacity it becomes the previous one and a new one begins; so at least half and at
    most all of `capacity` are remembered. The sets are exact where peers use Bloom filters:
    no honest connection is ever refused by accident.

    Memory: with salts of 32 bytes, 65 bytes each and their share of a hash table. That is 107
    bytes a salt, 10.7 MB in all, at the default capacity, and never more than 175 a salt.

    :param capacity: how many salts are remembered at most.
    """

    __slots__ = ("_current", "_half", "_previous")

    def __init__(self, capacity: int = 100_000) -> None:
        if capacity < 2:
            raise ValueError("a filter holds at least 2 salts")
        self._half = capacity // 2
        self._current: set[bytes] = set()
        self._previous: set[bytes] = set()

    def __len__(self) -> int:
        """How many salts are remembered."""
        return len(self._current) + len(self._previous)

    def seen(self, salt: bytes) -> bool:
        """Return whether `salt` is remembered."""
        return salt in self._current or salt in self._previous

    def add(self, salt: bytes) -> None:
        """Remember `salt`."""
        if len(self._current) >= self._half:
            self._previous = self._current
            self._current = set()
        self._current.add(salt)
