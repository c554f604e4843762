"""``python -m benchmarks``: measure fastsocks against its peers, write JSON and Markdown."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import replace
from pathlib import Path

from .macro import report, session
from .macro.peers import PEERS, SOCKS5
from .macro.scenarios import FULL, QUICK, SCENARIOS

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
        default=METHODS,
        help=f"Shadowsocks methods, and {SOCKS5} for the plain proxies",
    )
    parser.add_argument("--scenarios", type=_names, default=_names(known), help=known)
    parser.add_argument("--bulk-bytes", type=int, help="bytes of a download or upload")
    parser.add_argument("--idle-connections", type=int, help="connections held open at once")
    parser.add_argument("--json", type=Path, help="write every round's raw figures to this file")
    parser.add_argument("--markdown", type=Path, help="write the report to this file")
    parser.add_argument(
        "--report", type=Path, metavar="JSON", help="measure nothing: report on this file"
    )
    return parser


def main() -> int:
    parser = _parser()
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.report:
        record = json.loads(options.report.read_text())
    else:
        unknown = set(options.peers) - set(PEERS)
        unknown |= set(options.scenarios) - {scenario.name for scenario in SCENARIOS}
        if unknown:
            parser.error(f"unknown: {', '.join(sorted(unknown))}")
        sizes = QUICK if options.quick else FULL
        if options.bulk_bytes:
            sizes = replace(sizes, bulk_bytes=options.bulk_bytes)
        if options.idle_connections:
            sizes = replace(sizes, idle_connections=options.idle_connections)
        selection = session.Selection(
            peers=[PEERS[name] for name in options.peers],
            methods=options.methods,
            scenarios=[scenario for scenario in SCENARIOS if scenario.name in options.scenarios],
            sizes=sizes,
            rounds=options.rounds or (2 if options.quick else 5),
        )
        record = session.measure(selection, lambda line: print(line, file=sys.stderr, flush=True))
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    text = report.markdown(record)
    if options.markdown:
        options.markdown.write_text(text)
    print(text)
    return 1 if any("error" in sample for sample in record["samples"]) else 0


if __name__ == "__main__":
    sys.exit(main())
