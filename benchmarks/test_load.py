"""The load generator notices what a relay does wrong, and the runner runs.

Not part of the test suite of fastsocks: ``pytest benchmarks/test_load.py``.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.macro import load

Change = Callable[[bytes], bytes]


def _pass(source: socket.socket, sink: socket.socket, change: Change) -> None:
    with source, sink:
        with suppress(ConnectionError):  # the load generator left, having seen enough
            while data := source.recv(65536):
                sink.sendall(change(data))
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def _serve(listener: socket.socket, change: Change) -> None:
    """A SOCKS5 proxy for one connection; ``change`` is done to what the target sends."""
    client, _ = listener.accept()
    client.recv(3)
    client.sendall(b"\x05\x00")
    request = client.recv(10)
    target = socket.create_connection(
        (socket.inet_ntoa(request[4:8]), 256 * request[8] + request[9])
    )
    client.sendall(b"\x05\x00\x00\x01" + bytes(6))
    threading.Thread(
        target=_pass, args=(client.dup(), target.dup(), lambda data: data), daemon=True
    ).start()
    _pass(target, client, change)


@pytest.fixture
def proxy(request: pytest.FixtureRequest) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener, request.param), daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("proxy", [lambda data: data], indirect=True)
def test_counts_every_byte(proxy: str) -> None:
    outcome = load.run(["download", "--bytes", "3000000"], proxy, 20)
    assert (outcome["received"], outcome["completed"]) == (3_000_000, 1)


@pytest.mark.parametrize("proxy", [lambda data: data[:-1] + bytes([data[-1] ^ 1])], indirect=True)
def test_notices_a_changed_byte(proxy: str) -> None:
    with pytest.raises(load.LoadError, match="bytes that were not sent"):
        load.run(["download", "--bytes", "3000000"], proxy, 20)


def test_notices_a_refused_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(load.LoadError, match="Connection refused"):
        load.run(["short", "--bytes", "1024"], f"127.0.0.1:{port}", 20)


def test_holds_idle_connections() -> None:
    with load.started(["idle", "--connections", "50"], None, 20) as idle:
        idle.ready()
        outcome = idle.end()
    assert (outcome["completed"], outcome["lost"]) == (50, 0)


def test_notices_a_lost_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        lost = threading.Event()
        thread = threading.Thread(target=_serve_until, args=(listener, lost), daemon=True)
        thread.start()
        proxy = f"127.0.0.1:{listener.getsockname()[1]}"
        with load.started(["idle"], proxy, 20) as idle:
            idle.ready()
            lost.set()
            thread.join(10)
            with pytest.raises(load.LoadError, match="1 lost"):
                idle.end()


def _serve_until(listener: socket.socket, lost: threading.Event) -> None:
    """A proxy that answers one exchange of one byte itself, and then resets the connection."""
    client, _ = listener.accept()
    client.recv(3)
    client.sendall(b"\x05\x00")
    request = client.recv(10)
    target = socket.create_connection(
        (socket.inet_ntoa(request[4:8]), 256 * request[8] + request[9])
    )
    with client, target:
        client.sendall(b"\x05\x00\x00\x01" + bytes(6))
        target.sendall(client.recv(1000))
        client.sendall(target.recv(1000))
        lost.wait(10)


def test_begins_when_told_after_the_warm_up() -> None:
    arguments = ["download", "--connections", "20", "--bytes", "100000", "--warm-up", "--hold"]
    with load.started(arguments, None, 20) as held:
        held.ready()
        held.tell()
        held.ready()
        outcome = held.end()
    # The byte of the warm-up is not among them.
    assert (outcome["completed"], outcome["received"]) == (20, 2_000_000)
    assert outcome["exchange_us"]["count"] == 20


def test_ends_when_told() -> None:
    arguments = ["download", "--bytes", "1000000000000", "--warm-up", "--until-told"]
    with load.started(arguments, None, 20) as endless:
        endless.ready()
        endless.tell()
        load.run(["pingpong", "--times", "100"], None, 20)
        outcome = endless.end()
    assert outcome["completed"] == outcome["failed"] == 0
    assert 0 < outcome["received"] < 1_000_000_000_000


def test_reads_slowly() -> None:
    arguments = ["download", "--bytes", "20000", "--read-rate", "100000", "--connections", "3"]
    outcome = load.run(arguments, None, 20)
    assert outcome["received"] == 60_000
    assert outcome["seconds"] >= 0.2


def test_exchanges_at_a_steady_rate() -> None:
    arguments = ["pingpong", "--times", "50", "--bytes", "64", "--every", "2", "--connections", "3"]
    outcome = load.run(arguments, None, 20)
    assert outcome["exchange_us"]["count"] == 150
    assert outcome["seconds"] >= 0.098


def _stall_once() -> Change:
    stalled: list[bool] = []

    def change(data: bytes) -> bytes:
        if not stalled:
            stalled.append(True)
            time.sleep(0.2)
        return data

    return change


@pytest.mark.parametrize("proxy", [_stall_once()], indirect=True)
def test_counts_a_stall_for_every_request_that_was_due_in_it(proxy: str) -> None:
    arguments = ["pingpong", "--times", "100", "--bytes", "64", "--every", "4"]
    # 50 of them were due: half waited for more than 90 ms or so, where one alone would show.
    assert load.run(arguments, proxy, 20)["exchange_us"]["p90"] > 100_000


@pytest.mark.parametrize("connections", [1, 9])
def test_spreads_connections_over_addresses(connections: int) -> None:
    arguments = ["download", "--connections", str(connections), "--spread", "4", "--bytes", "10"]
    assert load.run(arguments, None, 20)["completed"] == connections


# Number of a datagram, and the datagram: what is sent in its place.
Handle = Callable[[int, bytes], list[bytes]]


def _relay_datagrams(listener: socket.socket, relay: socket.socket, change: Handle) -> None:
    """A SOCKS5 UDP relay for one client; ``change`` is done to what the target sends."""
    control, _ = listener.accept()
    control.recv(3)
    control.sendall(b"\x05\x00")
    control.recv(10)
    port = relay.getsockname()[1]
    control.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01" + port.to_bytes(2, "big"))
    client, header, target, count = None, b"", ("", 0), 0
    with control:
        while True:  # until the fixture sends an empty one
            data, source = relay.recvfrom(65536)
            if not data:
                return
            if client is None:
                client, header = source, data[:10]
                target = (socket.inet_ntoa(data[4:8]), 256 * data[8] + data[9])
            if source == client:
                relay.sendto(data[10:], target)
            else:
                for each in change(count, data):
                    relay.sendto(header + each, client)
                count += 1


@pytest.fixture
def udp_proxy(request: pytest.FixtureRequest) -> Iterator[str]:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.socket(type=socket.SOCK_DGRAM) as relay,
    ):
        relay.bind(("127.0.0.1", 0))
        arguments = (listener, relay, request.param)
        thread = threading.Thread(target=_relay_datagrams, args=arguments, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        with socket.socket(type=socket.SOCK_DGRAM) as last:
            last.sendto(b"", relay.getsockname())
        thread.join(10)


_UDP = ["udp", "--times", "200", "--bytes", "64", "--rate", "10000", "--interval", "1"]


def _sent_over(proxy: str | None, *more: str) -> load.Outcome:
    with load.datagrams([*_UDP, *more], proxy, 20) as flow:
        flow.run()
    return flow.outcome


@pytest.mark.parametrize("more", [[], ["--connections", "7"]])
def test_counts_every_datagram(more: list[str]) -> None:
    outcome = _sent_over(None, *more)
    assert (outcome["sent"], outcome["reached"], outcome["returned"]) == (200, 200, 200)
    assert (outcome["duplicates"], outcome["reordered"]) == (0, 0)


@pytest.mark.parametrize("udp_proxy", [lambda number, data: [data]], indirect=True)
def test_relays_datagrams_through_a_proxy(udp_proxy: str) -> None:
    outcome = _sent_over(udp_proxy)
    assert (outcome["reached"], outcome["returned"]) == (200, 200)


@pytest.mark.parametrize(
    "udp_proxy", [lambda number, data: [] if number % 10 == 5 else [data]], indirect=True
)
def test_counts_lost_datagrams(udp_proxy: str) -> None:
    outcome = _sent_over(udp_proxy)
    assert (outcome["reached"], outcome["returned"]) == (200, 180)


def _swapping() -> Handle:
    held: list[bytes] = []

    def swap(number: int, data: bytes) -> list[bytes]:
        if number % 2:
            held.append(data)
            return []
        return [data, held.pop()] if held else [data]

    return swap


@pytest.mark.parametrize("udp_proxy", [_swapping()], indirect=True)
def test_counts_reordered_datagrams(udp_proxy: str) -> None:
    outcome = _sent_over(udp_proxy)
    assert (outcome["returned"], outcome["reordered"]) == (200, 100)


@pytest.mark.parametrize("udp_proxy", [lambda number, data: [data, data]], indirect=True)
def test_counts_duplicate_datagrams_apart(udp_proxy: str) -> None:
    outcome = _sent_over(udp_proxy)
    assert outcome["returned"] == 200
    assert outcome["duplicates"] > 0


@pytest.mark.parametrize(
    "udp_proxy",
    [
        lambda number, data: [data[:-1] + bytes([data[-1] ^ 1])] if number else [data],
        lambda number, data: [data[:-1]] if number else [data],
    ],
    ids=["changed", "truncated"],
    indirect=True,
)
def test_notices_a_changed_datagram(udp_proxy: str) -> None:
    with pytest.raises(load.LoadError, match="200 mismatches"):
        _sent_over(udp_proxy)


def test_notices_a_refused_association(proxy_that_refuses: str) -> None:
    with pytest.raises(load.LoadError, match="did not take UDP ASSOCIATE"):
        _sent_over(proxy_that_refuses)


def _refuse(listener: socket.socket) -> None:
    client, _ = listener.accept()
    with client:
        client.recv(3)
        client.sendall(b"\x05\x00")
        client.recv(10)
        client.sendall(b"\x05\x07\x00\x01" + bytes(6))


@pytest.fixture
def proxy_that_refuses() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_refuse, args=(listener,), daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def _run(monkeypatch: pytest.MonkeyPatch, output: Path, *arguments: str) -> int:
    command = ["benchmarks", "--quick", "--rounds", "2", "--peers", "direct"]
    sizes = ["--size", "bulk-bytes=1000000", "--size", "datagrams=200"]
    monkeypatch.setattr("sys.argv", [*command, *sizes, "--output", str(output), *arguments])
    return main()


def _samples(output: Path) -> list[tuple[str, int]]:
    samples = json.loads(output.with_suffix(".json").read_text())["samples"]
    assert not [sample for sample in samples if "error" in sample]
    return sorted((sample["scenario"], sample["round"]) for sample in samples)


def test_runs_and_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "record"
    assert _run(monkeypatch, output, "--scenarios", "download,pingpong*,udp-server-64x1") == 0
    assert "no proxy" in capsys.readouterr().out
    names = ["download", "pingpong", "pingpong-bulk", "udp-server-64x1"]
    assert set(_samples(output)) == {(name, turn) for name in names for turn in (0, 1)}


def test_goes_on_where_it_was_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "record"
    one_method = ["--methods", "aes-256-gcm"]
    wanted = [*one_method, "--scenarios", "download,udp-server-64x1"]
    assert _run(monkeypatch, output, *wanted, "--minutes", "0") == 3
    assert _samples(output) == []
    assert _run(monkeypatch, output, *one_method, "--scenarios", "download") == 0
    first = output.with_suffix(".json").read_text()
    assert _run(monkeypatch, output, *wanted, "--append") == 0
    assert len(_samples(output)) == 4
    assert (
        json.loads(output.with_suffix(".json").read_text())["samples"][:2]
        == (json.loads(first)["samples"])
    )
    # All is there: nothing is measured again.
    assert _run(monkeypatch, output, *wanted, "--append", "--minutes", "0") == 0


def test_refuses_to_add_to_a_record_of_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "record"
    wanted = ["--scenarios", "download"]
    assert _run(monkeypatch, output, *wanted) == 0
    assert _run(monkeypatch, output, *wanted, "--append", "--size", "bulk-bytes=2000000") == 2
    assert "its sizes" in capsys.readouterr().err
