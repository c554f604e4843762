"""Two trees side by side: the table of their rows, and what rose without a word of it."""

from __future__ import annotations

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
        stated = meant(one.row.name, here, base)
        limit = max(one.row.work.limit, stated)
        if one.change > limit:
            said = f"benchmarks/instructions.md says {stated:.2%}" if stated else "nothing says why"
            problems.append(
                f"{one.row.name} rises by {one.change:.2%}, more than {limit:.0%}; {said}"
            )
    return problems


def markdown(found: Sequence[Comparison]) -> str:
    """Write the table."""
    rows = [
        [one.row.name, f"{one.base:,.0f}", f"{one.head:,.0f}", f"{one.change:+.2%}"]
        for one in found
    ]
    return table(["row", "base", "head", "change"], rows)
