"""Which of several servers is used."""

from __future__ import annotations

from fastsocks.outbound.balancer import Balancer


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def scores(count: int = 3) -> tuple[Balancer, Clock, list[tuple[int, int]]]:
    clock = Clock()
    changes: list[tuple[int, int]] = []
    made = Balancer(count, changed=lambda old, new: changes.append((old, new)), clock=clock)
    return made, clock, changes


def test_the_first_is_used_to_begin_with() -> None:
    made, _, changes = scores()
    assert made.current == 0
    made.succeeded(2, 0.001)
    # The first is not measured yet.
    assert made.current == 0
    made.succeeded(0, 0.100)
    assert (made.current, changes) == (2, [(0, 2)])


def test_little_better_is_not_worth_a_change() -> None:
    made, _, changes = scores(2)
    made.succeeded(0, 0.100)
    made.succeeded(1, 0.090)
    assert changes == []
    made.succeeded(1, 0.010)
    made.succeeded(1, 0.010)
    assert changes == [(0, 1)]


def test_little_is_little_among_quick_ones() -> None:
    made, _, changes = scores(2)
    made.succeeded(0, 0.004)
    made.succeeded(1, 0.001)
    assert changes == []


def test_one_outlier_is_averaged_away() -> None:
    made, _, changes = scores(2)
    for _ in range(20):
        made.succeeded(0, 0.050)
        made.succeeded(1, 0.060)
    made.succeeded(0, 0.080)
    assert changes == []


def test_a_failure_changes_at_once_and_back() -> None:
    made, _, changes = scores(2)
    made.succeeded(0, 0.010)
    made.succeeded(1, 0.100)
    made.failed(0)
    assert changes == [(0, 1)]
    made.succeeded(0, 0.010)
    assert changes == [(0, 1), (1, 0)]


def test_when_none_is_there_nothing_changes() -> None:
    made, _, changes = scores(2)
    made.failed(1)
    made.failed(0)
    made.failed(1)
    assert changes == []
    made.succeeded(1, 1.0)
    assert changes == [(0, 1)]


def test_rests_grow_and_end() -> None:
    made, clock, _ = scores(2)
    for rest in (1, 2, 4, 8, 16, 32, 60, 60):
        made.failed(1)
        clock.now += rest - 0.01
        assert made.resting(1)
        clock.now += 0.02
        assert not made.resting(1)
    made.succeeded(1, 0.1)
    made.failed(1)
    clock.now += 1.01
    assert not made.resting(1)


def test_others_come_best_first_and_resting_last() -> None:
    made, _, _ = scores(4)
    for number, seconds in enumerate((0.1, 0.3, 0.2, 0.4)):
        made.succeeded(number, seconds)
    assert made.others(0) == [2, 1, 3]
    made.failed(2)
    assert made.others(0) == [1, 3, 2]
