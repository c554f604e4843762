"""Limits of several processes together."""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsocks.policy import Cap, ClientCounts, ClientLimits
from fastsocks.policy.client_counts import CONNECTIONS

WORKERS = 3

pytestmark = pytest.mark.skipif(
    not hasattr(os, "memfd_create"), reason="this system has no memfds to share counts by"
)


def shared_counts() -> list[ClientCounts]:
    """Return the counts of each of several processes, all over one memory."""
    first = ClientCounts(WORKERS)
    others = (os.dup(first.memory.descriptor) for _ in range(1, WORKERS))
    return [first, *(ClientCounts(WORKERS, one) for one in others)]


def shared_limits(limits_class: Any, **caps: Any) -> list[ClientLimits]:
    """Return the limits of each of several processes, all over one memory."""
    found = []
    for worker, counts in enumerate(shared_counts()):
        counts.enter(worker)
        found.append(limits_class(**caps, counts=counts))
    return found


@pytest.mark.parametrize(
    ("cap", "host"),
    [
        (Cap.CONNECTIONS, "192.0.2.2"),
        (Cap.CONNECTIONS_PER_CLIENT, "192.0.2.1"),
        (Cap.HANDSHAKES, "192.0.2.2"),
        (Cap.HANDSHAKES_PER_CLIENT, "192.0.2.1"),
    ],
)
def test_what_the_others_have_counts(limits_class: Any, cap: Cap, host: str) -> None:
    one, other, _ = shared_limits(limits_class, **{cap.value: 2})
    first, second = one.admit("192.0.2.1"), other.admit("192.0.2.1")
    assert first is not None
    assert second is not None
    assert one.admit(host) is None
    assert one.hits == {cap: 1}
    if cap.per_client:
        assert one.admit("192.0.2.9") is not None
    second.leave()
    assert one.admit(host) is not None


def test_a_handshake_that_is_finished_counts_no_more(limits_class: Any) -> None:
    one, other, _ = shared_limits(limits_class, max_handshakes=1)
    first = one.admit("192.0.2.1")
    assert first is not None
    assert other.admit("192.0.2.1") is None
    first.established()
    assert other.admit("192.0.2.1") is not None


def test_a_cap_of_one_process(limits_class: Any) -> None:
    memory = ClientCounts(WORKERS)
    limits = limits_class(max_connections=9, max_connections_here=1, counts=memory)
    assert limits.admit("192.0.2.1") is not None
    assert limits.admit("192.0.2.1") is None


def test_what_a_dead_process_had_is_forgotten(limits_class: Any) -> None:
    one, other, third = shared_limits(limits_class, max_connections_per_client=3)
    for limits in (one, one, other):
        assert limits.admit("192.0.2.1") is not None
    assert third.admit("192.0.2.1") is None
    assert other.counts is not None
    other.counts.forget(0)
    assert third.admit("192.0.2.1") is not None
    assert third.admit("192.0.2.1") is not None
    assert third.admit("192.0.2.1") is None


@given(
    steps=st.lists(
        st.tuples(st.integers(0, WORKERS - 1), st.integers(0, 9), st.integers(0, 2)), max_size=120
    )
)
def test_counts_are_those_of_a_plain_table(steps: list[tuple[int, int, int]]) -> None:
    counts = shared_counts()
    for worker, one in enumerate(counts):
        one.enter(worker)
    plain: Counter[tuple[int, str, int]] = Counter()
    for worker, number, what in steps:
        client = f"192.0.2.{number}"
        if what == 2:
            counts[0].forget(worker)
            for key in list(plain):
                if key[0] == worker:
                    del plain[key]
            continue
        kind = what
        change = -1 if plain[worker, client, kind] > 1 else 1
        plain[worker, client, kind] += change
        counts[worker].add(counts[worker].places(client), kind, change)
        for here, one in enumerate(counts):
            for asked in range(10):
                name = f"192.0.2.{asked}"
                elsewhere = [key for key in plain if key[0] != here and key[2] == kind]
                of_client = sum(plain[key] for key in elsewhere if key[1] == name)
                assert one.elsewhere(kind) == sum(plain[key] for key in elsewhere)
                assert one.elsewhere_of(one.places(name), kind) == of_client


def test_few_clients_are_counted_too_high() -> None:
    """Of 20,000 others, each with one connection, hardly any adds to a client."""
    one = ClientCounts(2)
    source = random.Random(1)
    for _ in range(20_000):
        host = str(source.getrandbits(32))
        one.add(one.places(host), CONNECTIONS, 1)
    one.enter(1)
    too_high = [one.elsewhere_of(one.places(f"192.0.2.{n}"), CONNECTIONS) for n in range(200)]
    assert max(too_high) < 8


def test_memory_of_another_size() -> None:
    with pytest.raises(ValueError, match="'clients', layout 1, belong"):
        ClientCounts(2, os.dup(ClientCounts(3).memory.descriptor))
    with pytest.raises(ValueError, match="0 workers"):
        ClientCounts(0)
