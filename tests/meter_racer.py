"""Processes that count in the same memory; see policy/test_meters.py."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from fastsocks.policy import Meters, meters
from twins import import_twin

PROCESSES = 2
COUNTED = 20_000
QUOTA = 10_000_000
TURNS = 1000
NOW = 1000.0


def in_processes(users: Meters, work: Callable[[int], Any]) -> list[Any]:
    """Let each of several processes work, and return what they have found."""
    pipes, children = [], []
    start, go = os.pipe()
    for number in range(PROCESSES):
        reader, writer = os.pipe()
        if not (child := os.fork()):
            users.enter(number)
            os.close(go)
            os.read(start, 1)
            os.write(writer, json.dumps(work(number)).encode())
            os._exit(0)
        os.close(writer)
        pipes.append(reader)
        children.append(child)
    os.close(go)
    found = []
    for reader in pipes:
        with os.fdopen(reader) as pipe:
            found.append(json.load(pipe))
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    return found


def count(users: Meters) -> Any:
    """Count as fast as can be, also of users that nobody knew of."""

    def work(number: int) -> None:
        for name in ("carol", "dave")[:: 1 if number else -1]:
            users.of(name).begin()
        carol = users.of("carol")
        carol.begin()
        for _ in range(COUNTED):
            carol.spend(3, True)
            carol.spend(5, False)
        carol.end()
        users.of("dave").spend(1, False)

    in_processes(users, work)
    return dict(users.items())


def limits(users: Meters) -> Any:
    """Use up a quota, and take turns."""
    meter = users.of("alice")
    meter.set_quota(QUOTA)
    meter.limit(down=1_000_000, burst=0.0)

    def work(number: int) -> Any:
        spent = 0
        while meter.spend(1000, True):
            spent += 1000
        return spent, [meter.pause(1000, False, NOW) for _ in range(TURNS)]

    found = in_processes(users, work)
    turns = [round(turn, 6) for _, each in found for turn in each]
    return {
        "spent": sum(spent for spent, _ in found),
        "turns": len(turns),
        "distinct": len(set(turns)),
        "last": max(turns),
    }


def death(users: Meters) -> Any:
    """Die with a relay."""

    def work(number: int) -> None:
        meter = users.of("alice")
        meter.begin()
        meter.spend(10, True)

    in_processes(users, work)
    before = dict(users.items())
    users.forget(1)
    return {"before": before, "after": dict(users.items())}


def removal(users: Meters) -> Any:
    """Remove a user, and let another process give the cell away."""
    before = users.of("alice")
    before.spend(5, True)

    def work(number: int) -> None:
        if not number:
            users.remove("alice")
            bob = users.of("bob")
            assert bob.place == before.place
            bob.begin()
            bob.spend(7, True)
            bob.end()

    in_processes(users, work)
    assert before.removed
    assert not before.begin()
    assert users.of("alice").place != before.place
    return dict(users.items())


if __name__ == "__main__":
    _, race, implementation = sys.argv
    vars(meters)["Meter"] = import_twin("fastsocks.relay", "_meter", implementation).Meter
    sys.stdout.write(json.dumps(globals()[race](Meters(["alice"], PROCESSES))))
