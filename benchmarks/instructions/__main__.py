"""Count the instructions of fixed work in this tree, and in another commit beside it.

Both are built by the same compiler with the same libcrypto. Exit code 1: a row rises by more than
it may, and benchmarks/instructions.md does not say so.
"""

from __future__ import annotations

import argparse
import compileall
import sys
from pathlib import Path

from ..macro.process import StartError
from .load import LoadError
from .measuring import measure
from .relay import CountError
from .rows import ROWS, chosen

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument(
        "rows", metavar="ROW", nargs="*", help="patterns, such as 'proxy/*' or '*/short'; else all"
    )
    parser.add_argument("--only-head", action="store_true", help="measure this tree alone")
    parser.add_argument("--list", action="store_true", help="list the rows")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep files for callgrind_annotate, one a row"
    )
    options = parser.parse_args()
    if options.list:
        for row in ROWS:
            print(f"{row.name:<44}{row.work.unit}")
        return 0
    head = ROOT / "src"
    compileall.compile_dir(head, quiet=1)
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
    try:
        for row, figure in measure(chosen(options.rows), head, head, options.keep):
            print(f"{row.name:<44}{figure:>14,.0f}", flush=True)
    except (CountError, LoadError, LookupError, OSError, StartError) as error:
        print(f"benchmarks.instructions: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
