"""Which of several servers to use: by how long they take, and whether they are there.

Sans IO: whoever probes and dials says what came of it. The choice is made then, so that asking for
it costs nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: How much of the average a new measurement makes up.
_WEIGHT = 0.3

#: Another server has to take less than this part of the time, and so many seconds less, for it
#: to be worth a change: connections of one page had better come from one address.
_BETTER = 0.8
_LEAST_GAIN = 0.005

#: Seconds for which a server is left alone after its first failure; twice that after the next.
_FIRST_REST = 1.0
_LONGEST_REST = 60.0


class _Server:
    __slots__ = ("failures", "latency", "resting_until")

    def __init__(self) -> None:
        #: Average in seconds, weighted towards the latest; None while unknown.
        self.latency: float | None = None
        #: Since it was last there.
        self.failures = 0
        self.resting_until = 0.0


class Balancer:
    """What is known of some servers, by their number; the first one is used to begin with.

    :param count: how many there are, 1 or more.
    :param changed: is called with the numbers of the old and the new choice.
    :param clock: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        count: int,
        *,
        changed: Callable[[int, int], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        #: The server to use now.
        self.current = 0
        self._servers = [_Server() for _ in range(count)]
        self._changed = changed
        self._clock = clock

    def succeeded(self, number: int, seconds: float) -> None:
        """Note that a server answered.

        :param seconds: how long that took.
        """
        server = self._servers[number]
        server.failures = 0
        server.resting_until = 0.0
        if server.latency is None:
            server.latency = seconds
        else:
            server.latency += _WEIGHT * (seconds - server.latency)
        self._choose()

    def failed(self, number: int) -> None:
        """Note that a server did not answer."""
        server = self._servers[number]
        server.failures += 1
        rest = min(_FIRST_REST * 2 ** min(server.failures - 1, 10), _LONGEST_REST)
        server.resting_until = self._clock() + rest
        self._choose()

    def latency(self, number: int) -> float | None:
        """Return how long a server takes on the average, in seconds; None while unknown."""
        return self._servers[number].latency

    def failures(self, number: int) -> int:
        """Return how often in a row a server did not answer."""
        return self._servers[number].failures

    def resting(self, number: int) -> bool:
        """Tell whether a server that failed is to be left alone for now."""
        return self._servers[number].resting_until > self._clock()

    def others(self, number: int) -> list[int]:
        """Return the servers to try after one has failed, the best first; resting ones last."""
        found = [other for other in range(len(self._servers)) if other != number]
        return sorted(found, key=lambda other: (self.resting(other), self._rank(other)))

    def _rank(self, number: int) -> tuple[bool, float, int]:
        server = self._servers[number]
        latency = float("inf") if server.latency is None else server.latency
        return server.failures > 0, latency, number

    def _choose(self) -> None:
        best = min(range(len(self._servers)), key=self._rank)
        before, server = self.current, self._servers[self.current]
        if best == before:
            return
        latency = self._servers[best].latency
        if server.failures == 0 and (
            server.latency is None
            or latency is None
            or latency > _BETTER * server.latency
            or latency > server.latency - _LEAST_GAIN
        ):
            return
        if server.failures and self._servers[best].failures:
            # None is there: nothing would be won.
            return
        self.current = best
        if self._changed is not None:
            self._changed(before, best)
