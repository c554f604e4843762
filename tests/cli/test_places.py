"""Many ports take few words."""

from __future__ import annotations

import pytest

from fastsocks.cli.places import listed


@pytest.mark.parametrize(
    ("addresses", "lines"),
    [
        ([], []),
        ([("192.0.2.1", 2), ("::1", 1)], ["192.0.2.1:2", "[::1]:1"]),
        ([("h", port) for port in range(8, 0, -1)], [f"h:{port}" for port in range(8, 0, -1)]),
        ([("192.0.2.1", port) for port in range(1, 1001)], ["192.0.2.1:1-1000 (1000 ports)"]),
        (
            [("::1", port) for port in (9, 1, 2, 5, 7, 8, 3, 11)] + [("192.0.2.1", 9)],
            ["[::1]:1-3,5,7-9,11 (8 ports)", "192.0.2.1:9"],
        ),
    ],
)
def test_each_by_itself_or_ranges(addresses: list[tuple[str, int]], lines: list[str]) -> None:
    assert list(listed(addresses)) == lines


def test_no_line_grows_without_bound() -> None:
    lines = list(listed([("192.0.2.1", port) for port in range(1, 65536, 2)]))
    assert max(map(len, lines)) < 400
    assert "(50 ports)" in lines[0]
    assert lines[-1].endswith("65535 (18 ports)")
