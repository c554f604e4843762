"""This tree against another commit and against pure Python, in paired rounds, as one report.

The commit is built in a worktree of its own (build/base). In every round each scenario runs on all
three, one right after the other, so that a machine that is slower for a while changes nothing.
Exit code 1: something is worse than at that commit, beyond what noise could be.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from .macro import session
from .macro.figures import Figures
from .macro.peer import SOCKS5, End, Link, Peer
from .macro.peers import BASELINE, PEERS
from .macro.report import table
from .macro.scenario import FULL, QUICK, Sizes
from .macro.scenarios import SCENARIOS

ROOT = Path(__file__).resolve().parent.parent
_BASE = ROOT / "build" / "base"
_PURE = "fastsocks (python)"
_METHODS = ["aes-256-gcm", SOCKS5]
_SCENARIOS = ("download", "upload", "short")

#: Rounds in which it has to be worse, every one of them: by chance that is 1 in 32.
LEAST_ROUNDS = 5
#: And the median of their ratios has to be above this.
LIMIT = 1.15


@dataclass(frozen=True)
class Comparison:
    """One figure here and elsewhere; less is better."""

    name: str
    #: Medians.
    here: float
    there: float
    #: Here divided by there, round by round.
    ratios: Sequence[float]

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return median(self.ratios)

    @property
    def worse(self) -> bool:
        """Whether it is worse here beyond what noise could be."""
        enough = len(self.ratios) >= LEAST_ROUNDS and min(self.ratios) > 1
        return enough and self.ratio > LIMIT


def comparisons(figures: Figures, other: str) -> list[Comparison]:
    """Compare the first figure of every scenario and method with that of `other`."""
    found = []
    for scenario in figures.scenarios:
        column = scenario.columns[0]
        for method in figures.record["methods"]:
            rounds = figures.rounds(method, scenario.name)
            here, there = rounds.get(BASELINE, {}), rounds.get(other, {})
            pairs = [
                (here[turn][column.key], there[turn][column.key])
                for turn in sorted(here.keys() & there.keys())
                if column.key in here[turn] and there[turn].get(column.key)
            ]
            if pairs:
                found.append(
                    Comparison(
                        f"{scenario.name}, {method}, {column.title}",
                        median(one for one, _ in pairs),
                        median(one for _, one in pairs),
                        [one / another for one, another in pairs],
                    )
                )
    return found


def markdown(against_base: Sequence[Comparison], against_pure: Sequence[Comparison]) -> str:
    """Write the report."""
    rule = (
        f"\nBelow 1 it costs less here. Worse means: in each of at least {LEAST_ROUNDS} rounds, "
        f"and by more than {LIMIT - 1:.0%} in the median.\n"
    )
    parts = [
        "## Benchmarks\n",
        "### Against the base commit\n",
        chart(against_base),
        _table(against_base, "base"),
        rule,
        "### Against pure Python\n",
        _table(against_pure, "Python"),
    ]
    return "\n".join(parts)


def chart(found: Sequence[Comparison]) -> str:
    """Draw the medians as text: GitHub shows no file in a summary, but draws Mermaid's charts."""
    names = ", ".join(f'"{", ".join(one.name.split(", ")[:2])}"' for one in found)
    ratios = ", ".join(f"{one.ratio:.2f}" for one in found)
    highest = max([1.5, *(one.ratio for one in found)])
    return f"""```mermaid
xychart-beta horizontal
    title "Median of the ratios; above {LIMIT} may be worse"
    x-axis [{names}]
    y-axis "cost here / cost at the base commit" 0 --> {highest:.2f}
    bar [{ratios}]
```
"""


def _table(found: Sequence[Comparison], other: str) -> str:
    rows = [
        [
            one.name,
            f"{one.here:.3g}",
            f"{one.there:.3g}",
            f"{one.ratio:.2f}",
            f"{min(one.ratios):.2f}-{max(one.ratios):.2f}",
            "**worse**" if one.worse else "",
        ]
        for one in found
    ]
    return table(["figure", "here", other, "ratio", "lowest-highest", ""], rows)


def plot(found: Sequence[Comparison], path: Path) -> None:
    """Draw the ratio of every round to the base commit, and their median."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 1.5 + 0.4 * len(found)), layout="constrained")
    for at, one in enumerate(reversed(found)):
        colour = "tab:red" if one.worse else "tab:blue"
        axes.plot(one.ratios, [at] * len(one.ratios), "o", color=colour, alpha=0.4)
        axes.plot([one.ratio], [at], "|", color=colour, markersize=18, markeredgewidth=2)
    axes.set_yticks(range(len(found)), [one.name for one in reversed(found)])
    axes.axvline(1, color="grey", linewidth=1)
    axes.axvline(LIMIT, color="tab:red", linewidth=1, linestyle="--")
    axes.set_xlabel("cost here / cost at the base commit, by round; the bar is the median")
    figure.savefig(path)
    plt.close(figure)


def check_out(reference: str) -> tuple[Path, str]:
    """Build a commit in a worktree of its own; return its sources and its short name."""
    commit = _git("rev-parse", "--verify", f"{reference}^{{commit}}")
    tree = _BASE / commit
    if not tree.exists():
        # What was compared with before is of no more use.
        shutil.rmtree(_BASE, ignore_errors=True)
        _git("worktree", "prune")
        _git("worktree", "add", "--quiet", "--detach", str(tree), commit)
    subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"], cwd=tree, check=True
    )
    return tree / "src", commit[:12]


def _git(*arguments: str) -> str:
    return subprocess.check_output(["git", *arguments], cwd=ROOT, text=True).strip()


def _of(peer: Peer, name: str, source: Path) -> Peer:
    """Make a peer that runs the sources elsewhere."""
    variables = {"PYTHONPATH": str(source)}

    def ends(link: Link) -> list[End]:
        return [replace(end, env={**end.env, **variables}) for end in peer.ends(link)]

    return replace(peer, name=name, ends=ends, version=lambda: name, version_command=None)


def _measure(base: Path, base_name: str, sizes: Sizes, rounds: int) -> session.Record:
    peers: Mapping[str, Peer] = {
        "fastsocks": _of(PEERS["fastsocks"], BASELINE, ROOT / "src"),
        "base": _of(PEERS["fastsocks"], base_name, base),
        "fastsocks-python": _of(PEERS["fastsocks-python"], _PURE, ROOT / "src"),
    }
    record: session.Record = {}
    selection = session.Selection(
        peers=peers,
        methods=_METHODS,
        # What ran before in a process would show in the cost of short connections.
        scenarios=[replace(one, own_pair=True) for one in SCENARIOS if one.name in _SCENARIOS],
        sizes=replace(sizes, short_connections=FULL.short_connections),
        rounds=rounds,
        other_ends=[],
    )
    session.measure(selection, lambda line: print(line, file=sys.stderr), record.update)
    return record


def main() -> int:
    """Run the command; 0 done, 1 something is worse for certain."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("base", metavar="REF", help="a commit, a branch or a tag")
    parser.add_argument(
        "--rounds", type=int, default=LEAST_ROUNDS, help=f"{LEAST_ROUNDS} or more for a verdict"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="STEM",
        default=Path(".benchmarks/compare"),
        help="write STEM.json, STEM.md and STEM.svg (%(default)s)",
    )
    options = parser.parse_args()
    source, name = check_out(options.base)
    record = _measure(source, f"base {name}", QUICK, options.rounds)
    figures = Figures(record)
    against_base = comparisons(figures, f"base {name}")
    text = markdown(against_base, comparisons(figures, _PURE))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    options.output.with_suffix(".md").write_text(text)
    plot(against_base, options.output.with_suffix(".svg"))
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a") as file:
            file.write(text)
    print(text)
    return 1 if any(one.worse for one in against_base) else 0


if __name__ == "__main__":
    sys.exit(main())
