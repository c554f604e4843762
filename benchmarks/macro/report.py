"""The record of a session as Markdown: medians, spread, ratios, errors and all losses."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from .peers import BASELINE, SOCKS5
from .scenario import Scenario, Sizes
from .scenarios import SCENARIOS

Record = dict[str, Any]
Figures = dict[str, float]


def markdown(record: Record) -> str:
    """The whole report."""
    sizes = Sizes(**record["sizes"])
    parts = [_head(record), _overview(record, sizes)]
    for method in record["methods"]:
        parts.append(f"## {method}")
        tables = (
            _scenario_table(record, method, scenario, sizes) for scenario in _scenarios(record)
        )
        parts += [table for table in tables if table]
    errors = _errors(record)
    if errors:
        parts.append("## Failed\n\n" + "\n".join(f"- {line}" for line in errors))
    return "\n\n".join(parts) + "\n"


def _baseline(record: Record) -> str:
    """The peer that ratios are to: fastsocks, or the first one where it was not measured."""
    return BASELINE if BASELINE in record["versions"] else next(iter(record["versions"]))


def _scenarios(record: Record) -> list[Scenario]:
    return [scenario for scenario in SCENARIOS if scenario.name in record["scenarios"]]


def _head(record: Record) -> str:
    text = (
        f"Medians of {record['rounds']} paired rounds, lowest and highest round in brackets. "
        "Load generator, both ends of the relay and the target share the cores of one machine "
        "over loopback: compare CPU time, and ratios rather than absolute figures; MB/s says "
        "little here. Every peer runs at its default settings. A ratio is the median of the "
        f"ratios within each round to {_baseline(record)}: above 1 the peer costs more. How it is "
        "measured: docs/benchmarks.md."
    )
    lines = [f"# Benchmark of {record['date']}", "", text, ""]
    lines += [f"- {name}: {text}" for name, text in record["machine"].items()]
    lines += [f"- {name}: {text}" for name, text in record["versions"].items()]
    if record.get("other_end"):
        lines.append(f"- the end opposite the measured one, UDP: {record['other_end']}")
    lines += [f"- not measured: {name}: {text}" for name, text in record["missing"].items()]
    return "\n".join(lines)


def _overview(record: Record, sizes: Sizes) -> str:
    peers = [peer for peer in record["peers"] if peer in record["versions"]]
    baseline = _baseline(record)
    rows = []
    for method in record["methods"]:
        for scenario in _scenarios(record):
            rounds = _figures(record, method, scenario, sizes)
            key = scenario.columns[0].key
            cells = []
            for peer in peers:
                values = _values(rounds, peer, key)
                ratio = _ratio(rounds, peer, baseline, key)
                cell = f"{median(values):,.{scenario.columns[0].decimals}f}" if values else "-"
                if ratio is not None and peer != baseline:
                    cell += f" ({ratio:.2f}x)"
                cells.append(cell)
            if all(cell == "-" for cell in cells):
                continue
            rows.append([method, f"{scenario.name}: {scenario.columns[0].title}", *cells])
    return "## Overview\n\n" + _table(["method", "figure", *peers], rows)


def _scenario_table(record: Record, method: str, scenario: Scenario, sizes: Sizes) -> str:
    rounds = _figures(record, method, scenario, sizes)
    peers = [peer for peer in record["peers"] if _belongs(record, peer, method, scenario)]
    if not peers:
        return ""
    columns = [
        column
        for column in scenario.columns
        if any(_values(rounds, peer, column.key) for peer in peers)
    ]
    rows = []
    for peer in peers:
        ratio = _ratio(rounds, peer, _baseline(record), scenario.columns[0].key)
        cells = [_spread(_values(rounds, peer, each.key), each.decimals) for each in columns]
        rows.append([peer, "-" if ratio is None else f"{ratio:.2f}", *cells])
    titles = ["peer", "ratio", *[column.title for column in columns]]
    text = f"### {scenario.title(sizes)}\n\n"
    if scenario.notes:
        text += f"{scenario.notes}\n\n"
    return text + _table(titles, rows)


def _belongs(record: Record, peer: str, method: str, scenario: Scenario) -> bool:
    """Whether the peer is of the kind that ``method`` measures: a pair, or a plain proxy."""
    return any(
        sample["peer"] == peer
        and sample["scenario"] == scenario.name
        and (sample["method"] == SOCKS5) == (method == SOCKS5)
        for sample in record["samples"]
    )


def _figures(
    record: Record, method: str, scenario: Scenario, sizes: Sizes
) -> dict[str, dict[int, Figures]]:
    """Figures by peer and round."""
    found: dict[str, dict[int, Figures]] = {}
    for sample in record["samples"]:
        wanted = sample["method"] == method and sample["scenario"] == scenario.name
        if wanted and "error" not in sample:
            rounds = found.setdefault(sample["peer"], {})
            rounds[sample["round"]] = scenario.figures(sample, sizes)
    return found


def _values(rounds: dict[str, dict[int, Figures]], peer: str, key: str) -> list[float]:
    return [figures[key] for figures in rounds.get(peer, {}).values() if key in figures]


def _ratio(
    rounds: dict[str, dict[int, Figures]], peer: str, baseline: str, key: str
) -> float | None:
    ours, theirs = rounds.get(baseline, {}), rounds.get(peer, {})
    ratios = [
        figures[key] / ours[turn][key]
        for turn, figures in theirs.items()
        if key in figures and turn in ours and ours[turn].get(key)
    ]
    return median(ratios) if ratios else None


def _spread(values: Sequence[float], decimals: int) -> str:
    if not values:
        return "-"
    low, middle, high = (f"{v:,.{decimals}f}" for v in (min(values), median(values), max(values)))
    return f"{middle} ({low}-{high})" if len(values) > 1 else middle


def _errors(record: Record) -> list[str]:
    return [
        f"{sample['method']}, {sample['scenario']}, {sample['peer']}, "
        f"round {sample['round'] + 1}: {sample['error']}"
        for sample in record["samples"]
        if "error" in sample
    ]


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(titles) + " |", "|" + " --- |" * len(titles)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
