"""What each user has used, readable at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .user_counts import NOTHING, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .user_counts import UserCounts


class Traffic(Protocol):
    """A running relay, as :class:`fastsocks.relay.Relay` is: payload so far, in bytes."""

    @property
    def bytes_up(self) -> int:
        """From the client."""

    @property
    def bytes_down(self) -> int:
        """To the client."""


class _Account:
    __slots__ = ("relays", "bytes_up", "bytes_down", "running")

    def __init__(self) -> None:
        self.relays = 0
        self.bytes_up = 0
        self.bytes_down = 0
        #: By identity, because relays need not be hashable.
        self.running: dict[int, Traffic] = {}

    def usage(self) -> Usage:
        running = self.running.values()
        return Usage(
            self.relays,
            len(running),
            self.bytes_up + sum(relay.bytes_up for relay in running),
            self.bytes_down + sum(relay.bytes_down for relay in running),
        )


class UserCounters:
    """Usage by user name; None stands for everybody where there are no users.

    Running relays count live: reading asks each of them. Memory is bounded by the users there
    are, since only names that were authenticated get here.

    :param counts: of several processes, which count together; what the others have, as far as
        they have :meth:`publish`-ed it, counts too.
    """

    def __init__(self, counts: UserCounts | None = None) -> None:
        self._accounts: dict[str | None, _Account] = {}
        self._counts = counts
        # What processes that had this one's place have used.
        self._before: dict[str, Usage] = {}

    def begin(self, user: str | None, relay: Traffic, early: int = 0) -> None:
        """Count a relay from now on.

        :param early: payload that went to the target before it, in bytes.
        """
        account = self._accounts.get(user)
        if account is None:
            account = self._accounts[user] = _Account()
        account.relays += 1
        account.running[id(relay)] = relay
        account.bytes_up += early

    def end(self, user: str | None, relay: Traffic) -> None:
        """Keep what a relay carried, and forget it; again does nothing."""
        account = self._accounts.get(user)
        if account is not None and account.running.pop(id(relay), None) is not None:
            account.bytes_up += relay.bytes_up
            account.bytes_down += relay.bytes_down

    def __getitem__(self, user: str | None) -> Usage:
        """Return what `user` has used; zeros for one who has used nothing."""
        account = self._accounts.get(user)
        usage = NOTHING if account is None else account.usage()
        if self._counts is None or user is None or user not in self._counts:
            return usage
        return usage.and_of(self._of_predecessors(user)).and_of(self._counts.elsewhere(user))

    def __iter__(self) -> Iterator[str | None]:
        """Users who have used anything."""
        if self._counts is None:
            return iter(tuple(self._accounts))
        names = dict.fromkeys((*self._accounts, *self._counts))
        return iter([name for name in names if self[name] != NOTHING])

    def __len__(self) -> int:
        return len(tuple(iter(self)))

    def items(self) -> Iterator[tuple[str | None, Usage]]:
        """Users who have used anything, and what."""
        return ((user, self[user]) for user in self)

    def publish(self) -> None:
        """Let the other processes know what was used in this one."""
        if self._counts is None:
            return
        for user, account in self._accounts.items():
            if user is not None and user in self._counts:
                usage = account.usage().and_of(self._of_predecessors(user))
                self._counts.write(user, usage)

    def _of_predecessors(self, user: str) -> Usage:
        found = self._before.get(user)
        if found is None and self._counts is not None:
            found = self._counts.read(user, self._counts.worker)
            self._before[user] = found
        return found or NOTHING
