"""Measure fastsocks and its peers through a real relay, side by side, and report."""

from __future__ import annotations

import argparse
import fnmatch
import json
import signal
import sys
from dataclasses import replace
from pathlib import Path

from .macro import report, session
from .macro.load import LoadError
from .macro.peers import PEERS, SOCKS5
from .macro.perf import PerfError
from .macro.scenario import FULL, QUICK, Scenario
from .macro.scenarios import SCENARIOS

_OTHER_ENDS = ["rust", "fastsocks", "libev"]
METHODS = ["aes-256-gcm", "2022-blake3-aes-128-gcm", SOCKS5]


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    known = ",".join(scenario.name for scenario in SCENARIOS)
    parser.add_argument("--quick", action="store_true", help="small loads: about a minute")
    parser.add_argument("--rounds", type=int, help="paired rounds (5, with --quick 2)")
    parser.add_argument("--peers", type=_names, default=list(PEERS), help=",".join(PEERS))
    parser.add_argument(
        "--methods",
        type=_names,
        help=f"Shadowsocks methods, and {SOCKS5} for the plain proxies ({','.join(METHODS)}; "
        f"with --quick not {SOCKS5})",
    )
    parser.add_argument("--scenarios", type=_names, help=f"names, or patterns as of files: {known}")
    parser.add_argument(
        "--other-end",
        choices=_OTHER_ENDS,
        help="the end opposite the measured one, UDP (the first that is installed)",
    )
    parser.add_argument("--datagrams", type=int, help="datagrams of one UDP measurement")
    parser.add_argument("--datagram-rate", type=int, help="of them a second")
    parser.add_argument("--bulk-bytes", type=int, help="bytes of a download or upload")
    parser.add_argument("--idle-connections", type=int, help="connections held open at once")
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
        "--report", type=Path, metavar="JSON", help="measure nothing: report on this file"
    )
    return parser


def _wanted(scenario: Scenario, options: argparse.Namespace) -> bool:
    if options.scenarios is None:
        return scenario.quick or not options.quick
    return any(fnmatch.fnmatchcase(scenario.name, one) for one in options.scenarios)


def _selection(parser: argparse.ArgumentParser, options: argparse.Namespace) -> session.Selection:
    names = [scenario.name for scenario in SCENARIOS]
    unknown = set(options.peers) - set(PEERS)
    unknown |= {one for one in options.scenarios or [] if not fnmatch.filter(names, one)}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    sizes = QUICK if options.quick else FULL
    if options.bulk_bytes:
        sizes = replace(sizes, bulk_bytes=options.bulk_bytes)
    if options.idle_connections:
        sizes = replace(sizes, idle_connections=options.idle_connections)
    if options.datagrams:
        sizes = replace(sizes, datagrams=options.datagrams)
    if options.datagram_rate:
        sizes = replace(sizes, datagram_rate=options.datagram_rate)
    if options.attach_perf:
        options.attach_perf.mkdir(parents=True, exist_ok=True)
    return session.Selection(
        peers=[PEERS[name] for name in options.peers],
        methods=options.methods or (METHODS[:2] if options.quick else METHODS),
        scenarios=[scenario for scenario in SCENARIOS if _wanted(scenario, options)],
        sizes=sizes,
        rounds=options.rounds or (2 if options.quick else 5),
        other_ends=[PEERS[name] for name in [options.other_end] if name]
        or [PEERS[name] for name in _OTHER_ENDS],
        system_calls=options.system_calls,
        profiles=options.attach_perf,
    )


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Run the command; 0 done, 1 a measurement failed, 2 nothing could be measured."""
    parser = _parser()
    options = parser.parse_args()
    # So that the peers are stopped; the default action would leave them running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.report:
        record = json.loads(options.report.read_text())
        print(report.markdown(record))
        return 0
    try:
        record = session.measure(_selection(parser, options), _tell)
    except (LoadError, PerfError) as error:
        _tell(str(error))
        return 2
    text = report.markdown(record)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    options.output.with_suffix(".md").write_text(text)
    print(text)
    return 1 if any("error" in sample for sample in record["samples"]) else 0


if __name__ == "__main__":
    sys.exit(main())
