"""What Cython is worth: the cost in pure Python divided by that in Cython, hot path by hot path.

Both run in turn, in every round, so that a machine that is slower for a while changes nothing.
The relay is measured as a whole, through real processes; the rest function by function.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import statistics
import sys
import timeit
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from fastsocks.address import Address
from fastsocks.shadowsocks.keys import client_key, generate_key, server_key
from fastsocks.shadowsocks.methods import METHODS

from .macro import session
from .macro.figures import Figures
from .macro.peer import SOCKS5
from .macro.peers import BASELINE, PEERS
from .macro.report import table
from .macro.scenario import QUICK
from .macro.scenarios import SCENARIOS

_TWINS = ("cython", "python")
_PURE = "fastsocks (python)"
_SECONDS = 0.01  # that one timing takes at least
_METHOD = "aes-256-gcm"
_2022 = "2022-blake3-aes-128-gcm"
_TARGET = Address.of("192.0.2.1", 443)
_NOW = 1_700_000_000
_REPEATS = 3  # of which the fastest counts: what disturbs only ever adds
# A ratio is worse for certain when its best round is below this part of the other's worst.
_CERTAIN = 0.75

Ratios = dict[str, dict[str, float]]
Case = Callable[[str], Callable[[], object]]


def _twin(package: str, name: str, implementation: str) -> ModuleType:
    suffix = "_py" if implementation == "python" else ""
    return importlib.import_module(f"fastsocks.{package}.{name}{suffix}")


def _ends(implementation: str, name: str) -> tuple[Any, Any, Any]:
    """The framing twin, and an AEAD of the method with its parameters."""
    method = METHODS[name]
    aead = _twin("crypto", "_primitives", implementation).Aead(
        method.cipher, bytes(range(method.key_size))
    )
    limit = 0xFFFF if name.startswith("2022-") else 0x3FFF
    return _twin("shadowsocks", "_framing", implementation), aead, (method.nonce_size, limit)


def _seal(name: str, size: int) -> Case:
    plaintext = random.Random(1).randbytes(size)

    def case(implementation: str) -> Callable[[], object]:
        framing, aead, parameters = _ends(implementation, name)
        sealer = framing.RecordSealer(aead, *parameters)
        return lambda: sealer.seal(plaintext)

    return case


def _open(name: str, size: int, times: int = 32) -> Case:
    def case(implementation: str) -> Callable[[], object]:
        framing, aead, parameters = _ends(implementation, name)
        sealer = framing.RecordSealer(aead, *parameters)
        pieces = [sealer.seal(random.Random(1).randbytes(size)) for _ in range(times)]

        def run() -> None:
            opener = framing.RecordOpener(aead, *parameters)
            for piece in pieces:
                opener.open(memoryview(piece))

        return run

    return case


def _packet(name: str, size: int) -> Case:
    payload = random.Random(1).randbytes(size)

    def case(implementation: str) -> Callable[[], object]:
        method, password = METHODS[name], generate_key(name)
        client, server = client_key(method, password), server_key(method, password)
        if name.startswith("2022-"):
            packets = _twin("shadowsocks", "_packets_2022", implementation)
            sender = packets.Aead2022PacketClient(client)
            receiver = packets.Aead2022PacketServer(server)
        else:
            packets = _twin("shadowsocks", "_packets", implementation)
            sender = packets.AeadPackets(method, client.key)
            receiver = packets.AeadPackets(method, server.key, 100_000)
        return lambda: receiver.open(sender.seal(_TARGET, payload, _NOW), _NOW)

    return case


def _subkey(implementation: str) -> Callable[[], object]:
    primitives = _twin("crypto", "_primitives", implementation)
    return lambda: primitives.hkdf_sha1(bytes(32), bytes(32), b"ss-subkey", 32)


def _address(wire: bytes) -> Case:
    def case(implementation: str) -> Callable[[], object]:
        header = _twin("address", "_header", implementation)
        return lambda: header.read_address(wire)

    return case


def _request(implementation: str) -> Callable[[], object]:
    messages = _twin("socks", "_messages", implementation)
    wire = b"\x05\x01\x00" + _TARGET.wire
    return lambda: messages.read_request(wire)


CASES: dict[str, Case] = {
    "codec: subkey, HKDF-SHA1": _subkey,
    f"framing: seal 64 B, {_METHOD}": _seal(_METHOD, 64),
    f"framing: seal 64 KiB, {_METHOD}": _seal(_METHOD, 65536),
    f"framing: open 32 x 64 B, {_METHOD}": _open(_METHOD, 64),
    f"framing: open 32 x 16 KiB, {_METHOD}": _open(_METHOD, 16384),
    f"framing: open 32 x 16 KiB, {_2022}": _open(_2022, 16384),
    f"codec: a packet of 1,400 B there, {_METHOD}": _packet(_METHOD, 1400),
    f"codec: a packet of 1,400 B there, {_2022}": _packet(_2022, 1400),
    "header: an IPv4 address": _address(_TARGET.wire),
    "header: a name": _address(Address.of("www.example.com", 443).wire),
    "header: a SOCKS5 request": _request,
}
RELAY = {
    f"relay: download, {_METHOD}, s/GB": (_METHOD, "download", "s/GB all"),
    f"relay: short connections, {_METHOD}, us": (_METHOD, "short", "us all"),
    "relay: download, plain SOCKS5, s/GB": (SOCKS5, "download", "s/GB all"),
    "relay: short connections, plain SOCKS5, us": (SOCKS5, "short", "us all"),
}


def functions(rounds: int) -> Iterator[tuple[str, dict[str, float]]]:
    """The ratio of each function, and its cost in microseconds."""
    for name, case in CASES.items():
        timers = {twin: timeit.Timer(case(twin)) for twin in _TWINS}
        counts = {twin: _often_enough(timer) for twin, timer in timers.items()}
        costs = [
            {
                twin: min(timers[twin].repeat(_REPEATS, counts[twin])) / counts[twin] * 1e6
                for twin in _TWINS
            }
            for _ in range(rounds)
        ]
        yield name, _summary([(cost["cython"], cost["python"]) for cost in costs])


def _often_enough(timer: timeit.Timer) -> int:
    count = 1
    while (taken := timer.timeit(count)) < _SECONDS:
        count = max(2 * count, int(count * _SECONDS / max(taken, 1e-9)))
    return count


def relay(rounds: int) -> Iterator[tuple[str, dict[str, float]]]:
    """The ratio of both ends together, under a small load."""
    record: session.Record = {}
    selection = session.Selection(
        peers={key: PEERS[key] for key in ("fastsocks", "fastsocks-python")},
        methods=[_METHOD, SOCKS5],
        scenarios=[scenario for scenario in SCENARIOS if scenario.name in ("download", "short")],
        sizes=QUICK,
        rounds=rounds,
        other_ends=[],
    )
    session.measure(selection, lambda line: None, record.update)
    figures = Figures(record)
    for name, (method, scenario, key) in RELAY.items():
        found = figures.rounds(method, scenario)
        turns = found.get(BASELINE, {}).keys() & found.get(_PURE, {}).keys()
        pairs = [(found[BASELINE][turn][key], found[_PURE][turn][key]) for turn in sorted(turns)]
        if pairs:
            yield name, _summary(pairs)


def _summary(pairs: list[tuple[float, float]]) -> dict[str, float]:
    ratios = [python / cython for cython, python in pairs]
    return {
        "ratio": statistics.median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
        "cython": statistics.median(cython for cython, _ in pairs),
        "python": statistics.median(python for _, python in pairs),
    }


def markdown(ratios: Ratios, before: Ratios) -> str:
    """One table, with what the ratios were before where that is known."""
    titles = ["hot path", "Python/Cython", "lowest-highest", "Cython", "Python"]
    rows = [
        [
            name,
            f"{one['ratio']:.2f}",
            f"{one['lowest']:.2f}-{one['highest']:.2f}",
            f"{one['cython']:,.2f}",
            f"{one['python']:,.2f}",
            *([f"{before[name]['ratio']:.2f}" if name in before else "-"] if before else []),
        ]
        for name, one in ratios.items()
    ]
    text = "Microseconds a call, where nothing else is said. Above 1, Cython costs less.\n\n"
    return text + table([*titles, *(["before"] if before else [])], rows)


def worse(ratios: Ratios, before: Ratios) -> list[str]:
    """The names of those that are worse than before beyond what noise could be."""
    return [
        name
        for name, one in ratios.items()
        if name in before and one["highest"] < _CERTAIN * before[name]["lowest"]
    ]


def main() -> int:
    """Run the command; 0 done, 1 a ratio is worse than before for certain."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ratios", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="%(default)s")
    parser.add_argument("--no-relay", action="store_true", help="functions only: no C compiler")
    parser.add_argument("--output", type=Path, metavar="JSON", help="keep the ratios there")
    parser.add_argument("--compare", type=Path, metavar="JSON", help="with those of another run")
    options = parser.parse_args()
    before: Ratios = json.loads(options.compare.read_text())["ratios"] if options.compare else {}
    ratios: Ratios = dict(functions(options.rounds))
    if not options.no_relay:
        ratios.update(relay(options.rounds))
    print(markdown(ratios, before))
    if options.output:
        date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        record = {"format": 1, "date": date, "python": sys.version.split()[0], "ratios": ratios}
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(record, indent=1) + "\n")
    lost = worse(ratios, before)
    for name in lost:
        print(f"worse for certain: {name}", file=sys.stderr)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
