"""Snapshots of what a service has done, by one process or by several."""

from __future__ import annotations

import dataclasses
import json
import os

import pytest

import fastsocks
from fastsocks.journal.process_counts import GAUGES, NAMES, ProcessCounts
from fastsocks.journal.stats import CapStats, Stats
from fastsocks.policy import Cap, Usage


def test_a_snapshot_of_nothing() -> None:
    stats = Stats.of({}, {Cap.CONNECTIONS: 7}, {})
    assert (stats.accepted, stats.active, stats.failures) == (0, 0, {})
    assert stats.relayed == Usage(0, 0, 0, 0)
    assert stats.datagrams.dropped == {}
    assert stats.caps == {"max_connections": CapStats(limit=7, used=0, hits=0)}


def test_each_counter_has_its_place() -> None:
    counts = {name: place for place, name in enumerate(NAMES, 1)}
    stats = Stats.of(counts, dict.fromkeys(Cap, 9), {"alice": Usage(1, 0, 2, 3)})
    found: list[int] = []

    def collect(value: object) -> None:
        if isinstance(value, dict):
            for one in value.values():
                collect(one)
        elif isinstance(value, int):
            found.append(value)

    told = dataclasses.asdict(stats)
    assert told.pop("users") == {"alice": Usage(1, 0, 2, 3)}
    told["relayed"] = told["relayed"]._asdict()
    for cap in told["caps"].values():
        assert cap.pop("limit") == 9
    collect(told)
    # How many associations there are is told twice.
    assert sorted(found) == sorted([*counts.values(), counts["associations"]])
    with pytest.raises(dataclasses.FrozenInstanceError):
        stats.accepted = 1  # type: ignore[misc]


def test_it_can_be_sent_on() -> None:
    stats = Stats.of({"failed.reset": 2}, {Cap.HANDSHAKES_PER_CLIENT: 1}, {None: Usage(1, 1, 2, 3)})
    told = json.loads(json.dumps(dataclasses.asdict(stats)))
    assert told["failures"] == {"reset": 2}
    assert told["caps"]["max_handshakes_per_client"] == {"limit": 1, "used": None, "hits": 0}


def test_processes_count_together() -> None:
    counts = ProcessCounts(3)
    for worker, accepted in enumerate((5, 6, 7)):
        counts.enter(worker)
        counts.write({"accepted": accepted, "active": worker, "failed.reset": 1})
    assert counts.total() == {"accepted": 18, "active": 3, "failed.reset": 3}


def test_a_successor_goes_on_where_a_process_has_died() -> None:
    counts = ProcessCounts(2)
    counts.enter(1)
    counts.write({**dict.fromkeys(GAUGES, 4), "accepted": 5, "bytes_up": 1 << 40})
    counts.forget(1)
    assert counts.total() == {"accepted": 5, "bytes_up": 1 << 40}
    counts.enter(1)
    counts.write({"accepted": 1, "active": 1})
    counts.write({"accepted": 2, "active": 1})
    assert counts.total() == {"accepted": 7, "active": 1, "bytes_up": 1 << 40}


def test_reasons_of_a_program_are_counted_together() -> None:
    class OwnError(fastsocks.PolicyError):
        status = "own"

    counts = ProcessCounts(1)
    counts.write({f"failed.{OwnError.status}": 2, "failed.whatever": 3, "dropped.own": 4})
    assert counts.total() == {"failed.other": 5, "dropped.other": 4}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_process_is_read() -> None:
    counts = ProcessCounts(2)
    if pid := os.fork():
        assert os.waitpid(pid, 0)[1] == 0
    else:
        try:
            counts.enter(1)
            counts.write({"accepted": 3, "hit.max_connections": 2})
        finally:
            os._exit(0)
    assert counts.total() == {"accepted": 3, "hit.max_connections": 2}
