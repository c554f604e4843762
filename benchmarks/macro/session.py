"""Paired rounds: in every round each scenario runs on every peer, one right after the other.

A session may be made in parts: what a record has already is not measured again.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import load, machine, perf
from .peer import HOST, SOCKS5, End, Link, MissingPeerError, Peer, make_link
from .peers import DIRECT
from .process import Process, StartError
from .scenario import Arrangement, Pair, Scenario, Sizes

START_SECONDS = 10.0

Record = dict[str, Any]


class OtherRecordError(Exception):
    """The record to be continued was made with something else."""


@dataclass(frozen=True)
class Selection:
    """What to measure, and how often."""

    peers: Mapping[str, Peer]
    methods: Sequence[str]
    scenarios: Sequence[Scenario]
    sizes: Sizes
    rounds: int
    other_ends: Sequence[Peer]  # the other end of UDP: the first of these that is installed
    every_method: bool = False  # with every scenario, also where it is not worth its time
    system_calls: bool = False  # count them, which costs the ends a little
    profiles: Path | None = None  # folder for a profile of every end under every load
    until: float | None = None  # on time.monotonic()'s clock: begin nothing later

    def rounds_of(self, scenario: Scenario, method: str) -> int:
        """How many rounds of that scenario there are with that method."""
        if self.every_method:
            return self.rounds
        if scenario.methods is not None and method not in scenario.methods:
            return 0
        return min(self.rounds, scenario.rounds)


@dataclass(frozen=True)
class Unit:
    """What is measured in one go: scenarios in one round, on every peer."""

    method: str
    turn: int
    scenarios: Sequence[Scenario]


def _ends(peer: Peer, link: Link, arrangement: Arrangement, other: Peer | None) -> list[End]:
    if arrangement is Arrangement.PAIR or not peer.ends(link):
        return peer.ends(link)
    if arrangement is Arrangement.PROXY:
        return [peer.datagram_end(link, "proxy")]
    if other is None:
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
        version = peer.version_command() if peer.version_command else None
        yield Pair(processes, proxy, version)


def versions(peers: Mapping[str, Peer]) -> tuple[dict[str, str], dict[str, str]]:
    """The versions of the installed peers, and why the others are missing."""
    found, missing = {}, {}
    for peer in peers.values():
        try:
            found[peer.name] = peer.version()
        except MissingPeerError as error:
            missing[peer.name] = str(error)
    return found, missing


def measure(
    selection: Selection,
    tell: Callable[[str], None],
    keep: Callable[[Record], None],
    before: Record | None = None,
) -> bool:
    """Measure what ``before`` lacks, and ``keep`` the record after every unit.

    ``tell`` is called with a line of progress at a time. False: time was up before the end.
    Raises LoadError, PerfError, OtherRecordError.
    """
    machine.raise_descriptor_limit()
    load.build()
    found, missing = versions(selection.peers)
    for name, why in missing.items():
        tell(f"left out: {name}: {why}")
    other, other_version = _other_end(selection)
    record: Record = {
        "format": 2,
        "runs": [
            {
                "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
                "load average": machine.load_average(),
            }
        ],
        "machine": machine.facts(),
        "versions": found,
        "missing": missing,
        "other_end": other_version,
        "methods": list(selection.methods),
        "peers": [peer.name for peer in selection.peers.values()],
        "scenarios": [scenario.name for scenario in selection.scenarios],
        "sizes": asdict(selection.sizes),
        "samples": [],
    }
    if before is not None:
        record = _continued(before, record)
    keep(record)
    done = {_place(sample) for sample in record["samples"]}
    for unit in _units(selection):
        peers = [
            peer
            for key, peer in selection.peers.items()
            if peer.name in found and _takes_part(key, peer, unit, selection.sizes)
        ]
        peers = peers[unit.turn % len(peers) :] + peers[: unit.turn % len(peers)] if peers else []
        scenarios = [
            scenario
            for scenario in unit.scenarios
            if any((unit.method, unit.turn, scenario.name, peer.name) not in done for peer in peers)
        ]
        if not scenarios or not peers:
            continue
        if selection.until is not None and time.monotonic() > selection.until:
            return False
        names = ", ".join(scenario.name for scenario in scenarios)
        tell(f"{unit.method}, round {unit.turn + 1}: {names}")
        run = _one_unit(Unit(unit.method, unit.turn, scenarios), peers, selection, other, tell)
        for sample in run:
            place = {"method": unit.method, "round": unit.turn, **sample}
            if _place(place) not in done:
                record["samples"].append(place)
        keep(record)
    return True


def _place(sample: Record) -> tuple[str, int, str, str]:
    return sample["method"], sample["round"], sample["scenario"], sample["peer"]


def _continued(before: Record, record: Record) -> Record:
    """``before``, ready to take what this run measures, too."""
    for name in ("format", "machine", "sizes"):
        _require_same(name, before.get(name), record[name])
    for name in before["versions"].keys() & record["versions"].keys():
        _require_same("version", before["versions"][name], record["versions"][name])
    if before["other_end"] and record["other_end"]:
        _require_same("other end", before["other_end"], record["other_end"])
    joined = {**before, "runs": before["runs"] + record["runs"]}
    joined["versions"] = before["versions"] | record["versions"]
    joined["missing"] = {
        name: why
        for name, why in (before["missing"] | record["missing"]).items()
        if name not in joined["versions"]
    }
    joined["other_end"] = before["other_end"] or record["other_end"]
    for name in ("methods", "peers", "scenarios"):
        joined[name] = list(dict.fromkeys(before[name] + record[name]))
    return joined


def _require_same(name: str, theirs: object, ours: object) -> None:
    if theirs != ours:
        raise OtherRecordError(f"cannot add to that record: its {name} is {theirs}, now {ours}")


def _units(selection: Selection) -> Iterator[Unit]:
    """Rounds outermost: a session that is cut short has fewer rounds, but of everything."""
    for turn in range(selection.rounds):
        for method in selection.methods:
            scenarios = [
                scenario
                for scenario in selection.scenarios
                if turn < selection.rounds_of(scenario, method)
            ]
            # A pair for them all, and all the pairs stand at the same time.
            shared = [scenario for scenario in scenarios if not scenario.own_pair]
            if shared:
                yield Unit(method, turn, shared)
            for scenario in scenarios:
                if scenario.own_pair:
                    yield Unit(method, turn, [scenario])


def _takes_part(key: str, peer: Peer, unit: Unit, sizes: Sizes) -> bool:
    return (
        peer.speaks(unit.method)
        and unit.turn < peer.rounds
        and any(_can(key, peer, unit.method, scenario, sizes) for scenario in unit.scenarios)
    )


def _can(key: str, peer: Peer, method: str, scenario: Scenario, sizes: Sizes) -> bool:
    if scenario.peers is not None:
        if key not in scenario.peers:
            return False
    elif peer.named_only:
        return False
    if peer.name == DIRECT and not scenario.ceiling:
        return False
    if scenario.connections(sizes) > peer.most_connections:
        return False
    if scenario.arrangement is Arrangement.PAIR:
        return True
    return peer.udp is not None and (
        (method == SOCKS5) == (scenario.arrangement is Arrangement.PROXY)
    )


def _one_unit(
    unit: Unit,
    peers: Sequence[Peer],
    selection: Selection,
    other: Peer | None,
    tell: Callable[[str], None],
) -> Iterator[Record]:
    keys = {peer.name: key for key, peer in selection.peers.items()}

    def able(peer: Peer, scenario: Scenario) -> bool:
        return _can(keys[peer.name], peer, unit.method, scenario, selection.sizes)

    if unit.scenarios[0].own_pair:
        (scenario,) = unit.scenarios
        for peer in peers:
            try:
                with running(peer, unit.method, scenario.arrangement, other) as pair:
                    yield _sample(scenario, peer.name, pair, unit.method, selection, tell)
            except StartError as error:
                yield from _not_started(peer, [scenario], error, tell)
        return
    with ExitStack() as stack:
        pairs: dict[str, Pair] = {}
        for peer in peers:
            try:
                pairs[peer.name] = stack.enter_context(
                    running(peer, unit.method, Arrangement.PAIR, other)
                )
            except StartError as error:
                wanted = [scenario for scenario in unit.scenarios if able(peer, scenario)]
                yield from _not_started(peer, wanted, error, tell)
        for scenario in unit.scenarios:
            for peer in peers:
                if peer.name in pairs and able(peer, scenario):
                    pair = pairs[peer.name]
                    yield _sample(scenario, peer.name, pair, unit.method, selection, tell)


def _other_end(selection: Selection) -> tuple[Peer | None, str | None]:
    """The end that all peers have opposite them with UDP, and its version."""
    paired = (Arrangement.SERVER, Arrangement.LOCAL)
    if all(each.arrangement not in paired for each in selection.scenarios):
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
    except (load.LoadError, perf.PerfError, OSError) as error:
        # OSError: of reading /proc, where an end has died
        sample["error"] = str(error) if not isinstance(error, OSError) else f"{name} has ended"
        tell(f"{scenario.name}, {name}: {sample['error']}")
    else:
        for role, count in calls.items():
            sample["ends"][role]["system_calls"] = count
        figures = scenario.figures(sample, selection.sizes)
        first = scenario.columns[0]
        shown = f"{figures[first.key]:.{first.decimals}f}" if first.key in figures else "-"
        tell(f"  {scenario.name:17} {name:20} {shown} {first.title}")
    return sample
