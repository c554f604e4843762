"""Plots of a record as SVG: the same record gives the same bytes, legible on light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from .figures import Figures
from .peers import DIRECT

# A background of its own: half of the readers have a dark page behind it.
_PAPER, _INK, _FAINT = "#fbfbfa", "#24292f", "#d7d9dc"
_COLOURS = {
    "fastsocks (cython)": "#0b63b0",
    "fastsocks (python)": "#7db4e3",
    "fastsocks (2 workers)": "#3f8fd2",
}
_OTHER = "#8a8f98"
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "svg.fonttype": "none",  # text stays text: it can be searched, and is small
    "svg.hashsalt": "fastsocks",
}
_COLUMNS = 2
# A bar that would be this many times the second longest is cut, and says so.
_CUT = 3.0


@dataclass(frozen=True)
class Panel:
    """One bar chart: a figure of a scenario, peer by peer."""

    title: str
    method: str
    scenario: str
    key: str
    decimals: int = 2


@dataclass(frozen=True)
class Plot:
    """One file of panels."""

    name: str
    title: str
    panels: Sequence[Panel]


def _both(scenario: str, what: str, key: str, decimals: int, methods: Sequence[str]) -> list[Panel]:
    return [Panel(f"{what}, {method}", method, scenario, key, decimals) for method in methods]


_AES, _AES_2022, _CHACHA = "aes-256-gcm", "2022-blake3-aes-128-gcm", "chacha20-ietf-poly1305"

PLOTS = [
    Plot(
        "bulk",
        "Bulk transfer: CPU seconds per GB, both ends together",
        [
            panel
            for method in (_AES, _AES_2022, _CHACHA)
            for name in ("download", "upload")
            for panel in _both(name, name.capitalize(), "s/GB all", 2, [method])
        ],
    ),
    Plot(
        "connections",
        "Short connections (connect, 1 KiB each way, close)",
        [
            panel
            for method in (_AES, _AES_2022)
            for panel in (
                *_both("short", "CPU us, both ends", "us all", 0, [method]),
                *_both("short", "Connect to first byte, p50 us", "p50", 0, [method]),
            )
        ],
    ),
    Plot(
        "latency",
        "Round trip of 64 bytes, us",
        [
            Panel("Alone, p50", _AES, "pingpong", "p50", 0),
            Panel("Alone, p99", _AES, "pingpong", "p99", 0),
            Panel("Beside a download, p50", _AES, "pingpong-bulk", "p50", 0),
            Panel("Beside a download, p99", _AES, "pingpong-bulk", "p99", 0),
        ],
    ),
    Plot(
        "memory",
        "Memory, server end",
        [
            Panel("At rest, MB", _AES, "idle", "rest MB server", 1),
            Panel("An idle connection, KB", _AES, "idle", "KB server", 1),
            Panel(
                "Kept after 2,000 busy connections, MB above rest",
                _AES,
                "busy",
                "kept MB server",
                1,
            ),
            Panel(
                "Peak with 200 slow readers, MB above rest",
                _AES,
                "slow-readers",
                "peak MB server",
                1,
            ),
        ],
    ),
    Plot(
        "proxy",
        "Plain SOCKS5 proxy",
        [
            Panel("Download, CPU s/GB", "socks5", "download", "s/GB all"),
            Panel("Upload, CPU s/GB", "socks5", "upload", "s/GB all"),
            Panel("CPU us a connection", "socks5", "short", "us all", 0),
            Panel("UDP, 1,400 bytes, CPU us a datagram", "socks5", "udp-proxy-1400x50", "us proxy"),
        ],
    ),
    Plot(
        "datagrams",
        "UDP, server end: CPU us a datagram one way",
        [
            *_both("udp-server-64x1", "64 bytes, 1 association", "us server", 1, [_AES, _AES_2022]),
            *_both("udp-server-1400x50", "1,400 bytes, 50", "us server", 1, [_AES, _AES_2022]),
        ],
    ),
    Plot(
        "scale",
        "With more connections at once, both ends",
        [
            Panel(f"{count:,} at once, {what}", _AES, f"active-{count}", key, decimals)
            for count in (1, 100, 1000, 10_000)
            for what, key, decimals in (
                ("CPU s/GB", "s/GB all", 2),
                ("CPU us a short one", "us all", 0),
            )
        ],
    ),
]


def draw(figures: Figures, folder: Path) -> list[tuple[Plot, Path]]:
    """Write the plots that the record has figures for; each and its file."""
    written = []
    for plot in PLOTS:
        panels = [panel for panel in plot.panels if len(_bars(figures, panel)) > 1]
        if panels:
            path = folder / f"{plot.name}.svg"
            with mpl.rc_context(_STYLE):
                _draw(figures, plot.title, panels, path)
            written.append((plot, path))
    return written


def _bars(figures: Figures, panel: Panel) -> dict[str, tuple[float, float, float]]:
    """By peer: median, lowest and highest round."""
    found = {}
    for peer in figures.peers:
        values = figures.values(panel.method, panel.scenario, peer, panel.key)
        middle = figures.median(panel.method, panel.scenario, peer, panel.key)
        if values and middle is not None and peer != DIRECT:
            found[peer] = (middle, min(values), max(values))
    return found


def _draw(figures: Figures, title: str, panels: Sequence[Panel], path: Path) -> None:
    rows = -(-len(panels) // _COLUMNS)
    most = max(len(_bars(figures, panel)) for panel in panels)
    figure = Figure(figsize=(10, 0.6 + rows * (0.75 + 0.27 * most)), facecolor=_PAPER)
    figure.suptitle(title, x=0.02, ha="left", fontweight="bold")
    axes = figure.subplots(rows, _COLUMNS, squeeze=False).flat
    for one, panel in zip(axes, panels, strict=False):
        bars = _bars(figures, panel)
        # The best on top.
        order = sorted(bars, key=lambda peer: bars[peer][0], reverse=True)
        middles = [bars[peer][0] for peer in order]
        room = max(middles)
        if len(middles) > 2 and middles[0] > _CUT * middles[1]:
            room = _CUT * middles[1]
        for place, peer in enumerate(order):
            middle, low, high = bars[peer]
            shown = min(middle, room)
            one.barh(place, shown, color=_COLOURS.get(peer, _OTHER), height=0.7)
            if middle <= room:
                one.plot([low, min(high, 1.1 * room)], [place, place], color=_INK, linewidth=1)
            cut = " (cut)" if middle > room else ""
            one.text(
                max(shown, min(high, 1.1 * room) if not cut else 0) + 0.015 * room,
                place,
                f"{middle:,.{panel.decimals}f}{cut}",
                va="center",
                fontsize=9,
            )
        one.set_yticks(range(len(order)), order)
        one.set_xlim(0, 1.3 * room or 1)
        one.set_title(panel.title, loc="left", fontsize=10)
        one.set_facecolor(_PAPER)
        one.tick_params(length=0)
        one.set_xticks([])
        for side in ("top", "right", "bottom"):
            one.spines[side].set_visible(False)
    for one in list(axes):
        one.set_visible(False)
    figure.tight_layout(rect=(0, 0, 1, 1), h_pad=1.5, w_pad=2.5)
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None}, facecolor=_PAPER)
    text = path.read_text()
    path.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n")
