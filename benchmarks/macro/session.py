"""Paired rounds: in every round each scenario runs on every peer, one right after the other."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import load, machine, perf
from .peers import HOST, SOCKS5, End, Link, MissingPeerError, Peer, make_link
from .process import Process, StartError
from .scenario import Arrangement, Pair, Scenario, Sizes

START_SECONDS = 10.0

Record = dict[str, Any]


@dataclass(frozen=True)
class Selection:
    """What to measure, and how often."""

    peers: Sequence[Peer]
    methods: Sequence[str]
    scenarios: Sequence[Scenario]
    sizes: Sizes
    rounds: int
    other_ends: Sequence[Peer]  # the other end of UDP: the first of these that is installed
    system_calls: bool = False  # count them, which costs the ends a little
    profiles: Path | None = None  # folder for a profile of every end under every load


def _ends(peer: Peer, link: Link, arrangement: Arrangement, other: Peer | None) -> list[End]:
    if arrangement is Arrangement.PAIR or not peer.ends(link) or other is None:
        return peer.ends(link)
    server, local = (peer, other) if arrangement is Arrangement.SERVER else (other, peer)
    return [server.datagram_end(link, "server"), local.datagram_end(link, "local")]


@contextmanager
def running(
    peer: Peer, method: str, arrangement: Arrangement, other: Peer | None
) -> Iterator[Pair]:
    """Start a peer's ends and wait for their ports; stops them afterwards."""
    with tempfile.TemporaryDirectory(prefix="fastsocks-benchmark-") as name, ExitStack() as stack:
        folder = Path(name)
        processes: dict[str, Process] = {}
        proxy = None
        for end in _ends(peer, make_link(method, folder), arrangement, other):
            log = folder / f"{end.role}.log"
            process = stack.enter_context(Process(end.argv, end.env, end.port, log))
            process.wait_listening(START_SECONDS)
            processes[end.role] = process
            proxy = f"{HOST}:{end.port}"
        yield Pair(processes, proxy)


def versions(peers: Sequence[Peer]) -> tuple[dict[str, str], dict[str, str]]:
    """The versions of the installed peers, and why the others are missing."""
    found, missing = {}, {}
    for peer in peers:
        try:
            found[peer.name] = peer.version()
        except MissingPeerError as error:
            missing[peer.name] = str(error)
    return found, missing


def measure(selection: Selection, tell: Callable[[str], None]) -> Record:
    """Run everything; the record that the report is made from, ready for JSON.

    ``tell`` is called with a line of progress at a time.
    """
    machine.raise_descriptor_limit()
    facts = machine.facts()
    load.build()
    found, missing = versions(selection.peers)
    for name, why in missing.items():
        tell(f"left out: {name}: {why}")
    other, other_version = _other_end(selection)
    samples: list[Record] = []
    for method in selection.methods:
        able = [peer for peer in selection.peers if peer.name in found and peer.speaks(method)]
        for turn in range(selection.rounds if able else 0):
            first = turn % len(able)
            tell(f"{method}, round {turn + 1} of {selection.rounds}")
            samples.extend(
                {"method": method, "round": turn, **sample}
                for sample in _one_round(
                    able[first:] + able[:first], method, selection, other, tell
                )
            )
    return {
        "format": 1,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": facts,
        "versions": found,
        "missing": missing,
        "other_end": other_version,
        "methods": list(selection.methods),
        "peers": [peer.name for peer in selection.peers],
        "scenarios": [scenario.name for scenario in selection.scenarios],
        "rounds": selection.rounds,
        "sizes": asdict(selection.sizes),
        "samples": samples,
    }


def _one_round(
    peers: Sequence[Peer],
    method: str,
    selection: Selection,
    other: Peer | None,
    tell: Callable[[str], None],
) -> Iterator[Record]:
    shared = [scenario for scenario in selection.scenarios if not scenario.own_pair]
    with ExitStack() as stack:
        pairs: dict[str, Pair] = {}
        for peer in peers if shared else []:
            try:
                pairs[peer.name] = stack.enter_context(
                    running(peer, method, Arrangement.PAIR, other)
                )
            except StartError as error:
                yield from _not_started(peer, shared, error, tell)
        for scenario in shared:
            for name, pair in pairs.items():
                yield _sample(scenario, name, pair, method, selection, tell)
    for scenario in selection.scenarios:
        for peer in peers if scenario.own_pair else []:
            if not _can(peer, method, scenario):
                continue
            try:
                with running(peer, method, scenario.arrangement, other) as pair:
                    yield _sample(scenario, peer.name, pair, method, selection, tell)
            except StartError as error:
                yield from _not_started(peer, [scenario], error, tell)


def _can(peer: Peer, method: str, scenario: Scenario) -> bool:
    if scenario.arrangement is Arrangement.PAIR:
        return True
    return peer.udp is not None and method != SOCKS5


def _other_end(selection: Selection) -> tuple[Peer | None, str | None]:
    """The end that all peers have opposite them with UDP, and its version."""
    if all(each.arrangement is Arrangement.PAIR for each in selection.scenarios):
        return None, None
    for peer in selection.other_ends:
        with suppress(MissingPeerError):
            return peer, f"{peer.name}: {peer.version()}"
    return None, None


def _not_started(
    peer: Peer, scenarios: Sequence[Scenario], error: StartError, tell: Callable[[str], None]
) -> Iterator[Record]:
    tell(f"{peer.name}: {error}")
    for scenario in scenarios:
        yield {"scenario": scenario.name, "peer": peer.name, "error": str(error)}


def _sample(
    scenario: Scenario,
    name: str,
    pair: Pair,
    method: str,
    selection: Selection,
    tell: Callable[[str], None],
) -> Record:
    sample: Record = {"scenario": scenario.name, "peer": name}
    calls: dict[str, int] = {}
    try:
        with ExitStack() as stack:
            if selection.system_calls:
                calls = stack.enter_context(perf.system_calls(pair.ends))
            if selection.profiles:
                profile = f"{method}-{scenario.name}-{name}".replace(" ", "-")
                stack.enter_context(perf.profiles(pair.ends, selection.profiles, profile))
            sample.update(scenario.run(pair, selection.sizes))
    except load.LoadError as error:
        sample["error"] = str(error)
        tell(f"{scenario.name}, {name}: {error}")
    else:
        for role, count in calls.items():
            sample["ends"][role]["system_calls"] = count
        figures = scenario.figures(sample, selection.sizes)
        first = scenario.columns[0]
        shown = f"{figures[first.key]:.{first.decimals}f}" if first.key in figures else "-"
        tell(f"  {scenario.name:17} {name:20} {shown} {first.title}")
    return sample
