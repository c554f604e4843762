"""The figures of a record: by scenario, method, peer and round."""

from __future__ import annotations

from functools import cached_property
from statistics import median
from typing import Any

from .peers import BASELINE
from .scenario import Scenario, Sizes
from .scenarios import SCENARIOS

Record = dict[str, Any]
# Of one scenario with one method: by peer and round.
Rounds = dict[str, dict[int, dict[str, float]]]

_BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


class Figures:
    """What a record says, with the figures of each sample worked out once."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.sizes = Sizes(**record["sizes"])

    @cached_property
    def _all(self) -> dict[tuple[str, str], Rounds]:
        found: dict[tuple[str, str], Rounds] = {}
        for sample in self.record["samples"]:
            scenario = _BY_NAME.get(sample["scenario"])
            if scenario is None or "error" in sample:
                continue
            rounds = found.setdefault((sample["method"], scenario.name), {})
            numbers = scenario.figures(sample, self.sizes)
            rounds.setdefault(sample["peer"], {})[sample["round"]] = numbers
        return found

    @property
    def baseline(self) -> str:
        """The peer that ratios are to: fastsocks, or the first one where it was not measured."""
        found: dict[str, str] = self.record["versions"]
        return BASELINE if BASELINE in found else next(iter(found), BASELINE)

    @property
    def scenarios(self) -> list[Scenario]:
        """Those of the record, in the order of the suite."""
        return [scenario for scenario in SCENARIOS if scenario.name in self.record["scenarios"]]

    @property
    def peers(self) -> list[str]:
        """The names of those that were installed."""
        return [peer for peer in self.record["peers"] if peer in self.record["versions"]]

    def rounds(self, method: str, scenario: str) -> Rounds:
        return self._all.get((method, scenario), {})

    def values(self, method: str, scenario: str, peer: str, key: str) -> list[float]:
        """A figure's value in each round it was measured in."""
        rounds = self.rounds(method, scenario).get(peer, {})
        return [figures[key] for figures in rounds.values() if key in figures]

    def median(self, method: str, scenario: str, peer: str, key: str) -> float | None:
        values = self.values(method, scenario, peer, key)
        return median(values) if values else None

    def ratio(
        self, method: str, scenario: str, peer: str, key: str, to: str | None = None
    ) -> float | None:
        """The median of the ratios of ``peer`` to another (the baseline) within each round."""
        rounds = self.rounds(method, scenario)
        divisors = rounds.get(to or self.baseline, {})
        ratios = [
            figures[key] / divisors[turn][key]
            for turn, figures in rounds.get(peer, {}).items()
            if key in figures and turn in divisors and divisors[turn].get(key)
        ]
        return median(ratios) if ratios else None
