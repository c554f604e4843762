"""What the services share: a line in the log for each failed connection."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

from fastsocks.errors import (
    IdleTimeoutError,
    ResetError,
    StoppedError,
    TruncatedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsocks.address import Address
    from fastsocks.errors import FastsocksError
    from fastsocks.request import Request

    from .interfaces import Inbound, Peer, Route

#: Ends that come with the life of a network, and are nobody's problem.
_ORDINARY = (ResetError, IdleTimeoutError, StoppedError)


class _Key(NamedTuple):
    message: str
    host: str
    target: Address | None


class _Count:
    __slots__ = ("lines", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.lines = 0


class ReportingService(ABC):
    """A service that writes one line per failed connection, and few where many are alike.

    Lines are alike if they tell the same reason, client host and target.

    :param log: takes the lines, at WARNING; at DEBUG what is no problem: resets, idle and
        stopped connections, and clients that leave before they ask for anything.
    :param burst: how many lines alike are written within `window` seconds; of the others
        the number follows when the window is over.
    :param clock: seconds of a clock that never goes back.
    """

    #: How many kinds of lines are told apart at a time.
    SIZE = 1024

    def __init__(
        self,
        log: logging.Logger,
        *,
        burst: int = 5,
        window: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._burst = burst
        self._window = window
        self._clock = clock
        self._counts: dict[_Key, _Count] = {}

    @abstractmethod
    def inbound(self, peer: Peer) -> Inbound:
        """Make the Inbound of a connection accepted from `peer`."""

    @abstractmethod
    def route(self, request: Request, peer: Peer) -> Route:
        """Decide where a request goes.

        :raises PolicyError: the rules refuse it.
        """

    def report(self, error: FastsocksError, peer: Peer, target: Address | None) -> None:
        """Log why a connection failed.

        :param peer: the client.
        :param target: what it asked for, where that is known.
        """
        ordinary = isinstance(error, _ORDINARY) or (
            target is None and isinstance(error, TruncatedError)
        )
        if ordinary:
            if self._log.isEnabledFor(logging.DEBUG):
                self._log.debug("%s", _line(error, _peer_text(peer), target))
            return
        now = self._clock()
        self._end_windows(now)
        key = _Key(str(error), str(peer[0]), target)
        count = self._counts.get(key)
        if count is None:
            if len(self._counts) >= self.SIZE:
                self._end_window(next(iter(self._counts)))
            count = self._counts[key] = _Count(now)
        count.lines += 1
        if count.lines <= self._burst:
            self._log.warning("%s", _line(error, _peer_text(peer), target))

    def end_reports(self) -> None:
        """Write the numbers that are still owed."""
        for key in list(self._counts):
            self._end_window(key)

    def _end_windows(self, now: float) -> None:
        # In the order in which they began.
        while self._counts:
            key, count = next(iter(self._counts.items()))
            if now - count.since < self._window:
                break
            self._end_window(key)

    def _end_window(self, key: _Key) -> None:
        suppressed = self._counts.pop(key).lines - self._burst
        if suppressed > 0:
            where = f"{key.host} -> {key.target}" if key.target is not None else key.host
            self._log.warning("%s: %s (%d more times)", where, key.message, suppressed)


def _peer_text(peer: Peer) -> str:
    host, port = peer[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _line(error: FastsocksError, peer: str, target: Address | None) -> str:
    where = f"{peer} -> {target}" if target is not None else peer
    return f"{where}: {error} ({error.status})"
