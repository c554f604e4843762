"""Reports say what the record says. Not part of the test suite: ``pytest benchmarks``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from benchmarks import ratios
from benchmarks.macro import bars, publish, report
from benchmarks.macro.figures import Figures
from benchmarks.macro.peers import BASELINE, PEERS, THREADS
from benchmarks.macro.scenario import FULL
from benchmarks.macro.scenarios import SCENARIOS

AES = "aes-256-gcm"


def _download(peer: str, turn: int, seconds: float, method: str = AES) -> dict[str, Any]:
    """A download of 1 GB that took each of two ends so many CPU seconds."""
    end = {"cpu_seconds": seconds, "busiest_seconds": seconds, "peak_resident": 10_000_000}
    load = {"sent": 0, "received": 10**9, "seconds": 2.0, "cpu_seconds": 0.1, "mode": "download"}
    return {
        "method": method,
        "round": turn,
        "scenario": "download",
        "peer": peer,
        "load": load,
        "ends": {"server": end, "local": end},
    }


def _record(*samples: dict[str, Any]) -> dict[str, Any]:
    names = dict.fromkeys(sample["peer"] for sample in samples)
    return {
        "format": 2,
        "runs": [{"date": "2026-01-02 03:04 UTC", "load average": "0.1 0.1 0.1"}],
        "machine": {"kernel": "Linux 6"},
        "versions": {name: f"{name} 1.0" for name in names},
        "missing": {},
        "other_end": None,
        "methods": [AES],
        "peers": list(names),
        "scenarios": ["download"],
        "sizes": asdict(FULL),
        "samples": list(samples),
    }


def _bar(record: dict[str, Any]) -> bars.Outcome:
    (found,) = (
        outcome
        for outcome in bars.outcomes(Figures(record))
        if (outcome.bar.method, outcome.bar.scenario) == (AES, "download")
    )
    return found


def test_a_ratio_is_that_of_each_round() -> None:
    # The machine was twice as slow in the second round, which changes nothing.
    record = _record(
        _download(BASELINE, 0, 0.55),
        _download(THREADS, 0, 0.5),
        _download(BASELINE, 1, 1.1),
        _download(THREADS, 1, 1.0),
    )
    found = _bar(record)
    assert found.reached == pytest.approx(1.1)
    assert found.met is True


def test_a_bar_missed_is_said_to_be_missed() -> None:
    record = _record(_download(BASELINE, 0, 0.7), _download(THREADS, 0, 0.5))
    assert _bar(record).met is False
    assert "0 of 1 met" in report.markdown(record)
    assert "1.40x: 1.40; C threads 1.00 | **no**" in report.markdown(record)


def test_a_bar_without_its_peer_is_neither() -> None:
    found = _bar(_record(_download(BASELINE, 0, 0.7)))
    assert (found.reached, found.met) == (None, None)
    assert "C threads not measured" in found.text


def test_every_bar_is_of_what_the_suite_measures() -> None:
    known = {scenario.name: scenario for scenario in SCENARIOS}
    peers = {peer.name for peer in PEERS.values()}
    for bar in bars.BARS:
        for name in bar.flat or [bar.scenario]:
            methods = known[name].methods
            assert methods is None or bar.method in methods, bar
        assert set(bar.to) | {bar.peer} <= peers


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("/home/me/.cache/peers/bin/xray ended: no", "xray ended: no"),
        ("cannot open '/tmp/a-b/c.json': no", "cannot open 'c.json': no"),
        ("1.0 s/GB up/down, docs/benchmarks.md", "1.0 s/GB up/down, docs/benchmarks.md"),
    ],
)
def test_no_paths_get_into_a_report(text: str, clean: str) -> None:
    assert report.without_places(text) == clean
    failed = {"method": AES, "round": 0, "scenario": "download", "peer": BASELINE, "error": text}
    assert clean in report.markdown(_record(_download(BASELINE, 0, 1.0), failed))


def test_publishes_the_same_files_each_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    record = _record(_download(BASELINE, 0, 0.7), _download(THREADS, 0, 0.5))
    for name in ("first", "second"):
        publish.publish(record, tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert files == ["README.md", "bulk.svg", "details.md"]
    for name in files:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    assert "(bulk.svg)" in (tmp_path / "first/README.md").read_text()
    assert "fastsocks (cython)" in (tmp_path / "first/bulk.svg").read_text()


def test_a_ratio_that_noise_can_explain_is_not_worse() -> None:
    before = {"a": {"ratio": 3.0, "lowest": 2.5, "highest": 3.5}}
    assert ratios.worse({"a": {"ratio": 2.4, "lowest": 2.0, "highest": 2.6}}, before) == []
    assert ratios.worse({"a": {"ratio": 1.5, "lowest": 1.4, "highest": 1.6}}, before) == ["a"]
    assert ratios.worse({"new": {"ratio": 1.0, "lowest": 1.0, "highest": 1.0}}, before) == []
