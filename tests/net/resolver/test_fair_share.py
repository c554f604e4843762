"""Whose look-up is next."""

from __future__ import annotations

import pytest

from fastsocks.errors import ResolveError
from fastsocks.net.resolver.fair_share import FairShare


class Asking:
    """Clients that ask for places, each of which is told when its turn comes."""

    def __init__(self, most: int, per_client: int = 0) -> None:
        self.queued: list[str] = []
        self.places = FairShare(most, per_client, self.queued.append)
        self.begun: list[str] = []
        #: Those of which nobody wants the place any more when its turn comes.
        self.gone: set[str] = set()

    def ask(self, client: str, count: int = 1) -> None:
        for _ in range(count):
            if self.places.take(client):
                self.begun.append(client)
            else:
                self.places.wait(client, lambda: self._turn(client))

    def _turn(self, client: str) -> bool:
        if client in self.gone:
            return False
        self.begun.append(client)
        return True

    def end(self, client: str) -> None:
        self.begun.remove(client)
        self.places.give_back(client)


def test_nobody_has_more_than_a_quarter() -> None:
    asking = Asking(16)
    asking.ask("one", 10)
    assert asking.begun == ["one"] * 4
    assert asking.queued == ["one"] * 6
    asking.ask("two", 2)
    assert asking.begun == ["one"] * 4 + ["two"] * 2
    asking.end("one")
    assert asking.begun.count("one") == 4


def test_an_own_limit_is_below_that() -> None:
    asking = Asking(16, 2)
    asking.ask("one", 3)
    assert asking.begun == ["one"] * 2
    asking = Asking(16, 100)
    asking.ask("one", 10)
    assert asking.begun == ["one"] * 4


def test_who_has_fewest_is_next() -> None:
    asking = Asking(16)
    for number in range(4):
        asking.ask(f"many{number}", 12)
    assert len(asking.begun) == 16
    asking.ask("few", 3)
    asking.end("many0")
    assert asking.begun.count("few") == 1
    asking.end("many0")
    asking.end("many0")
    assert asking.begun.count("few") == 3
    # None of its own is left to wait.
    asking.end("many1")
    assert len(asking.begun) == 16
    assert asking.begun.count("many0") == 2


def test_a_turn_that_is_not_wanted_goes_on_to_the_next() -> None:
    asking = Asking(4)
    for client in ("one", "two", "three", "four", "five", "six"):
        asking.ask(client)
    asking.gone.add("five")
    asking.end("one")
    assert asking.begun == ["two", "three", "four", "six"]


def test_nothing_is_kept_of_who_has_nothing() -> None:
    asking = Asking(4)
    for client in ("one", "two", "three", "four", "five", "one"):
        asking.ask(client)
    while asking.begun:
        asking.end(asking.begun[0])
    assert not len(asking.places)


def test_how_many_may_wait_is_bounded() -> None:
    asking = Asking(16)
    asking.ask("one", 4 + 16)
    with pytest.raises(ResolveError, match="too many names wait"):
        asking.ask("one")
    asking.ask("two", 4 + 16)
    asking.ask("three", 4 + 16)
    asking.ask("four", 4 + 16)
    with pytest.raises(ResolveError, match="too many names wait"):
        asking.ask("five")
    assert len(asking.places) == 4
