"""The record of a session as Markdown: medians, spread, ratios, errors and all losses."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from statistics import median

from . import bars
from .figures import Figures, Record
from .scenario import FULL, Scenario


def markdown(record: Record, figures: Figures | None = None) -> str:
    """The whole report, without plots."""
    figures = figures or Figures(record)
    parts = [head(figures), bars_table(figures), overview(figures), *details(figures)]
    return "\n\n".join(part for part in parts if part) + "\n"


def head(figures: Figures) -> str:
    """What was measured, how and on what."""
    record = figures.record
    dates = [run["date"] for run in record["runs"]]
    text = (
        "Medians of paired rounds, lowest and highest round in brackets. Load generator, both "
        "ends of the relay and the target share the cores of one machine over loopback: compare "
        "CPU time, and ratios rather than absolute figures; MB/s says little here. Every peer "
        "runs at its default settings. A ratio is the median of the ratios within each round to "
        f"{figures.baseline}: above 1 the peer costs more. docs/benchmarks.md says how it is "
        "measured."
    )
    loads = "; ".join(dict.fromkeys(run["load average"] for run in record["runs"]))
    lines = [f"# Benchmark of {dates[0]}", "", text, ""]
    if len(dates) > 1:
        lines.append(f"- in parts: {len(dates)}, the last of {dates[-1]}")
    lines += [f"- {name}: {text}" for name, text in record["machine"].items()]
    lines.append(f"- load average before each part: {loads}")
    lines += [f"- {name}: {text}" for name, text in record["versions"].items()]
    if record.get("other_end"):
        lines.append(f"- the end opposite the measured one, UDP: {record['other_end']}")
    lines += [f"- not measured: {name}: {text}" for name, text in record["missing"].items()]
    return without_places("\n".join(lines))


def bars_table(figures: Figures) -> str:
    """Every bar with the figure reached; empty where fastsocks was not measured."""
    found = bars.outcomes(figures)
    if not any(outcome.reached is not None for outcome in found):
        return ""
    counted = [outcome.met for outcome in found if outcome.met is not None]
    text = (
        f"{sum(counted)} of {len(counted)} met. Where the bar is a ratio, what was reached is the "
        "median of the ratios within each round."
    )
    if figures.sizes != FULL:
        text += " **The loads were not those that the bars are meant for.**"
    marks = {True: "yes", False: "**no**", None: "-"}
    rows = [[each.bar.what, each.bar.text, each.text, marks[each.met]] for each in found]
    titles = ["what", "bar", "reached", "met"]
    return f"## The bars\n\n{text}\n\n" + table(titles, rows)


def overview(figures: Figures) -> str:
    """The figure that each scenario compares, of every peer."""
    peers = figures.peers
    rows = []
    for method in figures.record["methods"]:
        for scenario in figures.scenarios:
            column = scenario.columns[0]
            cells = []
            for peer in peers:
                middle = figures.median(method, scenario.name, peer, column.key)
                ratio = figures.ratio(method, scenario.name, peer, column.key)
                cell = "-" if middle is None else f"{middle:,.{column.decimals}f}"
                if ratio is not None and peer != figures.baseline:
                    cell += f" ({ratio:.2f}x)"
                cells.append(cell)
            if any(cell != "-" for cell in cells):
                rows.append([method, f"{scenario.name}: {column.title}", *cells])
    return "## Overview\n\n" + table(["method", "figure", *peers], rows)


def details(figures: Figures) -> list[str]:
    """A table for each method and scenario, and what failed."""
    parts = []
    for method in figures.record["methods"]:
        tables = [_scenario_table(figures, method, scenario) for scenario in figures.scenarios]
        if any(tables):
            parts += [f"## {method}", *filter(None, tables)]
    errors = _errors(figures.record)
    if errors:
        parts.append("## Failed\n\n" + "\n".join(f"- {line}" for line in errors))
    return parts


def _scenario_table(figures: Figures, method: str, scenario: Scenario) -> str:
    measured = {
        sample["peer"]
        for sample in figures.record["samples"]
        if (sample["method"], sample["scenario"]) == (method, scenario.name)
    }
    peers = [peer for peer in figures.peers if peer in measured]
    if not peers:
        return ""
    columns = [
        column
        for column in scenario.columns
        if any(figures.values(method, scenario.name, peer, column.key) for peer in peers)
    ]
    rows = []
    for peer in peers:
        ratio = figures.ratio(method, scenario.name, peer, scenario.columns[0].key)
        cells = [
            _spread(figures.values(method, scenario.name, peer, each.key), each.decimals)
            for each in columns
        ]
        count = len(figures.rounds(method, scenario.name).get(peer, {}))
        rows.append([peer, str(count), "-" if ratio is None else f"{ratio:.2f}", *cells])
    titles = ["peer", "rounds", "ratio", *[column.title for column in columns]]
    text = f"### {scenario.title(figures.sizes)} ({scenario.name}, {method})\n\n"
    if scenario.notes:
        text += f"{scenario.notes}\n\n"
    return text + table(titles, rows)


def _spread(values: Sequence[float], decimals: int) -> str:
    if not values:
        return "-"
    low, middle, high = (f"{v:,.{decimals}f}" for v in (min(values), median(values), max(values)))
    return f"{middle} ({low}-{high})" if len(values) > 1 else middle


def _errors(record: Record) -> list[str]:
    return [
        f"{sample['method']}, {sample['scenario']}, {sample['peer']}, "
        f"round {sample['round'] + 1}: {without_places(sample['error'])}"
        for sample in record["samples"]
        if "error" in sample
    ]


def without_places(text: str) -> str:
    """``text`` without the paths and the name of the machine it was made on."""
    text = re.sub(r"(?<![\w/.:])~?(?:/[\w.+@-]+)+/([\w.+@-]+)", r"\1", text)
    name = socket.gethostname()
    return re.sub(rf"\b{re.escape(name)}\b", "this-machine", text) if len(name) > 3 else text


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows as a Markdown table."""
    lines = ["| " + " | ".join(titles) + " |", "|" + " --- |" * len(titles)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
