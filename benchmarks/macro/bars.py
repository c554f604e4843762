"""The bars that fastsocks is held to, and whether each is met.

A bar is data: a figure of a scenario, and what it may be at most (or at least), in itself or
as a ratio to that of a peer, of the best of several, or of fastsocks in another scenario.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .figures import Figures
from .measuring import possible_within
from .peers import BASELINE, THREADS

_RUST, _LIBEV, _XRAY = "shadowsocks-rust", "shadowsocks-libev", "xray"
_BEST = (_RUST, _LIBEV, _XRAY)
_PLAIN = ("microsocks", "dante", "xray")
_WORKERS = "fastsocks (2 workers)"
_AES, _AES_2022, _CHACHA = "aes-256-gcm", "2022-blake3-aes-128-gcm", "chacha20-ietf-poly1305"


@dataclass(frozen=True)
class Bar:
    """What is compared, and the limit.

    ``to``: the peers whose best figure the limit is a multiple of; none: the limit is in the
    unit of the figure. ``flat``: the limit is for the largest divided by the smallest of the
    figures of these scenarios. ``least``: the limit is the least; of a ratio, how many times
    less this costs than the other. ``limit`` None: there is none, the figure is to be shown.
    """

    what: str
    text: str
    method: str
    scenario: str
    key: str
    limit: float | None
    to: Sequence[str] = ()
    flat: Sequence[str] = ()
    least: bool = False
    decimals: int = 2
    peer: str = BASELINE


@dataclass(frozen=True)
class Outcome:
    """A bar, the figure reached (None: not measured), in words, and whether it is met."""

    bar: Bar
    reached: float | None
    text: str
    met: bool | None


def _bulk(method: str, threads: float) -> list[Bar]:
    return [
        Bar(
            f"{method}, {name}, CPU s/GB of both ends",
            f"{threads:g}x C threads",
            method,
            name,
            "s/GB all",
            threads,
            (THREADS,),
        )
        for name in ("download", "upload")
    ]


def _at_most_best(what: str, scenario: str, keys: Sequence[str]) -> list[Bar]:
    return [
        Bar(f"{what}, {key}, us", "the best peer", _AES, scenario, key, 1.0, _BEST, decimals=0)
        for key in keys
    ]


def _proxy(what: str, scenario: str, key: str, limit: float, decimals: int = 2) -> list[Bar]:
    return [
        Bar(what, f"{limit:g}", "socks5", scenario, key, limit, decimals=decimals),
        Bar(what, "the best peer", "socks5", scenario, key, 1.0, _PLAIN, decimals=decimals),
    ]


_ACTIVE = tuple(f"active-{count}" for count in (1, 100, 1000, 10_000))
_SHORT = "CPU us per short connection"

BARS = [
    *_bulk(_AES, 1.15),
    *_bulk(_AES_2022, 1.15),
    *[
        Bar(f"{_AES_2022}, {name}, CPU s/GB", "rust", _AES_2022, name, "s/GB all", 1.0, (_RUST,))
        for name in ("download", "upload")
    ],
    *_bulk(_CHACHA, 1.15),
    Bar("500 paced flows, CPU s/GB of both ends", "1.8", _AES, "paced", "s/GB all", 1.8),
    *[
        Bar(
            f"{_SHORT}, {method}, {end} end",
            text,
            method,
            "short",
            f"us {end}",
            limit,
            (peer,),
            decimals=0,
        )
        for method, text, limit, peer in (
            (_AES, "0.9x rust", 0.9, _RUST),
            (_AES, "libev (aim)", 1.0, _LIBEV),
            (_AES_2022, "0.9x rust", 0.9, _RUST),
        )
        for end in ("server", "local")
    ],
    Bar(
        "system calls per connection, server end",
        "30",
        _AES,
        "system-calls",
        "calls server",
        30,
        decimals=1,
    ),
    *_at_most_best("connect to first byte", "short", ["p50"]),
    *_at_most_best("64-byte request and reply", "pingpong", ["p50", "p99"]),
    *_at_most_best("the same under bulk load", "pingpong-bulk", ["p50", "p99"]),
    *[
        Bar(f"MB at rest, {end} end", "25", _AES, "idle", f"rest MB {end}", 25, decimals=1)
        for end in ("server", "local")
    ],
    Bar("KB per idle connection, server end", "4", _AES, "idle", "KB server", 4, decimals=1),
    *[
        Bar(
            f"MB kept after 2,000 connections, {end} end",
            "48 above rest",
            _AES,
            "busy",
            f"kept MB {end}",
            48,
            decimals=1,
        )
        for end in ("server", "local")
    ],
    *_proxy("plain SOCKS5, download, CPU s/GB", "download", "s/GB all", 0.30),
    *_proxy("plain SOCKS5, upload, CPU s/GB", "upload", "s/GB all", 0.35),
    *_proxy("plain SOCKS5, CPU us per connection", "short", "us all", 200, 0),
    *[
        Bar(
            f"UDP, {size.replace('x', ' bytes, associations: ')}, {method}, CPU us a datagram "
            "one way, server end",
            "half of the best peer",
            method,
            f"udp-server-{size}",
            "us server",
            0.5,
            _BEST,
        )
        for method in (_AES, _AES_2022)
        for size in ("64x1", "1400x50")
    ],
    *[
        Bar(
            f"2 workers against 1, {what}, by the CPU time of the busiest process",
            "1.8x as much",
            "socks5",
            f"workers-{what}",
            "busiest all",
            1.8,
            (BASELINE,),
            least=True,
            peer=_WORKERS,
        )
        for what in ("short", "bulk")
    ],
    Bar(
        "1 to 10,000 active connections, CPU s/GB of both ends",
        "flat within 20%",
        _AES,
        "active",
        "s/GB all",
        1.2,
        flat=_ACTIVE,
    ),
    Bar(
        "1 to 10,000 active connections, CPU us a short one beside them",
        "flat within 20%",
        _AES,
        "active",
        "us all",
        1.2,
        flat=_ACTIVE,
        decimals=0,
    ),
    Bar(
        "idle connections held by one worker",
        "50,000",
        "socks5",
        "held",
        "connections",
        50_000,
        least=True,
        decimals=0,
    ),
    *[
        Bar(
            f"200 slow readers, fast senders: peak MB above rest, {end} end",
            "shown",
            _AES,
            "slow-readers",
            f"peak MB {end}",
            None,
            decimals=1,
        )
        for end in ("server", "local")
    ],
    *[
        Bar(
            f"ms from exec to listening, {end} end",
            "150",
            method,
            "start",
            f"ms {end}",
            150,
            decimals=0,
        )
        for method, end in ((_AES, "server"), (_AES, "local"), ("socks5", "proxy"))
    ],
    Bar("ms of `fastsocks --version`", "150", _AES, "start", "version ms", 150, decimals=0),
]


def outcomes(figures: Figures) -> list[Outcome]:
    """Every bar against a record."""
    return [_outcome(bar, figures) for bar in BARS]


def _outcome(bar: Bar, figures: Figures) -> Outcome:
    if bar.flat:
        return _flat(bar, figures)
    middle = figures.median(bar.method, bar.scenario, bar.peer, bar.key)
    if middle is None:
        return Outcome(bar, None, "not measured", None)
    shown = f"{middle:,.{bar.decimals}f}"
    if bar.limit is None:
        return Outcome(bar, middle, shown, None)
    if not bar.to:
        met = middle >= bar.limit if bar.least else middle <= bar.limit
        allowed = int(figures.record["machine"].get("descriptor limit", 0))
        if bar.key == "connections" and not met and middle == possible_within(allowed, middle + 1):
            text = f"{shown}, all that a limit of {allowed:,} descriptors allows"
            return Outcome(bar, middle, text, None)
        return Outcome(bar, middle, shown, met)
    best = _best(bar, figures)
    if best is None:
        return Outcome(bar, None, f"{shown}; {' or '.join(bar.to)} not measured", None)
    ratio = figures.ratio(bar.method, bar.scenario, bar.peer, bar.key, to=best)
    if ratio is None:
        return Outcome(bar, None, f"{shown}; never in one round with {best}", None)
    theirs = figures.median(bar.method, bar.scenario, best, bar.key)
    met = ratio <= bar.limit
    if bar.least:
        ratio = 1 / ratio
        met = ratio >= bar.limit
    text = f"{ratio:.2f}x: {shown}; {best} {theirs:,.{bar.decimals}f}"
    return Outcome(bar, ratio, text, met)


def _best(bar: Bar, figures: Figures) -> str | None:
    measured = {
        peer: middle
        for peer in bar.to
        if (middle := figures.median(bar.method, bar.scenario, peer, bar.key)) is not None
    }
    return min(measured, key=measured.__getitem__) if measured else None


def _flat(bar: Bar, figures: Figures) -> Outcome:
    found = {
        name: middle
        for name in bar.flat
        if (middle := figures.median(bar.method, name, bar.peer, bar.key)) is not None
    }
    if len(found) < 2:
        return Outcome(bar, None, "not measured", None)
    ratio = max(found.values()) / min(found.values())
    listed = " / ".join(f"{middle:,.{bar.decimals}f}" for middle in found.values())
    whole = len(found) == len(bar.flat)
    met = ratio <= (bar.limit or 0) if whole else None
    return Outcome(bar, ratio, f"{ratio:.2f}x: {listed}", met)
