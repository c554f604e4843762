"""The load generator notices what a relay does wrong, and the runner runs.

Not part of the test suite of fastsocks: ``pytest benchmarks/test_load.py``.
"""

from __future__ import annotations

import json
import socket
import threading
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
    with load.held(50, None, 20) as connections:
        connections.close()
    assert (connections.outcome["completed"], connections.outcome["lost"]) == (50, 0)


def test_runs_and_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "--quick",
        "--rounds",
        "1",
        "--peers",
        "direct",
        "--output",
        str(tmp_path / "record"),
    ]
    monkeypatch.setattr("sys.argv", ["benchmarks", *arguments, "--bulk-bytes", "1000000"])
    assert main() == 0
    assert "no proxy" in capsys.readouterr().out
    samples = json.loads((tmp_path / "record.json").read_text())["samples"]
    assert {sample["scenario"] for sample in samples} >= {"download", "upload", "short", "idle"}
    assert not [sample for sample in samples if "error" in sample]
