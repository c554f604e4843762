"""benchmarks/instructions.md: what each change did to the table, and which rises are meant.

A section, newest first, is one change::

    ## Its name

    Base `REVISION`, head `REVISION`; what it was measured with.

    | row | base | head | change |
    | --- | --- | --- | --- |
    | proxy/short | 29,788 | 30,501 | +2.4% |

    - `*/short` may rise by 2.5%: the reason.

What stands before the first section is about the file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

_STATEMENT = re.compile(r"^- `(?P<rows>[^`]+)` may rise by (?P<percent>[0-9.]+)%: \S")
_SECTION = re.compile(r"^(?=## )", re.MULTILINE)
_MEASURED = re.compile(r"^(Base `.*|\|.*\|)$")


class HistoryError(Exception):
    """A line of the history cannot be read."""


@dataclass(frozen=True)
class Statement:
    """That a rise is meant: of which rows (a pattern of fnmatch), and by which part at most."""

    section: str
    rows: str
    rise: float


def statements(text: str) -> list[Statement]:
    """Read all statements of a history. Raises HistoryError."""
    found = []
    for section in _SECTION.split(text)[1:]:
        title, *lines = section.splitlines()
        for line in lines:
            if not line.startswith("- "):
                continue
            matched = _STATEMENT.match(line)
            if matched is None:
                raise HistoryError(
                    f"{title[3:]}: {line!r} is not of the form "
                    "'- `ROWS` may rise by NUMBER%: REASON'"
                )
            found.append(
                Statement(title[3:].strip(), matched["rows"], float(matched["percent"]) / 100)
            )
    return found


def meant(row: str, here: Sequence[Statement], base: Sequence[Statement]) -> float:
    """By which part a row is said to rise here, by what the history of the base did not say yet."""
    return sum(one.rise for one in here if one not in base and fnmatchcase(row, one.rows))


def recorded(text: str, title: str, revisions: str, table: str) -> str:
    """Return the history with a measurement: in the section `title`, or in a new first one."""
    about, *sections = (section.strip() for section in _SECTION.split(text))
    measured = f"## {title}\n\n{revisions}\n\n{table}"
    for at, section in enumerate(sections):
        name, *lines = section.splitlines()
        if name == f"## {title}":
            rest = "\n".join(line for line in lines if not _MEASURED.match(line)).strip()
            sections[at] = f"{measured}\n\n{rest}" if rest else measured
            break
    else:
        sections.insert(0, measured)
    return "\n\n".join([about, *sections]) + "\n"
