"""What the processes that serve one port have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastsocks.journal.process_counts import ProcessCounts
from fastsocks.policy import ClientCounts, Meters

if TYPE_CHECKING:
    from collections.abc import Iterable


class SharedState:
    """What one service shares among worker processes: its counts.

    What they have seen, to tell replays, is shared by all services of a process.

    Make it, then the service with it, then fork; in each process call :meth:`enter` before the
    service starts. All of it lies in memory that a process can leave at any time, killed or not.

    :param workers: how many processes serve at a time, 1 or more.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        #: Connections by client.
        self.clients = ClientCounts(workers)
        #: What each process has counted of all else.
        self.counters = ProcessCounts(workers)
        #: Usage by user; there once a service that tells users apart is made with it.
        self.users: Meters | None = None

    def meters(self, names: Iterable[str]) -> Meters:
        """Return the meters of these users, made if there are none."""
        if self.users is None:
            self.users = Meters(names, self.workers)
        return self.users

    def enter(self, worker: int) -> None:
        """Say which of the processes this is, from 0 on."""
        self.clients.enter(worker)
        self.counters.enter(worker)
        if self.users is not None:
            self.users.enter(worker)

    def forget(self, worker: int) -> None:
        """Wipe what a process that has died took up."""
        self.clients.forget(worker)
        self.counters.forget(worker)
        if self.users is not None:
            self.users.forget(worker)
