"""Run fuzz targets, one after the other, over the corpus that is kept.

An input that is a finding is written into the corpus, where tests/fuzz/test_corpus.py has it from
then on; the exit code is 1. Everything else that reached new code stays in build/fuzz/inputs, for
the next run; with --keep a smallest set of it that reaches the same goes into the corpus.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from . import seeds
from .targets import TARGETS

_TESTS = Path(__file__).parents[1]
_BUILD = _TESTS.parent / "build" / "fuzz"
_CORPUS = Path(__file__).parent / "corpus"
_INPUTS = _BUILD / "inputs"
#: Longest input in bytes; everything that is parsed has its limits tested elsewhere.
_LONGEST = 2048
#: A target that needs longer for one input, in seconds, or more memory, in MB, is a finding.
_SLOWEST = 10
_LARGEST = 2048


def _run(target: str, *arguments: str) -> int:
    command = [sys.executable, "-m", "fuzz.child", target, *arguments]
    path = os.pathsep.join((str(_BUILD / "src"), str(_TESTS)))
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=False).returncode


def _fuzz(target: str, seconds: int) -> int:
    inputs, corpus = _INPUTS / target, _CORPUS / target
    for folder in (inputs, corpus):
        folder.mkdir(parents=True, exist_ok=True)
    seeds.write(target, inputs)
    return _run(
        target,
        str(inputs),
        str(corpus),
        f"-max_total_time={seconds}",
        f"-max_len={_LONGEST}",
        f"-timeout={_SLOWEST}",
        f"-rss_limit_mb={_LARGEST}",
        f"-artifact_prefix={corpus}/",
        "-print_final_stats=1",
    )


def _keep(target: str) -> None:
    """Merge what was found into the corpus."""
    corpus = _CORPUS / target
    _run(
        target,
        str(corpus),
        str(_INPUTS / target),
        "-merge=1",
        f"-max_len={_LONGEST}",
        f"-artifact_prefix={corpus}/",
    )


def main() -> int:
    """Run the command; 0 nothing was found, 1 something was."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="add to the corpus what reached more")
    options = parser.parse_args()
    unknown = set(options.targets) - set(TARGETS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    failed = []
    for target in options.targets or TARGETS:
        print(f"== {target}", flush=True)
        if _fuzz(target, options.seconds):
            failed.append(target)
        if options.keep:
            _keep(target)
    if failed:
        print(f"findings, see {_CORPUS}: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
