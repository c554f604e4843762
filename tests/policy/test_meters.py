"""What users of a service use, in all of its processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fastsocks.policy import Meters, Usage, meters
from twins import IMPLEMENTATIONS, import_twin

RACER = Path(__file__).parent.parent / "meter_racer.py"


@pytest.fixture(autouse=True, params=IMPLEMENTATIONS)
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Meters of either twin."""
    monkeypatch.setattr(
        meters, "Meter", import_twin("fastsocks.relay", "_meter", request.param).Meter
    )
    return str(request.param)


def use(users: Meters, user: str | None, up: int = 0, down: int = 0) -> Any:
    """Begin a relay that carries something, and return its meter."""
    meter = users.of(user)
    assert meter.begin()
    assert meter.spend(up, True)
    assert meter.spend(down, False)
    return meter


def test_running_relays_count_live() -> None:
    users = Meters()
    first = use(users, "alice", up=15, down=100)
    second = use(users, "alice")
    use(users, "bob", up=1)
    assert users["alice"] == Usage(relays=2, active=2, bytes_up=15, bytes_down=100)
    first.spend(10, True)
    first.end()
    assert users["alice"] == Usage(relays=2, active=1, bytes_up=25, bytes_down=100)
    assert second is first
    assert dict(users.items()) == {"alice": Usage(2, 1, 25, 100), "bob": Usage(1, 1, 1, 0)}
    assert list(users) == ["alice", "bob"]
    assert len(users) == 2


def test_nobody_has_used_nothing() -> None:
    users = Meters()
    assert users["alice"] == Usage(0, 0, 0, 0)
    assert users.of("alice").quota is None
    assert list(users) == []
    use(users, None).end()
    assert users[None] == Usage(1, 0, 0, 0)
    assert list(users) == [None]


@pytest.mark.parametrize(
    "name", ["", "a", "\udc80 no UTF-8", "\ud800", "ä" * 128, "x" * 256, "y" * 257, "z" * 5000]
)
def test_any_name(name: str) -> None:
    users = Meters(workers=2)
    use(users, None)
    use(users, name, down=5)
    assert dict(users.items()) == {None: Usage(1, 1, 0, 0), name: Usage(1, 1, 0, 5)}


def test_who_finds_no_room_counts_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meters, "_LEAST_ROOM", 2)
    users = Meters(workers=2)
    for number, name in enumerate("abcd"):
        use(users, name, up=number)
    assert dict(users.items()) == {name: Usage(1, 1, up, 0) for up, name in enumerate("abcd")}
    # Those that are known beforehand always do.
    known = Meters("abcd", workers=2)
    for name in "abcd":
        assert known.of(name).words is known._words


def test_one_who_was_removed_is_another_one_later() -> None:
    users = Meters()
    before = use(users, "alice", up=1)
    users.remove("alice")
    users.remove("alice")
    users.remove("nobody")
    assert before.removed
    assert not before.begin()
    assert users["alice"] == Usage(0, 0, 0, 0)
    assert list(users) == []
    again = use(users, "alice", up=2)
    # The relay that runs goes on counting where it was.
    assert before.spend(10, True)
    assert users["alice"] == Usage(1, 1, 2, 0)
    assert again.place != before.place


def test_a_cell_is_given_away_when_no_relay_is_left() -> None:
    users = Meters(workers=2)
    meter = use(users, "alice", up=1)
    meter.set_quota(1)
    meter.limit(up=1, down=1)
    users.remove("alice")
    assert users.of("bob").place != meter.place
    meter.end()
    carol = users.of("carol")
    assert carol.place == meter.place
    assert users["carol"] == Usage(0, 0, 0, 0)
    assert carol.quota is None
    assert carol.piece(1 << 20, True) == 1 << 20
    assert meter.removed
    assert not meter.begin()
    assert users["carol"].active == 0
    assert users["alice"] == Usage(0, 0, 0, 0)
    use(users, "alice", up=3)
    assert dict(users.items()) == {"alice": Usage(1, 1, 3, 0)}


def test_two_thousand_users_come_and_go() -> None:
    users = Meters(workers=2)
    for number in range(2000):
        use(users, str(number), up=number).end()
        if number >= 10:
            users.remove(str(number - 10))
    assert users._words[0] == 11
    assert dict(users.items()) == {str(up): Usage(1, 0, up, 0) for up in range(1990, 2000)}


def race(what: str, implementation: str) -> Any:
    """Run a race of processes, and return what it printed."""
    done = subprocess.run(
        [sys.executable, RACER, what, implementation], capture_output=True, check=True, text=True
    )
    return json.loads(done.stdout)


def test_processes_count_in_one_cell(implementation: str) -> None:
    assert race("count", implementation) == {
        "carol": [4, 2, 2 * 20_000 * 3, 2 * 20_000 * 5],
        "dave": [2, 2, 0, 2],
    }


def test_processes_share_a_quota_and_a_speed(implementation: str) -> None:
    found = race("limits", implementation)
    # Of 10 MB in reads of 1,000 bytes no more than one goes beyond.
    assert found["spent"] == 10_000_000
    # Each took its turns of 1,000 bytes at 1 MB/s in the same row.
    assert found["turns"] == found["distinct"] == 2000
    assert found["last"] == pytest.approx(2.0)


def test_what_a_dead_process_has_carried_stays(implementation: str) -> None:
    assert race("death", implementation) == {
        "before": {"alice": [2, 2, 20, 0]},
        "after": {"alice": [2, 1, 20, 0]},
    }


def test_processes_see_who_was_removed(implementation: str) -> None:
    assert race("removal", implementation) == {"bob": [1, 0, 7, 0]}
