"""How many look-ups are under way, and whose turn is next."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from fastsocks.errors import ResolveError

if TYPE_CHECKING:
    from collections.abc import Callable

#: What one client may have of all places, and of all that wait.
PART = 4


class _Client:
    __slots__ = ("in_line", "running", "waiting")

    def __init__(self) -> None:
        self.running = 0
        self.waiting: deque[Callable[[], bool]] = deque()
        #: Whether it has an entry among those that wait for a place.
        self.in_line = False


class FairShare:
    """Places for look-ups, of which one client has a quarter at most.

    A place that becomes free goes to the client that has fewest, so that whoever has none waits
    behind nobody's queue. As many as four times the places may wait.

    :param most: how many there are.
    :param per_client: the most that one client has, where that is less than a quarter; 0 is that.
    :param queued: is called with the client each time that one has to wait for an end of its own.
    """

    def __init__(
        self, most: int, per_client: int = 0, queued: Callable[[str], None] | None = None
    ) -> None:
        part = max(most // PART, 1)
        self._most = most
        self._per_client = min(per_client or part, part)
        self._queued = queued
        self._clients: dict[str, _Client] = {}
        self._running = 0
        self._waiting = 0
        # Who waits and could have a place: how many it has, a number that never repeats, whose.
        self._line: list[tuple[int, int, str]] = []
        self._number = 0

    def __len__(self) -> int:
        return len(self._clients)

    def take(self, client: str) -> bool:
        """Take a place for a client, and tell whether there is one; :meth:`give_back` frees it."""
        found = self._clients.get(client)
        if self._running >= self._most:
            return False
        if found is None:
            found = self._clients[client] = _Client()
        elif found.running >= self._per_client:
            return False
        found.running += 1
        self._running += 1
        return True

    def wait(self, client: str, begin: Callable[[], bool]) -> None:
        """Let a client that could take none wait for its turn.

        :param begin: is called then; returns whether the place is still wanted.
        :raises ResolveError: too many wait already.
        """
        found = self._clients.get(client)
        if found is None:
            found = self._clients[client] = _Client()
        most = self._most * PART
        if self._waiting >= most or len(found.waiting) >= max(most // PART, 1):
            self._forget_idle(client, found)
            raise ResolveError("too many names wait to be looked up")
        if found.running >= self._per_client and self._queued is not None:
            self._queued(client)
        found.waiting.append(begin)
        self._waiting += 1
        self._line_up(client, found)

    def give_back(self, client: str) -> None:
        """Free a place of a client, and hand it to whose turn it is."""
        found = self._clients[client]
        found.running -= 1
        self._running -= 1
        self._line_up(client, found)
        self._forget_idle(client, found)
        while self._line and self._running < self._most:
            self._serve_first()

    def _line_up(self, client: str, found: _Client) -> None:
        if found.waiting and not found.in_line and found.running < self._per_client:
            found.in_line = True
            self._number += 1
            heappush(self._line, (found.running, self._number, client))

    def _serve_first(self) -> None:
        running, _, client = heappop(self._line)
        found = self._clients[client]
        found.in_line = False
        if found.running <= running and found.waiting:
            begin = found.waiting.popleft()
            self._waiting -= 1
            found.running += 1
            self._running += 1
            if not begin():
                found.running -= 1
                self._running -= 1
        self._line_up(client, found)
        self._forget_idle(client, found)

    def _forget_idle(self, client: str, found: _Client) -> None:
        if not (found.running or found.waiting or found.in_line):
            del self._clients[client]
