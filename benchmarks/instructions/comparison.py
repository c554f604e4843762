"""Two trees side by side: the table of their rows, and what rose without a word of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..macro.report import table
from .history import Statement, meant
from .rows import Row


@dataclass(frozen=True)
class Comparison:
    """A row in both trees."""

    row: Row
    base: float
    head: float

    @property
    def change(self) -> float:
        """By which part it rose."""
        return self.head / self.base - 1


def risen(
    found: Sequence[Comparison], here: Sequence[Statement], base: Sequence[Statement]
) -> list[str]:
    """Say which rows rose by more than they may, and than the history says that they are meant to.

    Parameters: the statements of this tree's history, and of the base's.
    """
    problems = []
    for one in found:
        limit = max(one.row.work.limit, meant(one.row.name, here, base))
        if one.change > limit:
            most = math.ceil(one.change * 1000) / 10
            problems.append(
                f"{one.row.name} rises by {one.change:.2%}, and may by {limit:.1%}: mend it, or "
                "say why in the section of this change in benchmarks/instructions.md, by a line "
                f"'- `{one.row.name}` may rise by {most}%: REASON'"
            )
    return problems


def markdown(found: Sequence[Comparison]) -> str:
    """Write the table."""
    rows = [
        [one.row.name, f"{one.base:,.0f}", f"{one.head:,.0f}", f"{one.change:+.2%}"]
        for one in found
    ]
    return table(["row", "base", "head", "change"], rows)
