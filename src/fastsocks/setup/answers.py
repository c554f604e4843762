"""Whether the Shadowsocks servers that connections are led to answer at all.

A server that cannot read a request says nothing: that is all that a wrong password, an unknown user
or a clock that is off looks like from here. So it takes several connections, or time, to tell that
from a target that has nothing to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from fastsocks.address import Address
    from fastsocks.journal.observer import Connection

#: Connections in a row without an answer that are no chance any more: where there never was one,
#: and where there was.
_SUSPICIOUS = 3
_STRANGE = 5

#: Seconds that are too long for an answer, if the time limit of connections is not shorter: by then
#: a server mostly knows that it cannot reach a target.
_LONG = 10.0


class Counters(Protocol):
    """What goes through an engine; see :class:`fastsocks.relay.Engine`."""

    active: int
    bytes_up: int
    bytes_down: int


class Answers:
    """Notices that there are none.

    :param loop: the running event loop.
    :param counters: what goes through all relays.
    :param timeout: seconds that connections have for being set up.
    :param unanswered: see :meth:`fastsocks.journal.observer.Observer.unanswered`; None for nobody.
    :param silent: likewise, its ``server_silent``.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        counters: Counters,
        *,
        timeout: float,
        unanswered: Callable[[Connection, int], None] | None,
        silent: Callable[[Address, float], None] | None,
    ) -> None:
        self._loop = loop
        self._counters = counters
        self._long = min(_LONG, timeout)
        self._unanswered = unanswered
        self._silent = silent
        self._ever = False
        self._in_a_row = 0
        self._timer: asyncio.TimerHandle | None = None

    def awaited(self, server: Address, early: int) -> None:
        """A connection begins to wait for an answer; nobody knows whether there are any.

        :param early: payload that has been sent to it, in bytes.
        """
        if self._timer is None:
            before = self._counters.bytes_up - early, self._counters.bytes_down
            self._timer = self._loop.call_later(self._long, self._look, server, before)

    def came(self) -> None:
        """A connection has ended that got an answer."""
        self._ever = True
        self._in_a_row = 0
        self.close()

    def missing(self, ended: Connection) -> None:
        """Take in that a connection has ended without one, whose payload was taken."""
        self._in_a_row += 1
        if self._ever:
            telling = self._in_a_row >= _STRANGE
        else:
            telling = self._in_a_row >= _SUSPICIOUS or ended.seconds >= self._long
        if telling and self._unanswered is not None:
            self._unanswered(ended, self._in_a_row)

    def close(self) -> None:
        """Wait for no answer any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, server: Address, before: tuple[int, int]) -> None:
        self._timer = None
        counters = self._counters
        waiting = counters.active and counters.bytes_up > before[0]
        if waiting and counters.bytes_down == before[1] and self._silent is not None:
            self._silent(server, self._long)
