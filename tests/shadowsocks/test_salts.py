"""The filter of packets' salts, on both twins."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twins import IMPLEMENTATIONS, import_twin


@pytest.fixture
def salt_filter(implementation: str) -> Any:
    """The class, of each twin in turn."""
    return import_twin("fastsocks.shadowsocks", "_salts", implementation).SaltFilter


def test_salts_are_seen(salt_filter: Any) -> None:
    source = random.Random(1)
    salts = [source.randbytes(32) for _ in range(500)]
    made = salt_filter(1000)
    for salt in salts:
        assert not made.seen(salt)
        made.add(salt)
        assert made.seen(salt)
    assert len(made) == 500
    assert all(map(made.seen, salts))


@pytest.mark.parametrize("capacity", [2, 3, 4, 7, 100])
def test_at_least_half_and_at_most_all_are_remembered(salt_filter: Any, capacity: int) -> None:
    source = random.Random(capacity)
    made, added = salt_filter(capacity), []
    for _ in range(5 * capacity):
        added.append(source.randbytes(16))
        made.add(added[-1])
        remembered = [salt for salt in added if made.seen(salt)]
        assert len(remembered) == len(made) <= capacity
        assert remembered[-(capacity // 2) :] == added[-(capacity // 2) :]


@given(
    capacity=st.integers(2, 9),
    # Eight bytes of 0 stand for those of 1.
    numbers=st.lists(st.sampled_from([0, *range(2, 12)]), max_size=80),
)
def test_the_twins_agree(capacity: int, numbers: list[int]) -> None:
    cython, python = (
        import_twin("fastsocks.shadowsocks", "_salts", one).SaltFilter(capacity)
        for one in IMPLEMENTATIONS
    )
    for number in numbers:
        salt = number.to_bytes(8, "little") + bytes(8)
        assert cython.seen(salt) is python.seen(salt)
        cython.add(salt)
        python.add(salt)
        assert len(cython) == len(python)


def test_capacities(salt_filter: Any) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        salt_filter(1)


def test_short_salts_in_cython() -> None:
    made = import_twin("fastsocks.shadowsocks", "_salts", "cython").SaltFilter(10)
    for call in (made.seen, made.add):
        with pytest.raises(ValueError, match="7 bytes"):
            call(bytes(7))
    with pytest.raises(ValueError, match="at most"):
        import_twin("fastsocks.shadowsocks", "_salts", "cython").SaltFilter((1 << 32) + 1)
    with pytest.raises(TypeError):
        copy.copy(made)
