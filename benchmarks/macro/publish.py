"""The report as files to keep: Markdown with plots, nothing of this machine's places in it."""

from __future__ import annotations

from pathlib import Path

from . import report
from .figures import Figures, Record


def publish(record: Record, folder: Path) -> None:
    """Write README.md and the plots into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text(report.markdown(record, Figures(record)))
