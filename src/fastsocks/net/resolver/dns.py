"""Names looked up by DNS: both families at a time, by the name servers that are set or found."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

from .exchange import Exchange, NoAnswer
from .finding import NO_ADDRESS, NO_SUCH_NAME, Failure, Finding
from .message import AAAA, NAME_ERROR, A, Answer
from .order import in_order, info_of
from .sockets import Sockets

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from .name_servers import NameServers

#: Seconds to wait for addresses of the other family (RFC 8305 section 3).
RESOLUTION_DELAY = 0.05

#: Bounds of the seconds for which answers are kept. A TTL of 0 is for one use, which a second of
#: uses at the same time is as well; in an hour a server may have moved.
SHORTEST_TTL, LONGEST_TTL = 1.0, 3600.0

#: The same for answers that there is no such name or address, and what is taken where a name server
#: does not say (RFC 2308 section 5).
SHORTEST_NEGATIVE_TTL, LONGEST_NEGATIVE_TTL, NEGATIVE_TTL = 1.0, 60.0, 5.0

#: Seconds for which it is kept that nobody answered (RFC 9520 section 3.2 wants one at least).
FAILURE_TTL = 1.0

#: The longest that addresses of one family are kept where nobody answered for the other.
_PARTIAL_TTL = 30.0


class DnsSource:
    """Asks name servers.

    :param loop: the running event loop.
    :param servers: gives those to ask now.
    :param families: gives those of addresses that are wanted now, AF_INET and AF_INET6 or one.
    :param most_sockets: see :class:`.sockets.Sockets`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        servers: Callable[[], NameServers],
        families: Callable[[], tuple[int, ...]],
        most_sockets: int,
    ) -> None:
        self._loop = loop
        self.sockets = Sockets(loop, most_sockets)
        self._servers = servers
        self._families = families
        self._tasks: set[asyncio.Task[None]] = set()

    def look_up(self, name: str, found: Callable[[Finding], None]) -> DnsLookUp:
        """Begin to look a name up; see :class:`.finding.Source`."""
        kinds = tuple(AAAA if one == socket.AF_INET6 else A for one in self._families())
        return DnsLookUp(self._loop, self._servers(), name, kinds, found, self.sockets, self._start)

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Wait until all that it began has ended; see :class:`.finding.Source`."""
        await asyncio.gather(*self._tasks, return_exceptions=True)


class DnsLookUp:
    """One name; see :class:`.finding.LookUp`.

    Once one family has addresses, those of the other are waited for but shortly, and told of when
    they come.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        servers: NameServers,
        name: str,
        kinds: tuple[int, ...],
        found: Callable[[Finding], None],
        sockets: Sockets,
        start: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self._loop = loop
        self._found = found
        self._wanted = len(kinds)
        self._outcomes: dict[int, Answer | NoAnswer] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._exchange = Exchange(
            loop, servers, name.encode("ascii"), kinds, self._answered, sockets, start
        )

    def _answered(self, kind: int, outcome: Answer | NoAnswer) -> None:
        self._outcomes[kind] = outcome
        if len(self._outcomes) == self._wanted:
            self._stop_waiting()
            self._found(merge(self._outcomes))
        elif isinstance(outcome, Answer) and outcome.addresses:
            self._timer = self._loop.call_later(RESOLUTION_DELAY, self._hurry)

    def _hurry(self) -> None:
        self._timer = None
        self._found(merge(self._outcomes)._replace(more=True))

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> bool:
        """Give it up at once."""
        self._stop_waiting()
        self._exchange.close()
        return True


def merge(outcomes: dict[int, Answer | NoAnswer]) -> Finding:
    """Make one finding of what was answered for each kind of address.

    Addresses count more than anything that is said of the other kind: there are name servers that
    know no name by which they have no IPv6 address.
    """
    answers = [one for one in outcomes.values() if isinstance(one, Answer)]
    failures = [one for one in outcomes.values() if isinstance(one, NoAnswer)]
    infos = [
        info_of(host)
        for kind in (AAAA, A)
        if isinstance(answer := outcomes.get(kind), Answer)
        for host in answer.addresses
    ]
    if infos:
        ttl = float(min(one.ttl or 0 for one in answers if one.addresses))
        ttl = min(max(ttl, SHORTEST_TTL), _PARTIAL_TTL if failures else LONGEST_TTL)
        return Finding(tuple(in_order(infos)), ttl)
    if failures and not any(one.rcode == NAME_ERROR for one in answers):
        return no_answer(failures[0])
    ttl = min((NEGATIVE_TTL if one.ttl is None else float(one.ttl)) for one in answers)
    ttl = min(max(ttl, SHORTEST_NEGATIVE_TTL), LONGEST_NEGATIVE_TTL)
    if any(one.rcode == NAME_ERROR for one in answers):
        return Finding((), ttl, NO_SUCH_NAME)
    return Finding((), ttl, NO_ADDRESS)


def no_answer(failure: NoAnswer) -> Finding:
    """Return the finding that no name server has answered."""
    why = Failure(socket.EAI_AGAIN, failure.reason, failure.errno)
    return Finding((), FAILURE_TTL, why, of_name=False)
