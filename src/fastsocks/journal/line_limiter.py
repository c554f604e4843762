"""Which of many log lines are written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


class _Count:
    __slots__ = ("lines", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.lines = 0


class LineLimiter:
    """Lets a few of the lines that are alike pass, and not too many in all.

    Peers cause lines, and choose much of what makes them differ, so both are needed for the log
    to stay readable and the disk to stay free. How many were left out is never lost: it is
    told when the window in which it happened is over, at the next line or at :meth:`end`.

    :param alike: is called with a key and how many lines of it were left out.
    :param others: is called with how many lines of any kind were left out.
    :param burst: lines alike that pass within a window.
    :param most: lines that pass within a window in all; also bounds memory, to twice as many
        keys.
    :param window: seconds.
    :param clock: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        alike: Callable[[Hashable, int], None],
        others: Callable[[int], None],
        *,
        burst: int = 5,
        most: int = 200,
        window: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._alike = alike
        self._others = others
        self._burst = burst
        self._most = most
        self._window = window
        self._clock = clock
        # In the order in which their windows began.
        self._counts: dict[Hashable, _Count] = {}
        self._since = clock()
        self._passed = 0
        self._left_out = 0

    def passes(self, key: Hashable, times: int = 1) -> bool:
        """Tell whether a line may be written.

        :param key: equal for lines that are alike.
        :param times: how often that has happened of which the line tells; all of them count among
            the lines that were left out, if it does not pass.
        """
        now = self._clock()
        self._end_windows(now)
        count = self._counts.get(key)
        if count is not None and count.lines >= self._burst:
            count.lines += times
            return False
        if self._passed >= self._most:
            self._left_out += times
            return False
        self._passed += 1
        if count is None:
            count = self._counts[key] = _Count(now)
        count.lines += 1
        return True

    def end(self) -> None:
        """Tell all numbers that are still owed."""
        for key in list(self._counts):
            self._end_alike(key)
        self._end_all()

    def _end_windows(self, now: float) -> None:
        while self._counts:
            key, count = next(iter(self._counts.items()))
            if now - count.since < self._window:
                break
            self._end_alike(key)
        if now - self._since >= self._window:
            self._end_all()
            self._since = now

    def _end_alike(self, key: Hashable) -> None:
        left_out = self._counts.pop(key).lines - self._burst
        if left_out > 0:
            self._alike(key, left_out)

    def _end_all(self) -> None:
        self._passed = 0
        left_out, self._left_out = self._left_out, 0
        if left_out:
            self._others(left_out)
