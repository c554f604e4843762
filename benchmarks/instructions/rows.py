"""The rows of the table: what is asked of which end, how often, and how much more of it fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..macro.peer import SOCKS5

#: A rise by more than this part fails, where a row does not say otherwise.
LIMIT = 0.01

_METHODS = ("aes-256-gcm", "2022-blake3-aes-256-gcm")


@dataclass(frozen=True)
class Work:
    """What is done, in batches of so many units: the median of the batches counts.

    ``limit``: the part by which a row may rise.
    """

    name: str
    unit: str
    units: int
    batches: int
    limit: float = LIMIT


SHORT = Work("short", "a connection with 64 bytes each way", 200, 7)
DATAGRAM = Work("datagram", "a datagram of 64 bytes, and one back", 1000, 5)
BULK_SMALL = Work("64KiB", "64 KiB each way over a connection that stands", 20, 9)
BULK_LARGE = Work("16MiB", "16 MiB each way over a connection that stands", 1, 5)
#: Bytes of memory; without callgrind, so it has no batches.
IDLE = Work("idle", "bytes of memory for a connection that is idle", 1, 1)


@dataclass(frozen=True)
class Row:
    """A row of the table: work at one end, which is a server, a local end or a proxy."""

    role: str
    method: str
    work: Work

    @property
    def name(self) -> str:
        """What users ask for it by, such as ``server/aes-256-gcm/short`` or ``proxy/short``."""
        end = self.role if self.method == SOCKS5 else f"{self.role}/{self.method}"
        return f"{end}/{self.work.name}"

    @property
    def file(self) -> str:
        """What the file of callgrind's about it is called."""
        return self.name.replace("/", "-")


ROWS = [
    Row(role, method, work)
    for role, method in [
        *(("server", method) for method in _METHODS),
        *(("local", method) for method in _METHODS),
        ("proxy", SOCKS5),
    ]
    for work in (SHORT, DATAGRAM, BULK_SMALL, BULK_LARGE, IDLE)
]


def chosen(patterns: Sequence[str]) -> list[Row]:
    """Find the rows that one of the patterns, of fnmatch, matches; all where there is none.

    Raises LookupError for a pattern that no row matches.
    """
    for pattern in patterns:
        if not any(fnmatchcase(row.name, pattern) for row in ROWS):
            names = ", ".join(row.name for row in ROWS)
            raise LookupError(f"no row is called {pattern}; there are {names}")
    return [
        row
        for row in ROWS
        if not patterns or any(fnmatchcase(row.name, pattern) for pattern in patterns)
    ]
