"""What each user has used, readable at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class Traffic(Protocol):
    """A running relay, as :class:`fastsocks.relay.Relay` is: payload so far, in bytes."""

    @property
    def bytes_up(self) -> int:
        """From the client."""

    @property
    def bytes_down(self) -> int:
        """To the client."""


class Usage(NamedTuple):
    """What one user has used."""

    #: Relays begun, those that run included.
    relays: int
    #: Relays that run now.
    active: int
    #: Payload from the user, in bytes.
    bytes_up: int
    #: Payload to the user, in bytes.
    bytes_down: int


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
    """

    def __init__(self) -> None:
        self._accounts: dict[str | None, _Account] = {}

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
        return Usage(0, 0, 0, 0) if account is None else account.usage()

    def __iter__(self) -> Iterator[str | None]:
        """Users who have used anything."""
        return iter(tuple(self._accounts))

    def __len__(self) -> int:
        return len(self._accounts)

    def items(self) -> Iterator[tuple[str | None, Usage]]:
        """Users who have used anything, and what."""
        return ((user, self[user]) for user in self)
