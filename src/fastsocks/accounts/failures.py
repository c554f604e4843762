"""How often each client may try to log in."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


#: Seconds between two tries of a client that is shut out.
_TRY_INTERVAL = 1.0


class _Failures:
    __slots__ = ("next_try", "pairs", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        #: When the client, shut out, may try once more.
        self.next_try = 0.0
        self.pairs: set[bytes] = set()


class FailedLogins:
    """Wrong pairs of user name and password, by client, within a window of time.

    The same pair again does not count, so that an application with an old password, which tries
    that for ever, locks nobody out who shares its address.

    :param most: different pairs of one client within a window; with them the client is shut out
        for the rest of it, but for one try a second.
    :param window: seconds, from the client's first failure.
    :param capacity: clients that are remembered; the oldest goes first.
    :param clock: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        *,
        most: int = 10,
        window: float = 60.0,
        capacity: int = 4096,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.most = most
        self.window = window
        self._capacity = capacity
        self._clock = clock
        # In the order in which their windows began.
        self._clients: dict[str, _Failures] = {}

    def __len__(self) -> int:
        return len(self._clients)

    def shut_out(self, client: str) -> bool:
        """Tell whether a client has failed too often to be listened to."""
        failures = self._current(client)
        return failures is not None and len(failures.pairs) >= self.most

    def may_try_again(self, client: str) -> bool:
        """Tell whether a client that is shut out has a try, and take it."""
        failures = self._current(client)
        now = self._clock()
        if failures is None or now >= failures.next_try:
            if failures is not None:
                failures.next_try = now + _TRY_INTERVAL
            return True
        return False

    def known(self, client: str, pair: bytes) -> bool:
        """Tell whether this pair of the client is among those that were wrong."""
        failures = self._current(client)
        return failures is not None and pair in failures.pairs

    def add(self, client: str, pair: bytes) -> bool:
        """Note a failure.

        :param pair: what stands for user name and password.
        :return: whether it has just shut the client out.
        """
        failures = self._current(client)
        if failures is None:
            while len(self._clients) >= self._capacity:
                del self._clients[next(iter(self._clients))]
            failures = self._clients[client] = _Failures(self._clock())
        if pair in failures.pairs or len(failures.pairs) >= self.most:
            return False
        failures.pairs.add(pair)
        failures.next_try = self._clock() + _TRY_INTERVAL
        return len(failures.pairs) == self.most

    def clear(self) -> None:
        """Forget all."""
        self._clients.clear()

    def _current(self, client: str) -> _Failures | None:
        failures = self._clients.get(client)
        if failures is None or self._clock() - failures.since < self.window:
            return failures
        del self._clients[client]
        return None
