"""What connections find out of the addresses of names."""

from __future__ import annotations

import socket
import time

import pytest

from fastsocks.net.resolver.order import info_of
from fastsocks.net.resolver.ways import REMEMBERED, Ways

FOUR, SIX = "192.0.2.1", "2001:db8::1"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that the test puts forward."""
    found = Clock()
    monkeypatch.setattr(time, "monotonic", found)
    return found


def order(ways: Ways, *hosts: str) -> list[str]:
    return [info[4][0] for info in ways.in_order(tuple(map(info_of, hosts)))]


def test_nothing_is_changed_without_a_reason(clock: Clock) -> None:
    ways = Ways()
    infos = tuple(map(info_of, (SIX, FOUR)))
    assert ways.in_order(infos) is infos
    ways.learn(SIX, ())
    assert ways.in_order(infos) is infos
    assert ways.is_known(infos)


def test_what_was_not_there_comes_last_for_a_time(clock: Clock) -> None:
    ways = Ways()
    ways.learn(FOUR, [SIX])
    assert order(ways, SIX, FOUR) == [FOUR, SIX]
    # Another name is tried as ever, by the order of its answer.
    assert order(ways, "2001:db8::2", "192.0.2.2") == ["2001:db8::2", "192.0.2.2"]
    assert order(ways, "192.0.2.3", FOUR) == ["192.0.2.3", FOUR]
    clock.now += REMEMBERED
    assert order(ways, SIX, FOUR) == [SIX, FOUR]
    assert not ways.is_known(map(info_of, (SIX, FOUR)))


def test_ipv6_that_fails_everywhere_comes_last_everywhere(clock: Clock) -> None:
    ways = Ways()
    other = "2001:db8:ffff::1", "192.0.2.99"
    for number in range(3):
        assert order(ways, *other) == list(other)
        ways.learn(FOUR, [f"2001:db8:{number}::1"])
    assert order(ways, *other) == list(other[::-1])
    clock.now += REMEMBERED
    # It is tried again, and one failure is enough then.
    assert order(ways, *other) == list(other)
    ways.learn(FOUR, [SIX])
    assert order(ways, *other) == list(other[::-1])
    clock.now += REMEMBERED
    ways.learn(SIX, ())
    for _ in range(2):
        ways.learn(FOUR, [SIX])
    assert order(ways, *other) == list(other)


def test_one_that_works_forgives_the_others(clock: Clock) -> None:
    ways = Ways()
    for _ in range(5):
        ways.learn(FOUR, [SIX])
        ways.learn("2001:db8::9", ())
    assert order(ways, "2001:db8::2", "192.0.2.2") == ["2001:db8::2", "192.0.2.2"]


def test_a_family_that_is_to_be_first(clock: Clock) -> None:
    assert order(Ways(socket.AF_INET), SIX, FOUR) == [FOUR, SIX]
    ways = Ways(socket.AF_INET6)
    assert order(ways, FOUR, SIX) == [SIX, FOUR]
    ways.learn(FOUR, [SIX])
    assert order(ways, FOUR, SIX) == [FOUR, SIX]


def test_the_memory_is_bounded(clock: Clock) -> None:
    ways = Ways()
    for number in range(3000):
        ways.learn(FOUR, [f"10.0.{number // 256}.{number % 256}"])
    assert len(ways._known) == 1024
