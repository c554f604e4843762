"""The memory of salts, on both twins: alone, side by side, and shared by processes."""

from __future__ import annotations

import copy
import json
import mmap
import random
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import salt_racer
from fastsocks.errors import ReplayError
from fastsocks.shadowsocks.salt_memory import SLOTS, memory_size
from harness.deadline import DEADLINE
from harness.services import environment
from salt_racer import CAPACITY, RACES, SALTS_IN_A_RACE, FileLock
from twins import IMPLEMENTATIONS, import_twin

#: Unix time at which tests begin.
START = 100_000


@pytest.fixture
def salt_filter(implementation: str) -> Any:
    """The class, of each twin in turn."""
    return import_twin("fastsocks.shadowsocks", "_salts", implementation).SaltFilter


def salts(count: int, seed: int = 1) -> list[int]:
    """Make fingerprints of salts."""
    source = random.Random(seed)
    return [source.getrandbits(64) for _ in range(count)]


def test_salts_are_seen(salt_filter: Any) -> None:
    made = salt_filter(100_000)
    for salt in salts(500):
        assert not made.seen(salt)
        assert made.add(salt) is True
        assert made.seen(salt)
        assert made.add(salt) is False
    assert all(map(made.seen, salts(500)))


def test_a_bucket_remembers_the_last_64(salt_filter: Any) -> None:
    made, added = salt_filter(64), salts(300)
    for number, salt in enumerate(added):
        assert made.add(salt)
        assert list(map(made.seen, added)) == [
            number - 64 < other <= number for other in range(len(added))
        ]


def test_the_last_quarter_is_always_remembered(salt_filter: Any) -> None:
    capacity = 8192
    made, added = salt_filter(capacity), salts(3 * capacity)
    for salt in added:
        assert made.add(salt)
    assert all(map(made.seen, added[-capacity // 4 :]))
    remembered = sum(map(made.seen, added))
    assert capacity * 0.95 < remembered <= capacity


def test_with_a_retention_none_is_forgotten_early(salt_filter: Any) -> None:
    text = (Path(__file__).parent.parent / "vectors" / "replay.json").read_text()
    vectors = json.loads(text)["salt_store"]
    made = salt_filter(64, vectors["retention_seconds"])
    for step in vectors["steps"]:
        fingerprint = int.from_bytes(step["salt"].encode(), "big")
        assert made.add(fingerprint, START + step["t"]) is step["accept"], step


def test_what_must_be_kept_is_kept_and_the_new_one_refused(salt_filter: Any) -> None:
    made, added = salt_filter(64, 62), salts(66)
    for number, salt in enumerate(added[:64]):
        assert made.add(salt, START + number / 2)
    for later in (32, 62, 72.9):
        with pytest.raises(ReplayError, match="too many"):
            made.add(added[64], START + later)
    assert all(made.seen(salt, START + 62) for salt in added[:64])
    assert made.add(added[64], START + 73)
    assert made.add(added[65], START + 73)
    assert not made.seen(added[0], START + 73)
    with pytest.raises(ReplayError):
        made.add(added[0], START + 73)


def test_a_replay_does_not_extend_the_time(salt_filter: Any) -> None:
    made = salt_filter(64, 10)
    assert made.add(1, START)
    assert not made.add(1, START + 10.9)
    assert made.add(1, START + 11)


def test_times_wrap(salt_filter: Any) -> None:
    """After 2**15 seconds an old time looks like the present; that must refuse nobody."""
    now: float = START
    made = salt_filter(64, 62)
    for salt in salts(64):
        now += 4
        assert made.add(salt, now)
    now += 2**15 - 4 * 63
    for salt in salts(100, seed=2):
        now += 1.3
        assert made.add(salt, now)


def test_a_clock_that_was_read_late(salt_filter: Any) -> None:
    """Another process may have read the time later, and added first."""
    made = salt_filter(64, 62)
    assert made.add(1, START)
    assert not made.add(1, START - 5)
    assert made.add(2, START - 5)


def test_a_clock_that_is_set_back(salt_filter: Any) -> None:
    """What was forgotten since may be valid again: it is refused, with all that is new."""
    made, added = salt_filter(64, 62), salts(66)
    assert made.add(added[0], START)
    assert made.add(added[1], START + 3600)
    for back in (0, 3594):
        with pytest.raises(ReplayError, match=f"set back by {3600 - back} s"):
            made.add(added[2], START + back)
    assert not made.add(added[1], START + 3600)
    assert made.add(added[2], START + 3595)


@given(
    jumps=st.lists(st.tuples(st.integers(-100, 200), st.integers(0, 7)), max_size=60),
)
def test_whatever_the_clock_does_no_replay_passes(jumps: list[tuple[int, int]]) -> None:
    """A request passes at times within 30 s of its stamp; never twice."""
    made = import_twin("fastsocks.shadowsocks", "_salts", "python").SaltFilter(64, 62)
    passed: dict[int, int] = {}
    source, now = random.Random(1), START
    for jump, count in jumps:
        now += jump
        stamps = {source.getrandbits(64): now + source.randint(-30, 30) for _ in range(count * 8)}
        for salt, stamp in [*passed.items(), *stamps.items()]:
            if abs(stamp - now) <= 30 and _added(made.add, salt, now):
                assert salt not in passed
                passed[salt] = stamp


@given(
    retention=st.sampled_from([None, 5]),
    capacity=st.sampled_from([1, 64, 65, 200]),
    steps=st.lists(
        st.tuples(st.sampled_from([0, *range(2, 200)]), st.integers(-3, 9)), max_size=150
    ),
)
def test_the_twins_write_the_same(
    retention: int | None, capacity: int, steps: list[tuple[int, int]]
) -> None:
    memories: list[mmap.mmap] = []
    filters: list[Any] = []
    now = START
    for one in IMPLEMENTATIONS:
        memory = mmap.mmap(-1, memory_size(capacity))
        kind = import_twin("fastsocks.shadowsocks", "_salts", one).SaltFilter
        memories.append(memory)
        filters.append(kind(capacity, retention, memory=memory))
    for number, seconds in steps:
        now += seconds
        salt = random.Random(number).getrandbits(64) if number else 0
        assert len({one.seen(salt, now) for one in filters}) == 1
        assert len({_added(one.add, salt, now) for one in filters}) == 1
        assert memories[0][:] == memories[1][:]


def _added(add: Callable[[int, int], bool], salt: int, now: int) -> bool | None:
    try:
        return add(salt, now)
    except ReplayError:
        return None


@pytest.mark.parametrize("capacity", [0, 2**32 + 1])
def test_capacities(salt_filter: Any, capacity: int) -> None:
    with pytest.raises(ValueError, match="1 to 4294967296"):
        salt_filter(capacity)


@pytest.mark.parametrize("retention", [0, 3601])
def test_retentions(salt_filter: Any, retention: int) -> None:
    with pytest.raises(ValueError, match="1 to 3600"):
        salt_filter(64, retention)


def test_memory_of_another_size(salt_filter: Any) -> None:
    with pytest.raises(ValueError, match="100 bytes of memory"):
        salt_filter(64, memory=mmap.mmap(-1, 100))


def test_memory_is_eight_bytes_a_salt() -> None:
    assert memory_size(1 << 20) == 64 + 8 * (1 << 20)


def test_no_copies_in_cython() -> None:
    made = import_twin("fastsocks.shadowsocks", "_salts", "cython").SaltFilter(10)
    with pytest.raises(TypeError):
        copy.copy(made)


# Several processes


@pytest.fixture
def shared_file(tmp_path: Path) -> Iterator[IO[bytes]]:
    with (tmp_path / "salts").open("w+b") as file:
        yield file


def _start(
    file: IO[bytes], implementation: str, race: str, count: int
) -> list[subprocess.Popen[bytes]]:
    """Start processes that wait for a byte and then run a race of :mod:`salt_racer`."""
    script = str(Path(salt_racer.__file__))
    racers = [
        subprocess.Popen(
            [sys.executable, script, str(file.name), implementation, race, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
        )
        for number in range(count)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.read(1) == b"."
    return racers


def _go(racers: list[subprocess.Popen[bytes]]) -> None:
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write(b"!")
        racer.stdin.flush()


def _results(racers: list[subprocess.Popen[bytes]]) -> list[bytes]:
    found = [racer.communicate(timeout=DEADLINE)[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * len(racers)
    return found


@pytest.mark.parametrize("race", ["same", "same-timed"])
def test_of_several_processes_one_adds_a_salt(
    implementation: str, race: str, shared_file: IO[bytes]
) -> None:
    shared_file.truncate(RACES * mmap.ALLOCATIONGRANULARITY)
    racers = _start(shared_file, implementation, race, 3)
    _go(racers)
    counts = [sum(won) for won in zip(*_results(racers), strict=True)]
    assert counts == [1] * (RACES * SALTS_IN_A_RACE)


def test_each_salt_takes_the_next_slot(implementation: str, shared_file: IO[bytes]) -> None:
    """However they interleave: the laps of a bucket tell how many salts went into it."""
    shared_file.truncate(memory_size(CAPACITY))
    racers = _start(shared_file, implementation, "different", 3)
    _go(racers)
    added = sum(map(sum, _results(racers)))
    with mmap.mmap(shared_file.fileno(), memory_size(CAPACITY)) as memory:
        slots = struct.unpack(f"={SLOTS}Q", memory[64:])
    whole, rest = divmod(added, SLOTS)
    assert [slot & 1 for slot in slots] == [(whole + (place < rest)) % 2 for place in range(SLOTS)]
    assert len(set(slots)) == SLOTS


def test_a_killed_process_leaves_no_lock(
    implementation: str, salt_filter: Any, shared_file: IO[bytes]
) -> None:
    shared_file.truncate(memory_size(CAPACITY))
    racers = _start(shared_file, implementation, "endless", 2)
    _go(racers)
    for racer in racers:
        assert racer.stdout is not None
        racer.stdout.read(1)
        racer.send_signal(signal.SIGKILL)
    memory = mmap.mmap(shared_file.fileno(), memory_size(CAPACITY))
    mine = salt_filter(CAPACITY, memory=memory, lock=FileLock(shared_file))
    for salt in salts(200):
        assert mine.add(salt)
        assert not mine.add(salt)
    for racer in racers:
        racer.communicate(timeout=DEADLINE)
        assert racer.returncode == -signal.SIGKILL
