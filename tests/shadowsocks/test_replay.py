"""The salt stores."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsocks.shadowsocks.replay import SaltFilter, SaltStore


class Clock:
    """Time that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def salt(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_store_follows_the_vectors() -> None:
    text = (Path(__file__).parent.parent / "vectors" / "replay.json").read_text()
    vectors = json.loads(text)["salt_store"]
    clock = Clock()
    store = SaltStore(vectors["retention_seconds"], clock)
    start = clock.now
    for step in vectors["steps"]:
        clock.now = start + step["t"]
        assert store.add(step["salt"].encode()) is step["accept"], step


def test_store_keeps_62_seconds_by_default() -> None:
    clock = Clock()
    store = SaltStore(clock=clock)
    assert store.add(b"salt")
    clock.now += 61.999
    assert not store.add(b"salt")
    clock.now += 0.001
    assert store.add(b"salt")


def test_store_does_not_extend_what_is_replayed() -> None:
    clock = Clock()
    store = SaltStore(10, clock)
    assert store.add(b"salt")
    clock.now += 9
    assert not store.add(b"salt")
    clock.now += 1
    assert store.add(b"salt")


def test_store_shrinks_in_bounded_steps() -> None:
    clock = Clock()
    store = SaltStore(10, clock)
    for number in range(1_000):
        assert store.add(salt(number))
    clock.now += 11
    sizes = [len(store)]
    for number in range(1_000, 1_200):
        assert store.add(salt(number))
        sizes.append(len(store))
    assert max(before - after for before, after in itertools.pairwise(sizes)) <= 8
    assert sizes[-1] == 200


@given(
    steps=st.lists(st.tuples(st.integers(0, 6), st.floats(0, 40, allow_nan=False)), max_size=200)
)
def test_store_is_exact(steps: list[tuple[int, float]]) -> None:
    clock = Clock()
    store = SaltStore(62, clock)
    first_seen: dict[int, float] = {}
    for number, pause in steps:
        clock.now += pause
        seen = number in first_seen and clock.now < first_seen[number] + 62
        assert store.add(salt(number)) is not seen
        if not seen:
            first_seen[number] = clock.now


def test_filter_remembers() -> None:
    memory = SaltFilter(10)
    assert not memory.seen(salt(1))
    memory.add(salt(1))
    assert memory.seen(salt(1))
    assert not memory.seen(salt(2))


@pytest.mark.parametrize("capacity", [2, 3, 10, 1_000])
def test_filter_remembers_half_to_all_of_its_capacity(capacity: int) -> None:
    memory = SaltFilter(capacity)
    for number in range(4 * capacity):
        memory.add(salt(number))
        newest = range(max(0, number + 1 - capacity // 2), number + 1)
        assert all(memory.seen(salt(n)) for n in newest)
        assert len(memory) <= capacity
    assert not memory.seen(salt(0))


def test_filter_counts_a_salt_once() -> None:
    memory = SaltFilter(4)
    for number in (1, 2):
        memory.add(salt(number))
    for _ in range(10):
        memory.add(salt(2))
    assert memory.seen(salt(1))
    assert memory.seen(salt(2))


def test_filter_of_no_capacity() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        SaltFilter(1)


def _bytes_taken(store: SaltStore | SaltFilter, count: int) -> int:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(count):
            store.add(salt(number))
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def test_memory_is_what_the_documentation_says() -> None:
    assert _bytes_taken(SaltFilter(), 100_000) < 11_000_000
    # Counts around the growth of the hash tables, where they are emptiest.
    for count in (20_000, 39_400, 43_700):
        assert _bytes_taken(SaltFilter(2 * count), count) < 175 * count
        assert _bytes_taken(SaltStore(), count) < 250 * count
