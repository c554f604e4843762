"""The report as files to keep: Markdown with plots, nothing of this machine's places in it."""

from __future__ import annotations

from pathlib import Path

from . import plots, report
from .figures import Figures, Record


def publish(record: Record, folder: Path) -> None:
    """Write README.md, details.md and the plots into ``folder``; other plots there are removed.

    Needs matplotlib (``pip install --group bench``).
    """
    figures = Figures(record)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    pictures = [
        f"## {plot.title}\n\n![{plot.title}]({path.name})"
        for plot, path in plots.draw(figures, folder)
    ]
    legend = (
        "Shorter is better. Bars are medians, the lines on them reach from the lowest to the "
        "highest round; [details.md](details.md) has all of it in figures."
    )
    parts = [report.head(figures), report.bars_table(figures), legend, *pictures]
    _write(folder / "README.md", [part for part in parts if part])
    date = record["runs"][0]["date"]
    title = f"# Details of the benchmark of {date}\n\nWhat it ran on: [README.md](README.md)."
    _write(folder / "details.md", [title, report.overview(figures), *report.details(figures)])


def _write(path: Path, parts: list[str]) -> None:
    path.write_text("\n\n".join(parts) + "\n")
