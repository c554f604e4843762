"""What the instrument reads, what its table says, and when a rise fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.instructions.comparison import Comparison, markdown, risen
from benchmarks.instructions.functions import changed, own_costs, readable
from benchmarks.instructions.history import HistoryError, Statement, recorded, statements
from benchmarks.instructions.relay import CountError, totals
from benchmarks.instructions.rows import ROWS, Row, chosen

HISTORY = Path(__file__).parent / "instructions.md"

#: A loop that has not returned (calls=0) calls `work` twice; 3 + 40 instructions.
COUNTED = """\
# callgrind format
events: Ir

fl=(1) loop.c
fn=(1) run_forever
10 1
+2 2
cfn=(2) work
calls=2 +5
* 40
calls=0 +5
* 999
fn=(2)
20 30
-1 10

summary: 43
totals: 43
"""


def row(name: str) -> Row:
    (found,) = chosen([name])
    return found


def compared(name: str, rise: float) -> Comparison:
    return Comparison(row(name), 1000, 1000 * (1 + rise))


def test_totals_of_what_callgrind_wrote() -> None:
    assert totals(COUNTED) == 43
    with pytest.raises(CountError):
        totals(COUNTED.partition("totals")[0])


def test_own_costs_add_up_to_the_totals() -> None:
    assert own_costs(COUNTED) == {"run_forever": 3, "work": 40}


def test_functions_that_changed_most_come_first() -> None:
    more = COUNTED.replace("20 30", "20 130").replace("+2 2", "+2 1")
    assert changed(COUNTED, more, 10) == [("work", 10.0), ("run_forever", -0.1)]
    assert changed(COUNTED, COUNTED, 10) == []


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("__pyx_f_9fastsocks_5setup_11_connection_10Connection_hand_over", "Connection.hand_over"),
        ("__pyx_pw_9fastsocks_5setup_6_setup_8Acceptor_14_accept'2", "Acceptor.accept"),
        ("__pyx_pw_9fastsocks_5setup_11_connection_10Connection_3leave", "Connection.leave"),
        ("_PyEval_EvalFrameDefault'2", "_PyEval_EvalFrameDefault"),
    ],
)
def test_names_of_functions(name: str, wanted: str) -> None:
    assert readable(name, "libc.so.6") == wanted


def test_a_function_without_a_name_has_that_of_its_library() -> None:
    text = (
        "ob=(1) /usr/lib/loop.so\nfn=(1) run\n1 1\ncob=(2) /usr/lib/libcrypto.so.3\n"
        "cfn=(2) 0x00002a57d0\ncalls=1 0\n1 5\ncfn=(3) 0x0010\ncalls=1 0\n1 7\n\n"
        "ob=(2)\nfn=(2)\n0 5\n\nob=(1)\nfn=(3)\n0 7\n"
    )
    assert own_costs(text) == {"run": 1, "libcrypto.so.3:0x2a57d0": 5, "loop.so:0x10": 7}


def test_rows_are_chosen_by_pattern() -> None:
    assert chosen([]) == ROWS
    assert [row.name for row in chosen(["proxy/short", "*/aes-256-gcm/datagram"])] == [
        "server/aes-256-gcm/datagram",
        "local/aes-256-gcm/datagram",
        "proxy/short",
    ]
    with pytest.raises(LookupError, match="proxy/idle"):
        chosen(["proxy/short", "proxies"])


def test_table() -> None:
    assert markdown([Comparison(row("proxy/short"), 29788, 30501)]).splitlines()[2] == (
        "| proxy/short | 29,788 | 30,501 | +2.39% |"
    )


def test_a_rise_that_nothing_is_said_of_fails() -> None:
    found = [compared("proxy/short", 0.02), compared("proxy/idle", 0.009)]
    (problem,) = risen(found, [], [])
    assert problem.startswith("proxy/short rises by 2.00%")
    line = problem.partition("'")[2].rstrip("'")
    assert risen(found, statements(f"## This\n\n{line}\n"), []) == []
    assert risen([compared("proxy/short", -0.5)], [], []) == []


def test_a_rise_that_is_said_to_be_meant_passes() -> None:
    said = [Statement("A change", "*/short", 0.025)]
    assert risen([compared("proxy/short", 0.02)], said, []) == []
    assert risen([compared("proxy/short", 0.03)], said, [])
    assert risen([compared("proxy/datagram", 0.02)], said, [])


def test_what_the_base_said_already_is_not_said_again() -> None:
    old = Statement("A change", "*/short", 0.025)
    assert risen([compared("proxy/short", 0.02)], [old], [old])
    new = Statement("Another", "*/short", 0.025)
    assert risen([compared("proxy/short", 0.02)], [old, new], [old]) == []


def test_statements_of_a_history() -> None:
    text = (
        "# About\n\n- `x` is no statement\n\n## Two\n\n| row | base |\n\n"
        "- `*/short` may rise by 2.5%: a reason\n\n## One\n\n- `proxy/idle` may rise by 3%: why\n"
    )
    assert statements(text) == [
        Statement("Two", "*/short", 0.025),
        Statement("One", "proxy/idle", 0.03),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "- proxy/short may rise by 2%: no marks",
        "- `proxy/short` may rise by 2%:",
        "- `proxy/short` may rise by 2: a reason",
    ],
)
def test_a_statement_that_cannot_be_read_is_told(line: str) -> None:
    with pytest.raises(HistoryError, match="One"):
        statements(f"# About\n\n## One\n\n{line}\n")


def test_a_measurement_is_recorded_first_and_in_its_place() -> None:
    start = "# About\n\nText.\n"
    one = recorded(start, "One", "Base `a`, head `b`.", "| row |")
    assert one == "# About\n\nText.\n\n## One\n\nBase `a`, head `b`.\n\n| row |\n"
    two = recorded(one + "\n- `proxy/*` may rise by 2%: why\n", "Two", "Base `b`.", "| new |")
    assert two.index("## Two") < two.index("## One")
    again = recorded(two, "One", "Base `a`, head `c`.", "| row |\n| again |")
    assert "`b`.\n\n| row |" not in again
    assert again.endswith(
        "## One\n\nBase `a`, head `c`.\n\n| row |\n| again |\n\n- `proxy/*` may rise by 2%: why\n"
    )
    assert "| new |" in again


def test_the_history_that_is_kept_can_be_read() -> None:
    for statement in statements(HISTORY.read_text()):
        assert 0 < statement.rise < 1
