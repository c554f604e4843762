"""Measure fastsocks and its peers through a real relay, side by side, and report."""

from __future__ import annotations

import argparse
import fnmatch
import json
import signal
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

from .macro import publish, report, session
from .macro.load import LoadError
from .macro.peer import SOCKS5
from .macro.peers import PEERS
from .macro.perf import PerfError
from .macro.scenario import FULL, QUICK, Scenario, Sizes
from .macro.scenarios import SCENARIOS

_OTHER_ENDS = ["rust", "fastsocks", "libev"]
METHODS = ["aes-256-gcm", "2022-blake3-aes-128-gcm", "chacha20-ietf-poly1305", SOCKS5]
_QUICK_METHODS = ["aes-256-gcm", SOCKS5]
_QUICK_PEERS = ["fastsocks", "fastsocks-python", "rust", "libev", "microsocks", "threads", "direct"]
_ROUNDS = 5
_QUICK_ROUNDS = 2


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _size(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if name.replace("-", "_") not in {field.name for field in fields(Sizes)}:
        raise argparse.ArgumentTypeError(f"no such size: {name}")
    return name.replace("-", "_"), int(number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    known = ",".join(scenario.name for scenario in SCENARIOS)
    sizes = ",".join(field.name.replace("_", "-") for field in fields(Sizes))
    parser.add_argument("--quick", action="store_true", help="small loads, the commonest peers")
    parser.add_argument("--rounds", type=int, help=f"paired rounds (at most {_ROUNDS})")
    parser.add_argument("--peers", type=_names, help=",".join(PEERS))
    parser.add_argument(
        "--methods",
        type=_names,
        help=f"Shadowsocks methods, and {SOCKS5} for the plain proxies ({','.join(METHODS)}; "
        "each scenario takes those it is worth its time with, unless this is given)",
    )
    parser.add_argument("--scenarios", type=_names, help=f"names, or patterns as of files: {known}")
    parser.add_argument(
        "--size",
        type=_size,
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help=f"another size, may be repeated: {sizes}",
    )
    parser.add_argument(
        "--other-end",
        choices=_OTHER_ENDS,
        help="the end opposite the measured one, UDP (the first that is installed)",
    )
    parser.add_argument(
        "--system-calls", action="store_true", help="count them, with perf (disturbs a little)"
    )
    parser.add_argument(
        "--attach-perf", type=Path, metavar="FOLDER", help="profile every end under every load"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="STEM",
        default=Path(".benchmarks/latest"),
        help="write STEM.json (every round, raw) and STEM.md (%(default)s)",
    )
    parser.add_argument(
        "--append", action="store_true", help="measure only what STEM.json does not have yet"
    )
    parser.add_argument(
        "--minutes", type=float, help="begin nothing after so long; exit code 3 if some is left"
    )
    parser.add_argument(
        "--report", type=Path, metavar="JSON", help="measure nothing: report on this file"
    )
    parser.add_argument(
        "--publish", type=Path, metavar="FOLDER", help="with --report: write it there, with plots"
    )
    return parser


def _wanted(scenario: Scenario, options: argparse.Namespace) -> bool:
    if options.scenarios is None:
        return not scenario.named_only and (scenario.quick or not options.quick)
    return any(fnmatch.fnmatchcase(scenario.name, one) for one in options.scenarios)


def _selection(parser: argparse.ArgumentParser, options: argparse.Namespace) -> session.Selection:
    names = [scenario.name for scenario in SCENARIOS]
    unknown = set(options.peers or []) - set(PEERS)
    unknown |= {one for one in options.scenarios or [] if not fnmatch.filter(names, one)}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    if options.attach_perf:
        options.attach_perf.mkdir(parents=True, exist_ok=True)
    peers = options.peers or (_QUICK_PEERS if options.quick else list(PEERS))
    return session.Selection(
        peers={name: PEERS[name] for name in peers},
        methods=options.methods or (_QUICK_METHODS if options.quick else METHODS),
        scenarios=[scenario for scenario in SCENARIOS if _wanted(scenario, options)],
        sizes=replace(QUICK if options.quick else FULL, **dict(options.size)),
        rounds=options.rounds or (_QUICK_ROUNDS if options.quick else _ROUNDS),
        other_ends=[PEERS[name] for name in [options.other_end] if name]
        or [PEERS[name] for name in _OTHER_ENDS],
        every_method=options.methods is not None,
        system_calls=options.system_calls,
        profiles=options.attach_perf,
        until=None if options.minutes is None else time.monotonic() + 60 * options.minutes,
    )


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _measure(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    raw = options.output.with_suffix(".json")
    raw.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(raw.read_text()) if options.append and raw.exists() else None
    record: session.Record = {}

    def keep(so_far: session.Record) -> None:
        record.update(so_far)
        unfinished = raw.with_suffix(".part")
        unfinished.write_text(json.dumps(so_far, indent=1) + "\n")
        unfinished.replace(raw)

    try:
        complete = session.measure(_selection(parser, options), _tell, keep, before)
    except (LoadError, PerfError, session.OtherRecordError) as error:
        _tell(str(error))
        return 2
    text = report.markdown(record)
    options.output.with_suffix(".md").write_text(text)
    print(text)
    if not complete:
        _tell("time is up: the same command with --append goes on from here")
        return 3
    return 1 if any("error" in sample for sample in record["samples"]) else 0


def main() -> int:
    """Run the command.

    0 done, 1 a measurement failed, 2 nothing could be measured, 3 there is more to measure.
    """
    parser = _parser()
    options = parser.parse_args()
    # So that the peers are stopped; the default action would leave them running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.report:
        record = json.loads(options.report.read_text())
        if options.publish:
            publish.publish(record, options.publish)
        else:
            print(report.markdown(record))
        return 0
    return _measure(parser, options)


if __name__ == "__main__":
    sys.exit(main())
