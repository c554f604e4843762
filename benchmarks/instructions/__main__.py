"""Count the instructions of fixed work in this tree, and in another commit beside it.

Both are built by the same compiler with the same libcrypto. Exit code 1: a row rises by more than
it may, and benchmarks/instructions.md does not say so; 2: it could not be measured.
"""

from __future__ import annotations

import argparse
import compileall
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..compare import check_out
from ..macro.machine import compiler
from ..macro.peers import PEERS
from ..macro.process import StartError
from .comparison import Comparison, markdown, risen
from .functions import changed
from .history import HistoryError, recorded, statements
from .load import LoadError
from .measuring import measure
from .relay import CountError
from .rows import ROWS, Row, chosen

ROOT = Path(__file__).resolve().parents[2]
HISTORY = "benchmarks/instructions.md"
_HEAD = ROOT / "src"
#: A change by more than this part is told with its functions.
TOLD = 0.005


def main() -> int:
    """Run the command."""
    options = _options()
    # Relays are ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if options.list:
        for row in ROWS:
            print(f"{row.name:<44}{row.work.unit}")
        return 0
    try:
        rows = chosen(options.rows)
        if options.only_head:
            _measured(rows, _HEAD, options.keep and options.keep / "head")
            return 0
        return _compare(rows, options)
    except subprocess.CalledProcessError as error:
        problem = f"{shlex.join(error.cmd)} failed with {error.returncode}"
    except (CountError, HistoryError, LoadError, LookupError, OSError, StartError) as error:
        problem = str(error)
    print(f"benchmarks.instructions: {problem}", file=sys.stderr)
    return 2


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument(
        "rows", metavar="ROW", nargs="*", help="patterns, such as 'proxy/*' or '*/short'; else all"
    )
    parser.add_argument(
        "--base",
        metavar="REF",
        help="a commit, a branch or a tag; else where this branch left main, or on main the commit "
        "before (HEAD, where something is not committed)",
    )
    parser.add_argument("--only-head", action="store_true", help="measure this tree alone")
    parser.add_argument("--list", action="store_true", help="list the rows")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep the files of callgrind's, one a row"
    )
    parser.add_argument(
        "--update", metavar="TITLE", help=f"write the table to the section TITLE of {HISTORY}"
    )
    return parser.parse_args()


def _compare(rows: Sequence[Row], options: argparse.Namespace) -> int:
    path = ROOT / HISTORY
    history = path.read_text()
    said = statements(history)
    source, base = check_out(options.base or _default_base())
    with tempfile.TemporaryDirectory(prefix="fastsocks-instructions-") as temporary:
        keep = options.keep or Path(temporary)
        before = _measured(rows, source, keep / "base")
        after = _measured(rows, _HEAD, keep / "head")
        found = [Comparison(row, before[row], after[row]) for row in rows]
        sources = [line for one in found for line in _functions(one, keep)]
    head = _git("describe", "--always", "--dirty", "--exclude=*", "--abbrev=12")
    revisions = f"Base `{base}`, head `{head}`; {_versions()}."
    problems = risen(found, said, statements(_history_of(base)))
    text = "\n\n".join([revisions, markdown(found), *sources, *problems])
    print(text)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a") as file:
            file.write(f"## Instructions\n\n{text}\n")
    if options.update:
        path.write_text(recorded(history, options.update, revisions, markdown(found)))
    return 1 if problems else 0


def _functions(one: Comparison, keep: Path) -> Iterator[str]:
    """Say which functions changed most, where a row changed by much."""
    base, head = (keep / tree / one.row.file for tree in ("base", "head"))
    if abs(one.change) > TOLD and base.exists() and head.exists():
        changes = changed(base.read_text(), head.read_text(), one.row.work.units)
        functions = ", ".join(f"{name} {cost:+,.0f}" for name, cost in changes)
        yield f"{one.row.name} changes by {one.change:+.2%}: {functions}"


def _measured(rows: Sequence[Row], source: Path, keep: Path | None) -> dict[Row, float]:
    """Measure rows of a tree, and print each as it comes."""
    # Otherwise the first process would compile what it imports.
    compileall.compile_dir(source, quiet=1)
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    found = {}
    for row, found[row] in measure(rows, source, _HEAD, keep):
        print(f"{row.name:<44}{found[row]:>14,.0f}", file=sys.stderr, flush=True)
    return found


def _default_base() -> str:
    head = _git("rev-parse", "HEAD")
    for main in ("main", "origin/main"):
        done = subprocess.run(
            ["git", "merge-base", "HEAD", main],
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode == 0 and done.stdout.strip() != head:
            return done.stdout.strip()
    return "HEAD" if _git("status", "--porcelain", "--untracked-files=no") else "HEAD~1"


def _history_of(revision: str) -> str:
    """The history as it is at a revision; empty where it has none."""
    done = subprocess.run(
        ["git", "show", f"{revision}:{HISTORY}"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    return done.stdout


def _versions() -> str:
    """What the figures depend on beside the code."""
    valgrind = subprocess.check_output(["valgrind", "--version"], text=True).strip()
    return f"{PEERS['fastsocks'].version()}, {compiler()}, {valgrind}"


def _git(*arguments: str) -> str:
    return subprocess.check_output(["git", *arguments], cwd=ROOT, text=True).strip()


if __name__ == "__main__":
    sys.exit(main())
