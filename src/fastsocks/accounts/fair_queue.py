"""Work that waits for one of few places, shared fairly among clients."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from fastsocks.errors import BusyError

if TYPE_CHECKING:
    from collections.abc import Callable


class Job:
    """One piece of work, which waits or is under way.

    :param client: whose it is.
    :param begin: begins it; called once, when its turn comes.
    """

    __slots__ = ("_begin", "client", "result")

    def __init__(self, client: str, begin: Callable[[], asyncio.Future[bool]]) -> None:
        self.client = client
        self._begin = begin
        #: What comes of it: as that of `begin`, or a BusyError.
        self.result: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        # Nobody may be left who looks at it.
        self.result.add_done_callback(_look)

    def start(self) -> asyncio.Future[bool]:
        """Begin it, and hand on what comes of it."""
        running = self._begin()
        running.add_done_callback(self._hand_on)
        return running

    def _hand_on(self, running: asyncio.Future[bool]) -> None:
        if self.result.done():
            return
        if running.cancelled():
            self.result.cancel()
        elif (error := running.exception()) is not None:
            self.result.set_exception(error)
        else:
            self.result.set_result(running.result())


class FairQueue:
    """Has some work under way at a time; the rest waits, and clients take turns.

    While others wait, a client has a quarter of the room for those that wait at most; where there
    is no more room, the client that has most of it gives up its latest, unless the newcomer has as
    many. So nobody is kept out by who comes often.

    All calls come from the loop's thread.

    :param places: under way at a time.
    :param room: how many may wait.
    :param patience: seconds after which what waits gives up.
    """

    def __init__(self, places: int, room: int, patience: float) -> None:
        self._places = places
        self._room = room
        self._patience = patience
        self._running = 0
        self._waiting = 0
        # By client, in the order in which their turns come.
        self._clients: OrderedDict[str, deque[Job]] = OrderedDict()

    def __len__(self) -> int:
        """How many wait."""
        return self._waiting

    def submit(self, client: str, begin: Callable[[], asyncio.Future[bool]]) -> Job:
        """Begin some work, now or when its turn comes.

        :raises BusyError: there is no room for it to wait.
        """
        job = Job(client, begin)
        if self._running < self._places:
            self._start(job)
            return job
        self._make_room(client)
        self._clients.setdefault(client, deque()).append(job)
        self._waiting += 1
        timer = asyncio.get_running_loop().call_later(
            self._patience, self._give_up, job, "a login waited too long to be checked"
        )
        job.result.add_done_callback(lambda _: timer.cancel())
        return job

    def withdraw(self, job: Job) -> None:
        """Let go of a job that nobody waits for any more; one that is under way goes on."""
        if self._remove(job):
            job.result.cancel()

    def _start(self, job: Job) -> None:
        self._running += 1
        try:
            running = job.start()
        except BaseException:
            self._running -= 1
            raise
        running.add_done_callback(self._ended)

    def _ended(self, _: asyncio.Future[bool]) -> None:
        self._running -= 1
        while self._clients and self._running < self._places:
            client, jobs = next(iter(self._clients.items()))
            job = jobs[0]
            self._remove(job)
            if jobs:
                self._clients.move_to_end(client)
            try:
                self._start(job)
            except Exception as error:  # noqa: BLE001 - it is the job's, not of who ended
                job.result.set_exception(error)

    def _make_room(self, client: str) -> None:
        """See to it that one more of a client can wait.

        :raises BusyError: it cannot.
        """
        own = len(self._clients.get(client, ()))
        others = self._waiting > own
        if others and own >= self._room // 4:
            raise BusyError("too many logins of this client wait to be checked")
        if self._waiting < self._room:
            return
        most = max(self._clients.values(), key=len)
        if len(most) <= own + 1:
            raise BusyError("too many logins wait to be checked")
        self._give_up(most[-1], "too many logins wait to be checked")

    def _give_up(self, job: Job, why: str) -> None:
        if self._remove(job):
            job.result.set_exception(BusyError(why))

    def _remove(self, job: Job) -> bool:
        """Take a job off the books; returns False where it does not wait."""
        jobs = self._clients.get(job.client, ())
        if job not in jobs:
            return False
        jobs.remove(job)  # type: ignore[union-attr]
        self._waiting -= 1
        if not jobs:
            del self._clients[job.client]
        return True


def _look(result: asyncio.Future[bool]) -> None:
    if not result.cancelled():
        result.exception()
