"""When a comparison with another commit says that something is worse."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.compare import Comparison, chart, markdown, plot


def compared(*ratios: float) -> Comparison:
    return Comparison("download, aes-256-gcm, s/GB", 1.0, 1.0, ratios)


@pytest.mark.parametrize(
    ("ratios", "worse"),
    [
        ((1.2, 1.3, 1.2, 1.16, 1.2), True),
        ((1.2, 1.3, 1.2, 1.01, 1.2), True),
        ((1.2, 1.3, 1.2, 0.99, 1.2), False),
        ((1.1, 1.1, 1.1, 1.9, 1.9), False),
        ((1.5, 1.5, 1.5, 1.5), False),
        ((0.5,) * 5, False),
    ],
    ids=["all", "all, some by little", "not all", "not by much", "too few", "better"],
)
def test_verdict(ratios: tuple[float, ...], worse: bool) -> None:
    assert compared(*ratios).worse is worse
    assert ("**worse**" in markdown([compared(*ratios)], [])) is worse


def test_plot(tmp_path: Path) -> None:
    path = tmp_path / "ratios.svg"
    plot([compared(1.0, 1.1), compared(*(1.5,) * 5)], path)
    assert "<svg" in path.read_text()


def test_the_chart_of_the_summary_has_the_medians() -> None:
    drawn = chart([compared(1.1, 1.3, 1.2), compared(2.5)])
    assert "bar [1.20, 2.50]" in drawn
    assert "0 --> 2.50" in drawn
    assert drawn in markdown([compared(1.1, 1.3, 1.2), compared(2.5)], [])
