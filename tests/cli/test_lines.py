"""Lines between the supervisor and its workers."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from typing import Any

import pytest

from fastsocks.cli.lines import MOST_BODY, MOST_LINE, Lines, LinesError, Message
from harness.deadline import DEADLINE


@pytest.fixture
def raw() -> Any:
    """One end as a socket, and the other one."""
    one, other = socket.socketpair()
    lines = Lines(other)
    with one:
        yield one, lines
    lines.close()


def test_both_directions() -> None:
    one, other = Lines.pair()
    one.send(do="stop")
    one.send(b"\n" * 70_000, id=3, do="reload")
    one.send(do="stats", id=4)
    found: list[Message] = []
    while len(found) < 3:
        found += other.receive()
        one.flush()
    assert found == [
        Message({"v": 1, "do": "stop"}),
        Message({"v": 1, "id": 3, "do": "reload", "body": 70_000}, b"\n" * 70_000),
        Message({"v": 1, "do": "stats", "id": 4}),
    ]
    other.send(id=4, error="\udcff \u20ac")
    assert one.receive() == [Message({"v": 1, "id": 4, "error": "\udcff \u20ac"})]
    assert one.receive() == []
    other.close()
    with pytest.raises(EOFError):
        one.receive()
    # Nobody is left to read it.
    one.send(do="stop")
    assert not one.sends
    one.close()


def test_lines_come_in_pieces(raw: Any) -> None:
    peer, lines = raw
    wire = b'{"v":1,"body":3}\nabc{"v":1,"do":"x"}\n'
    found: list[Message] = []
    for position in range(len(wire)):
        assert len(found) == (position > wire.index(b"c{")) + (position == len(wire))
        peer.sendall(wire[position : position + 1])
        found += lines.receive()
    assert found == [Message({"v": 1, "body": 3}, b"abc"), Message({"v": 1, "do": "x"})]


def test_what_was_sent_before_the_end_is_read(raw: Any) -> None:
    peer, lines = raw
    peer.sendall(b'{"v":1,"told":"failed"}\n{"v":1,"to')
    peer.close()
    assert lines.receive() == [Message({"v": 1, "told": "failed"})]
    with pytest.raises(EOFError):
        lines.receive()


@pytest.mark.parametrize(
    ("wire", "match"),
    [
        (b"\n", "no JSON"),
        (b"\xff\n", "no JSON"),
        (b"[" * 60_000 + b"\n", "no JSON"),
        (b"[]\n", "another version"),
        (b'{"v":2}\n', "another version than 1"),
        (b'{"v":1,"body":-1}\n', "body"),
        (b'{"v":1,"body":true}\n', "body"),
        (b'{"v":1,"body":"9"}\n', "body"),
        (f'{{"v":1,"body":{MOST_BODY + 1}}}\n'.encode(), "body"),
        (b"x" * MOST_LINE, "too long"),
        (b"x" * MOST_LINE + b"\n", "too long"),
    ],
)
def test_what_is_no_line_of_ours(raw: Any, wire: bytes, match: str) -> None:
    peer, lines = raw
    peer.sendall(wire)
    with pytest.raises(LinesError, match=match):
        _receive_all(lines)


def test_a_line_is_bounded(raw: Any) -> None:
    _, lines = raw
    with pytest.raises(ValueError, match="bytes with 0 behind it"):
        lines.send(why="x" * MOST_LINE)
    lines.send(why="x" * (MOST_LINE - 20))


def test_one_that_hangs_holds_nobody_up(raw: Any) -> None:
    """It reads nothing: what waits for it is bounded, and all of it comes once it reads."""
    peer, lines = raw
    sent = 0
    while len(lines._sending) <= 1 << 20:
        lines.send(do="stats", id=sent, filler="x" * 2000)
        sent += 1
    with pytest.raises(LinesError, match="wait to be read"):
        lines.send(do="stats")
    assert lines.sends
    peer.settimeout(DEADLINE)
    received = b""
    while received.count(b"\n") < sent:
        lines.flush()
        received += peer.recv(1 << 20)
    assert [json.loads(line)["id"] for line in received.splitlines()] == list(range(sent))
    assert not lines.sends


def _receive_all(lines: Lines) -> None:
    while True:
        lines.receive()


#: Plays the supervisor of one worker.
_SUPERVISOR = """
import os, select, signal, socket, sys
from fastsocks import Proxy, ProxyOptions, SharedState
from fastsocks.cli.lines import Lines
from fastsocks.cli.worker import Place, run_worker

service = Proxy(ProxyOptions(port=0), SharedState(1))
listening = service.bind(1)[0]
lines, others = Lines.pair()
if not (pid := os.fork()):
    lines.close()
    os._exit(run_worker([service], Place(0, [listening], others)))
others.close()

waiting = []

def next_line():
    while not waiting:
        select.select([lines], [], [], 30)
        waiting.extend(lines.receive())
    return waiting.pop(0).fields

lines.send(do="stats", id=1)
print(next_line(), next_line())
with socket.create_connection(service.addresses[0]) as client:
    client.sendall(b"\\5\\1\\0")
    assert client.recv(2) == b"\\5\\0"
    lines.send(do="stats", id=2)
    print(next_line())
    print(service.stats().accepted, service.stats().active)
lines.send(do="what", id=3)
print(next_line())
lines.send(do="end")
print(os.waitpid(pid, 0)[1], service.stats().accepted, service.stats().active)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no fork")
def test_a_worker_answers() -> None:
    """What is asked before it serves, too; and whoever made its service reads its counters."""
    told = subprocess.run(
        [sys.executable, "-c", _SUPERVISOR],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert told.stdout.splitlines() == [
        "{'v': 1, 'told': 'ready'} {'v': 1, 'id': 1}",
        "{'v': 1, 'id': 2}",
        "1 1",
        "{'v': 1, 'id': 3, 'error': \"there is no 'what'\"}",
        "0 1 0",
    ], told.stderr
