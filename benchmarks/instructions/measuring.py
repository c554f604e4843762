"""Measuring rows: each end is started once, and does its work row by row."""

from __future__ import annotations

import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import groupby
from pathlib import Path
from statistics import median

from .load import Bulk, Datagrams, Load
from .relay import CountError, Relay, running, totals
from .rows import BULK_LARGE, BULK_SMALL, DATAGRAM, IDLE, SHORT, Row, Work

_KIB = 1024
_SIZES = {BULK_SMALL: 64 * _KIB, BULK_LARGE: 16 * _KIB * _KIB}
# Connections that are open when memory is read first, and how many more when it is read again.
_IDLE_BEFORE, _IDLE_MORE = 500, 2000
# The load has both ends of each.
_DESCRIPTORS = 2 * (_IDLE_BEFORE + _IDLE_MORE) + 100


def measure(
    rows: Sequence[Row], source: Path, opposite: Path, keep: Path | None = None
) -> Iterator[tuple[Row, float]]:
    """Measure rows of the sources `source`, opposite ends of `opposite`, one after another.

    Yields instructions in user space, or bytes of memory. What callgrind wrote of the last batch of
    a row goes below `keep`, for callgrind_annotate. Raises CountError, LoadError, and StartError of
    macro.process.
    """
    for (role, method, counted), group in groupby(rows, _process):
        with (
            tempfile.TemporaryDirectory(prefix="fastsocks-instructions-") as folder,
            running(role, method, source, opposite, Path(folder), counted=counted) as relay,
            closing(Load(relay.proxy_port, relay.pids)) as load,
        ):
            for row in group:
                kept = None if keep is None else keep / row.name.replace("/", "-")
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
    """Bytes that one more idle connection takes: what the process alone has, before and after."""
    least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(least, _DESCRIPTORS), most))
    with ExitStack() as stack:

        def open_more(count: int) -> int:
            for _ in range(count):
                for end in load.open():
                    stack.enter_context(end)
            return _private(relay.measured.pids()[0])

        before = open_more(_IDLE_BEFORE)
        return (open_more(_IDLE_MORE) - before) / _IDLE_MORE


def _private(pid: int) -> int:
    """Bytes of memory that a process has written, and shares with no other."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) * _KIB
    raise CountError("the kernel does not tell what memory is private")
