"""Usage by user."""

from __future__ import annotations

from fastsocks.policy import Usage, UserCounters


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
