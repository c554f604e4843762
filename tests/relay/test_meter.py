"""What a meter counts, and what it lets pass."""

from __future__ import annotations

import copy
import itertools
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twins import IMPLEMENTATIONS, import_twin

CELL = 48
NOW = 5000.0


def new_meter(implementation: str) -> Any:
    """Make a meter of its own memory."""
    words = memoryview(bytearray(8 * CELL)).cast("Q")
    return import_twin("fastsocks.relay", "_meter", implementation).Meter("alice", words, 0)


@pytest.fixture(params=IMPLEMENTATIONS)
def meter(request: pytest.FixtureRequest) -> Any:
    """A meter of each twin in turn."""
    return new_meter(request.param)


def counted(meter: Any) -> tuple[int, int]:
    """Return the payload that was counted, up and down."""
    up, down = meter.words[2:4]
    return up, down


def test_without_limits_all_passes(meter: Any) -> None:
    assert meter.user == "alice"
    assert meter.spend(1 << 40, True)
    assert meter.spend(3, False)
    assert counted(meter) == (1 << 40, 3)
    assert meter.pause(1 << 40, True, NOW) == 0
    assert meter.passes(1500, True, NOW)
    assert meter.piece(123456, False) == 123456
    assert not meter.limited()
    assert meter.quota is None
    assert not meter.exhausted(True)


def test_a_quota_lets_the_last_read_pass_and_no_more(meter: Any) -> None:
    meter.set_quota(100)
    assert meter.spend(60, True)
    assert meter.quota == 40
    assert not meter.exhausted(True)
    assert meter.spend(60, False)
    assert meter.quota == 0
    assert not meter.spend(1, True)
    assert not meter.spend(1, False)
    assert counted(meter) == (60, 60)
    # What is left bounds reads, too.
    assert meter.piece(65536, True) == 1024
    meter.set_quota(5000)
    assert meter.piece(65536, True) == 5000
    meter.set_quota(5000, up_is_free=True)
    assert (meter.piece(65536, True), meter.piece(65536, False)) == (65536, 5000)
    # More of it works at once.
    meter.set_quota(1)
    assert meter.spend(7, False)
    assert not meter.spend(7, False)
    meter.set_quota(None)
    assert meter.spend(7, False)
    assert counted(meter) == (60, 74)


def test_a_quota_of_one_direction(meter: Any) -> None:
    meter.set_quota(0, up_is_free=True)
    assert meter.spend(1000, True)
    assert not meter.spend(1, False)
    assert (meter.exhausted(True), meter.exhausted(False)) == (False, True)
    meter.set_quota(10, up_is_free=True)
    assert meter.spend(10, False)
    assert meter.spend(10, True)
    assert not meter.spend(1, False)
    assert counted(meter) == (1010, 10)
    meter.set_quota(1)
    assert meter.spend(1, True)
    assert not meter.spend(1, True)


@pytest.mark.parametrize("size", [-1, 1 << 63])
def test_no_quota(meter: Any, size: int) -> None:
    meter.set_quota(5)
    with pytest.raises(ValueError, match=f"a quota of {size} bytes, not of 0 to"):
        meter.set_quota(size)
    assert meter.quota == 5
    meter.set_quota((1 << 63) - 1)
    assert meter.quota == (1 << 63) - 1


@pytest.mark.parametrize("up", [True, False])
def test_a_stream_waits_for_its_turn(meter: Any, up: bool) -> None:
    meter.limit(**{"up" if up else "down": 1000}, burst=0.5)
    assert meter.limited()
    # The other direction has no limit.
    assert meter.pause(1_000_000, not up, NOW) == 0
    # What is in the bucket passes, and no more.
    assert meter.pause(300, up, NOW) == 0
    assert meter.pause(200, up, NOW) == 0
    assert meter.pause(100, up, NOW) == pytest.approx(0.1)
    assert meter.pause(100, up, NOW + 0.1) == pytest.approx(0.1)
    # One that comes late may catch up with the burst, and no more.
    assert meter.pause(500, up, NOW + 100) == 0
    assert meter.pause(1000, up, NOW + 100) == pytest.approx(1)


@pytest.mark.parametrize("speed", [8_000, 1_250_000, 125_000_000])
@pytest.mark.parametrize("relays", [1, 10, 100])
def test_speed_and_fairness(meter: Any, speed: int, relays: int) -> None:
    """A clock of its own: each relay reads, waits for its turn, is delivered and reads again."""
    meter.limit(down=speed, burst=0.25)
    piece = meter.piece(256 * 1024, False)
    seconds = max(10, 20 * relays * piece / speed)
    waiting = [(0.0, relay) for relay in range(relays)]
    delivered = [0] * relays
    passed: list[tuple[float, int]] = []
    while waiting:
        time, relay = waiting.pop(0)
        turn = time + meter.pause(piece, False, NOW + time)
        if turn <= seconds:
            # The burst is whose it is that reads first.
            delivered[relay] += piece if turn > time else 0
            passed.append((turn, piece))
            waiting.append((turn, relay))
            waiting.sort()
    total = sum(size for _, size in passed)
    assert total == pytest.approx(speed * (seconds + 0.25), rel=0.03, abs=piece)
    assert max(delivered) - min(delivered) <= max(piece, 0.1 * max(delivered))
    # In any ten seconds no more than the speed and the burst.
    times = [turn for turn, _ in passed]
    sums = [0, *itertools.accumulate(size for _, size in passed)]
    assert times == sorted(times)
    last = 0
    for first, turn in enumerate(times):
        while last < len(times) and times[last] <= turn + 10:
            last += 1
        assert sums[last] - sums[first] <= speed * 10.25 + piece


def test_datagrams_do_not_wait(meter: Any) -> None:
    meter.limit(up=1000, burst=0.5)
    # A long row of streams does not keep them out,
    assert meter.pause(10_500, True, NOW) == pytest.approx(10)
    for _ in range(3):
        assert meter.passes(250, True, NOW)
    assert not meter.passes(250, True, NOW)
    assert meter.passes(250, True, NOW + 0.25)
    # and moves back for them.
    assert meter.pause(0, True, NOW) == pytest.approx(11)
    assert meter.passes(1_000_000, False, NOW)
    # One larger than the bucket passes where there is nothing to be waited for.
    assert meter.passes(65_000, True, NOW + 1)
    assert not meter.passes(1, True, NOW + 60)


def test_another_speed_at_once(meter: Any) -> None:
    meter.limit(up=1, burst=0.0)
    assert meter.pause(1000, True, NOW) == pytest.approx(1000)
    assert not all(meter.passes(1, True, NOW) for _ in range(2))
    meter.limit(up=1000, burst=0.0)
    assert meter.pause(1000, True, NOW) == pytest.approx(1)
    assert meter.passes(1, True, NOW)
    meter.limit()
    assert not meter.limited()
    assert meter.pause(1000, True, NOW) == 0


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"up": 0}, "a speed of 0 bytes, not of 1 to"),
        ({"down": 1 << 63}, "a speed of 9223372036854775808 bytes"),
        ({"up": 1, "burst": 1.5}, "a burst of 1.5 s, not of 0 to 1"),
        ({"up": 1, "burst": -1.0}, "a burst of -1 s"),
    ],
)
def test_no_speed(meter: Any, settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        meter.limit(**settings)
    assert not meter.limited()


@pytest.mark.parametrize(
    ("speed", "size"), [(1, 1024), (50_000, 1024), (1_000_000, 20_000), (1 << 40, 65536)]
)
def test_pieces(meter: Any, speed: int, size: int) -> None:
    meter.limit(up=speed)
    assert meter.piece(65536, True) == size
    assert meter.piece(65536, False) == 65536
    assert meter.piece(10, True) == 10


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("words", "place"), [(CELL, 2), (CELL, -1), (46, 0), (0, 0)])
def test_no_cell_there(implementation: str, words: int, place: int) -> None:
    kind = import_twin("fastsocks.relay", "_meter", implementation).Meter
    with pytest.raises(IndexError, match=f"no cell begins at word {place}"):
        kind(None, memoryview(bytearray(8 * words)).cast("Q"), place)


def test_a_copy_would_not_be_the_meter() -> None:
    meter = new_meter("cython")
    for way in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="a meter can be neither copied nor pickled"):
            way(meter)


steps = st.one_of(
    st.tuples(st.just("spend"), st.integers(0, 3000), st.booleans()),
    st.tuples(st.just("pause"), st.integers(0, 300_000), st.booleans()),
    st.tuples(st.just("passes"), st.integers(0, 65_507), st.booleans()),
    st.tuples(st.just("piece"), st.integers(1, 1 << 18), st.booleans()),
    st.tuples(st.just("set_quota"), st.none() | st.integers(0, 10_000)),
    st.tuples(
        st.just("limit"),
        st.none() | st.integers(1, 1 << 30),
        st.none() | st.integers(1, 1 << 30),
        st.floats(0, 1),
    ),
    st.tuples(st.sampled_from(["begin", "limited"])),
)


@given(st.lists(st.tuples(st.floats(0, 3), steps), max_size=40))
def test_both_twins_count_alike(taken: list[tuple[float, tuple[Any, ...]]]) -> None:
    twins = [new_meter(implementation) for implementation in IMPLEMENTATIONS]
    now = NOW
    for seconds, (name, *arguments) in taken:
        now += seconds
        at = [now] if name in {"pause", "passes"} else []
        results = [getattr(one, name)(*arguments, *at) for one in twins]
        assert results[0] == pytest.approx(results[1], abs=1e-5)
        assert twins[0].quota == twins[1].quota
        # Times may differ by a rounding.
        assert list(twins[0].words[:9]) == list(twins[1].words[:9])
        assert list(twins[0].words[13:]) == list(twins[1].words[13:])
