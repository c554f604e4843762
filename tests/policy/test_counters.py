"""Usage by user."""

from __future__ import annotations

import copy

from fastsocks.policy import Usage, UserCounters, UserCounts


class Relay:
    def __init__(self) -> None:
        self.bytes_up = 0
        self.bytes_down = 0


def test_running_relays_count_live() -> None:
    users = UserCounters()
    first, second = Relay(), Relay()
    users.begin("alice", first, early=5)
    users.begin("alice", second)
    users.begin("bob", other := Relay())
    first.bytes_up, second.bytes_down, other.bytes_up = 10, 100, 1
    assert users["alice"] == Usage(relays=2, active=2, bytes_up=15, bytes_down=100)
    first.bytes_up = 20
    users.end("alice", first)
    assert users["alice"] == Usage(relays=2, active=1, bytes_up=25, bytes_down=100)
    # What is over no longer counts.
    first.bytes_up = 999
    users.end("alice", first)
    users.end("bob", first)
    users.end("carol", first)
    assert dict(users.items()) == {
        "alice": Usage(2, 1, 25, 100),
        "bob": Usage(1, 1, 1, 0),
    }
    assert list(users) == ["alice", "bob"]
    assert len(users) == 2


def test_nobody_has_used_nothing() -> None:
    assert UserCounters()["alice"] == Usage(0, 0, 0, 0)
    users = UserCounters()
    users.begin(None, relay := Relay())
    users.end(None, relay)
    assert users[None] == Usage(1, 0, 0, 0)


def processes(count: int, *users: str) -> list[UserCounters]:
    """Return the counters of several processes, as they are after a fork."""
    counts = UserCounts(users, count)
    found = []
    for worker in range(count):
        forked = copy.copy(counts)
        forked.worker = worker
        found.append(UserCounters(forked))
    return found


def test_processes_count_together() -> None:
    one, other, third = processes(3, "alice", "bob")
    for users, size in ((one, 10), (other, 100)):
        users.begin("alice", relay := Relay())
        relay.bytes_up = size
    assert one["alice"] == Usage(1, 1, 10, 0)
    for users in (one, other, third):
        users.publish()
    for users in (one, other, third):
        assert users["alice"] == Usage(2, 2, 110, 0)
        assert dict(users.items()) == {"alice": Usage(2, 2, 110, 0)}
        assert len(users) == 1


def test_what_a_dead_process_has_carried_stays() -> None:
    counts = UserCounts(["alice"], 2)
    for relays in (1, 2, 3):
        users = UserCounters(counts)
        users.begin("alice", relay := Relay())
        relay.bytes_down = 100
        users.publish()
        users.publish()
        assert users["alice"] == Usage(relays, 1, 0, 100 * relays)
        counts.forget(0)
    assert UserCounters(counts)["alice"] == Usage(3, 0, 0, 300)


def test_who_is_not_known_beforehand_is_counted_alone() -> None:
    one, other = processes(2, "alice")
    one.begin("carol", Relay())
    one.publish()
    assert one["carol"] == Usage(1, 1, 0, 0)
    assert other["carol"] == Usage(0, 0, 0, 0)
    assert list(one) == ["carol"]
