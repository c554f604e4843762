"""Measuring rows: each end is started once, and does its work row by row."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import groupby
from pathlib import Path
from statistics import median

from ..macro.machine import raise_descriptor_limit
from .load import Bulk, Datagrams, Load
from .relay import Relay, running, totals
from .rows import BULK_LARGE, BULK_SMALL, DATAGRAM, IDLE, SHORT, Row, Work

_KIB = 1024
_SIZES = {BULK_SMALL: 64 * _KIB, BULK_LARGE: 16 * _KIB * _KIB}
# Connections that are open when memory is read first, and how many more when it is read again.
# Together fewer than what fastsocks lets one client have by default, 4096.
_IDLE_BEFORE, _IDLE_MORE = 500, 3500
# How long a local end waits for a first payload is 10 ms, and is looked at by a timer: how many
# connections share one must not be left to how fast the machine is.
_REST = {"local": 0.015}


def measure(
    rows: Sequence[Row], source: Path, opposite: Path, keep: Path | None = None
) -> Iterator[tuple[Row, float]]:
    """Measure rows of the sources `source`, opposite ends of `opposite`, one after another.

    Yields instructions in user space, or bytes of memory. What callgrind wrote of the last batch of
    a row goes to its file below `keep`. Raises CountError, LoadError, and StartError of
    macro.process.
    """
    for (role, method, counted), group in groupby(rows, _process):
        with (
            tempfile.TemporaryDirectory(prefix="fastsocks-instructions-") as folder,
            running(role, method, source, opposite, Path(folder), counted=counted) as relay,
            closing(Load(relay.proxy_port, relay.pids, _REST.get(role, 0))) as load,
        ):
            for row in group:
                kept = None if keep is None else keep / row.file
                yield row, _count(relay, load, row.work, kept) if counted else _idle(relay, load)


def _process(row: Row) -> tuple[str, str, bool]:
    return row.role, row.method, row.work is not IDLE


def _count(relay: Relay, load: Load, work: Work, keep: Path | None) -> float:
    with _standing(work, load) as run:
        run(work.units)
        dump = relay.dump()
        counts = []
        for _ in range(work.batches):
            run(work.units)
            dump = relay.dump()
            counts.append(totals(dump.read_text()))
    if keep is not None:
        shutil.copyfile(dump, keep)
    return median(counts) / work.units


@contextmanager
def _standing(work: Work, load: Load) -> Iterator[Callable[[int], None]]:
    """Open what the work takes place on; yields what does it so many times."""
    if work is SHORT:
        yield load.short
    elif work is DATAGRAM:
        with closing(Datagrams(load)) as datagrams:
            yield datagrams.run
    else:
        with closing(Bulk(load, _SIZES[work])) as bulk:
            yield bulk.run


def _idle(relay: Relay, load: Load) -> float:
    """Bytes of anonymous memory that one more idle connection takes."""
    raise_descriptor_limit()
    with ExitStack() as stack:

        def open_more(count: int) -> int:
            for _ in range(count):
                for end in load.open():
                    stack.enter_context(end)
            return _anonymous(relay.measured.pids()[0])

        before = open_more(_IDLE_BEFORE)
        return (open_more(_IDLE_MORE) - before) / _IDLE_MORE


def _anonymous(pid: int) -> int:
    """Bytes of memory that a process has written: what it shares, such as salts, is not in it."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    sizes = dict(line.split()[:2] for line in lines[1:])
    return (int(sizes["Anonymous:"]) + int(sizes["Swap:"])) * _KIB
