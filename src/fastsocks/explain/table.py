"""Explanations as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .walk import Explanation, Field

_HEAD = ("offset", "bytes", "field", "meaning", "described in")
#: How many bytes of a field are shown.
_SHOWN = 12


def format_table(explanation: Explanation) -> str:
    """Return an explanation as a title, a table, and what is wrong."""
    rows = [_HEAD, *map(_row, explanation.fields)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = [explanation.title]
    lines += [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    if explanation.fault is not None:
        lines.append(f"WRONG: {printable(explanation.fault)}")
    return "\n".join(lines)


def _row(field: Field) -> tuple[str, ...]:
    size = len(field.data)
    shown = "(not shown)" if field.secret else field.data[:_SHOWN].hex(" ")
    if size > _SHOWN and not field.secret:
        shown += f" .. {size} bytes"
    return field.offset, shown, field.name, printable(field.meaning), field.source


def printable(text: str) -> str:
    """Return `text` on one line: what a peer chose must not write to the terminal as it likes."""
    return text if text.isprintable() else repr(text)[1:-1]
