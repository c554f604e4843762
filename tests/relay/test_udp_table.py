"""Which association goes when there are too many, and what may wait."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twins import IMPLEMENTATIONS, import_twin

#: Of one association, of one client and in all, in bytes; what a datagram takes beside itself.
OF_ONE, OF_CLIENT, IN_ALL, OVERHEAD = 80 << 10, 4 << 20, 16 << 20, 256


class Table:
    """A table of either twin, and the entries in it."""

    def __init__(self, implementation: str, *caps: int) -> None:
        name = "_udp" if implementation == "cython" else "_udp_table"
        module = import_twin("fastsocks.relay", name, implementation)
        self.table = module.AssociationTable(*caps)
        self._entry: Callable[[], Any] = module.Entry
        #: In the order of their use; of whom each is.
        self.used: dict[Any, tuple[str, str | None]] = {}

    def add(self, client: str, user: str | None = None) -> Any:
        """Take one in."""
        entry = self._entry()
        self.table.add(entry, client, user)
        self.used[entry] = client, user
        return entry

    def touch(self, entry: Any) -> None:
        """Use one."""
        self.table.touch(entry)
        self.used[entry] = self.used.pop(entry)

    def remove(self, entry: Any) -> None:
        """Take one out."""
        self.table.remove(entry)
        del self.used[entry]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from("ABCD"), st.sampled_from([None, "u", "v"])),
        st.tuples(st.sampled_from(["touch", "remove"]), st.integers(0, 30), st.none()),
    ),
    max_size=60,
)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@given(steps=STEPS, caps=st.tuples(*(st.sampled_from([0, 1, 2, 3, 6]),) * 3))
def test_what_goes(implementation: str, steps: list[Any], caps: tuple[int, int, int]) -> None:
    table = Table(implementation, *caps)
    for step, which, user in steps:
        if step == "add":
            _make_room(table, caps, which, user)
            table.add(which, user)
        elif table.used:
            entry = list(table.used)[which % len(table.used)]
            (table.touch if step == "touch" else table.remove)(entry)
        assert set(table.table.entries) == set(table.used)


def _make_room(table: Table, caps: tuple[int, int, int], client: str, user: str | None) -> None:
    capacity, per_client, per_user = caps
    while (found := table.table.in_the_way(client, user)) is not None:
        gone, cap, whose = found
        of_client = [one for one, (its, _) in table.used.items() if its == client]
        of_user = [one for one, (_, its) in table.used.items() if its == user]
        if user is not None and 0 < per_user <= len(of_user):
            assert (gone, cap, whose) == (of_user[0], "udp_max_associations_per_user", user)
        elif 0 < per_client <= len(of_client):
            assert (gone, cap, whose) == (of_client[0], "udp_max_associations_per_client", client)
        else:
            assert 0 < capacity <= len(table.used)
            assert cap == "udp_max_associations"
            has = Counter(its for its, _ in table.used.values())
            its = table.used[gone][0]
            assert has[its] == max(has.values()), "somebody else has more"
            assert gone == next(one for one, (other, _) in table.used.items() if other == its)
            if has[client] == has[its]:
                assert its == client, "it is the newcomer that has most"
            elif has[its] == 1:
                assert gone == next(iter(table.used)), "an older one stays"
        table.remove(gone)
    assert not 0 < capacity <= len(table.used)


def test_a_client_that_has_few_keeps_them(implementation: str) -> None:
    table = Table(implementation, 8, 0, 0)
    victim = table.add("victim")
    for _ in range(100):
        found = table.table.in_the_way("flood", None)
        if found is not None:
            table.remove(found[0])
        table.add("flood")
    assert victim in table.used
    assert len(table.used) == 8


def test_idle_ones_are_found(implementation: str) -> None:
    table = Table(implementation, 0, 0, 0)
    entries = [table.add("A") for _ in range(3)]
    assert table.table.idle_since(0.0) == []
    table.touch(entries[0])
    assert table.table.idle_since(float("inf")) == [entries[1], entries[2], entries[0]]


def test_what_has_gone_is_no_longer_counted(implementation: str) -> None:
    table = Table(implementation, 2, 0, 0)
    entry = table.add("A")
    assert table.table.let_wait(entry, 100)
    assert table.table.waiting == 1
    table.remove(entry)
    table.table.remove(entry)
    assert table.table.waiting == 0
    assert not table.table.let_wait(entry, 100)
    table.table.release(entry, 100)
    assert table.table.waiting == 0
    assert table.table.in_the_way("A", None) is None


@pytest.mark.parametrize(
    ("size", "most"), [(0, 16), (65507, 1), (1200, 16), ((OF_ONE >> 3) - OVERHEAD, 8)]
)
def test_one_association_lets_so_many_wait(implementation: str, size: int, most: int) -> None:
    table = Table(implementation, 0, 0, 0)
    entry = table.add("A")
    assert [table.table.let_wait(entry, size) for _ in range(most + 1)] == [True] * most + [False]
    table.table.release(entry, size)
    assert table.table.let_wait(entry, size)


def test_one_client_leaves_room_for_the_others(implementation: str) -> None:
    table = Table(implementation, 0, 0, 0)
    size = OF_ONE - OVERHEAD
    for client in "ABCDE":
        taken = [table.table.let_wait(table.add(client), size) for _ in range(60)]
        expected = OF_CLIENT // OF_ONE if client < "E" else IN_ALL // OF_ONE % (OF_CLIENT // OF_ONE)
        assert taken.count(True) == expected


def test_choosing_costs_the_same_among_many() -> None:
    """Counts lines of the pure-Python twin; the other one has the same loops."""

    def lines_for(count: int) -> int:
        table = Table("python", count, 0, 0)
        for number in range(count):
            table.add(f"client {number % (count // 10)}")
        lines = 0

        def trace(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal lines
            lines += event == "line"
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            for _ in range(5):
                found = table.table.in_the_way("newcomer", None)
                table.table.remove(found[0])
                table.table.add(found[0], "newcomer", None)
        finally:
            sys.settrace(before)
        return lines

    assert lines_for(100) == lines_for(20_000) > 0
