"""The sliding window over packet IDs, on both twins."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twins import IMPLEMENTATIONS, import_twin

_VECTORS = Path(__file__).parent.parent / "vectors" / "replay.json"
LAST_ID = 2**64 - 1


@pytest.fixture
def window(implementation: str) -> Any:
    """The class, of each twin in turn."""
    return import_twin("fastsocks.shadowsocks", "_window", implementation).SlidingWindow


def sequences() -> list[Any]:
    found: list[Any] = json.loads(_VECTORS.read_text())["windows"]
    assert [one["size"] for one in found] == [64, 256, 8129]
    return found


@pytest.mark.parametrize("sequence", sequences(), ids=lambda one: str(one["size"]))
def test_vectors(window: Any, sequence: Any) -> None:
    made = window(sequence["size"])
    for number, (packet_id, accepted) in enumerate(sequence["steps"]):
        assert made.allows(int(packet_id)) is accepted, number
        assert made.add(int(packet_id)) is accepted, number
        assert not made.allows(int(packet_id))


class Model:
    """The rule, with a set."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.seen: set[int] = set()

    def add(self, packet_id: int) -> bool:
        highest = max(self.seen, default=0)
        if packet_id in self.seen or highest - packet_id >= self.size:
            return False
        self.seen.add(packet_id)
        return True


steps = st.lists(
    st.tuples(st.sampled_from(["near", "ahead", "jump", "any"]), st.integers(0, 300)),
    max_size=60,
)


@given(size=st.sampled_from([1, 2, 63, 64, 65, 66, 128, 200, 1985]), moves=steps)
def test_any_sequence(size: int, moves: list[tuple[str, int]]) -> None:
    model = Model(size)
    twins = [
        import_twin("fastsocks.shadowsocks", "_window", one).SlidingWindow(size)
        for one in IMPLEMENTATIONS
    ]
    highest = 0
    for kind, amount in moves:
        packet_id = {
            "near": max(0, highest - amount),
            "ahead": highest + amount,
            "jump": highest + 64 * amount,
            "any": amount << 55 | amount,
        }[kind]
        packet_id = min(packet_id, LAST_ID)
        expected = model.add(packet_id)
        for twin in twins:
            assert twin.allows(packet_id) is expected
            assert twin.add(packet_id) is expected
        highest = max(model.seen, default=0)


def test_the_ends_of_the_range(window: Any) -> None:
    made = window(64)
    assert made.add(0)
    assert not made.add(0)
    assert made.add(LAST_ID)
    assert not made.add(LAST_ID)
    assert made.add(LAST_ID - 63)
    assert not made.add(LAST_ID - 64)
    assert not made.add(0)


@pytest.mark.parametrize("packet_id", [-1, 2**64])
def test_no_such_id_in_cython(packet_id: int) -> None:
    made = import_twin("fastsocks.shadowsocks", "_window", "cython").SlidingWindow(64)
    with pytest.raises(OverflowError):
        made.add(packet_id)


@pytest.mark.parametrize("size", [0, -1, (1 << 20) + 1])
def test_sizes(window: Any, size: int) -> None:
    with pytest.raises(ValueError, match="window"):
        window(size)


def test_no_copies(window: Any) -> None:
    with pytest.raises(TypeError):
        copy.copy(window(64))
