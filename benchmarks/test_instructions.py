"""What the instrument reads, and which rows it is asked for."""

from __future__ import annotations

import pytest

from benchmarks.instructions.relay import CountError, totals
from benchmarks.instructions.rows import ROWS, chosen


def test_totals_of_what_callgrind_wrote() -> None:
    text = "# callgrind format\nevents: Ir\nfn=(1) main\n1 47287265\nsummary: 3\ntotals: 47287267\n"
    assert totals(text) == 47287267
    with pytest.raises(CountError):
        totals(text.partition("totals")[0])


def test_rows_are_chosen_by_pattern() -> None:
    assert chosen([]) == ROWS
    assert [row.name for row in chosen(["proxy/short", "*/aes-256-gcm/datagram"])] == [
        "server/aes-256-gcm/datagram",
        "local/aes-256-gcm/datagram",
        "proxy/short",
    ]
    with pytest.raises(LookupError, match="proxy/idle"):
        chosen(["proxy/short", "proxies"])
