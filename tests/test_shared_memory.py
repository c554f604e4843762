"""Memory that processes share, by fork and by a descriptor."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastsocks.shadowsocks.replay import ReplayMemory
from fastsocks.shared_memory import SharedMemory

memfds = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this system has no memfds")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

#: Maps the descriptor that it is given, writes there, and tells what it found.
_OTHER = """
import sys
from fastsocks.shared_memory import SharedMemory
memory = SharedMemory("counts", 5000, 3, descriptor=int(sys.argv[1])).map
sys.stdout.write(memory[:4].decode())
memory[4998:] = b"ab"
"""


@memfds
def test_a_program_that_is_executed_anew_is_handed_it() -> None:
    memory = SharedMemory("counts", 5000, 3)
    assert memory.map[:] == bytes(5000)
    memory.map[:4] = b"here"
    number = memory.descriptor
    told = subprocess.run(
        [sys.executable, "-c", _OTHER, str(number)],
        pass_fds=[number],
        stdout=subprocess.PIPE,
        check=True,
    )
    assert told.stdout == b"here"
    assert memory.map[4998:] == b"ab"


@memfds
def test_nobody_else_inherits_it_and_its_name_says_what_it_is() -> None:
    memory = SharedMemory("counts", 100, 1)
    assert not os.get_inheritable(memory.descriptor)
    assert "/memfd:fastsocks-counts" in Path("/proc/self/maps").read_text(encoding="ascii")


@memfds
@pytest.mark.parametrize(
    ("purpose", "size", "layout", "found"),
    [
        ("counts", 100, 2, "100 bytes of 'counts', layout 1, where 100 of 'counts', layout 2,"),
        ("counts", 101, 1, "100 bytes of 'counts', layout 1, where 101 of 'counts', layout 1,"),
        ("salts", 100, 1, "100 bytes of 'counts', layout 1, where 100 of 'salts', layout 1,"),
    ],
)
def test_other_memory_is_not_taken_over(purpose: str, size: int, layout: int, found: str) -> None:
    memory = SharedMemory("counts", 100, 1)
    number = os.dup(memory.descriptor)
    with pytest.raises(ValueError, match=found):
        SharedMemory(purpose, size, layout, descriptor=number)
    _assert_closed(number)


@memfds
@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 132, bytes(132)])
def test_what_is_no_memory_of_ours_is_not_taken_over(content: bytes) -> None:
    number = os.memfd_create("something")
    os.write(number, content)
    with pytest.raises(ValueError, match="no memory of fastsocks"):
        SharedMemory("counts", 100, 1, descriptor=number)
    _assert_closed(number)


@memfds
def test_a_pipe_is_not_taken_over() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with pytest.raises(OSError, match="seek"):
        SharedMemory("counts", 100, 1, descriptor=reading)
    _assert_closed(reading)


@memfds
def test_its_end_leaves_no_descriptor() -> None:
    before = _descriptors()
    memory = SharedMemory("counts", 100, 1)
    assert _descriptors() != before
    del memory
    assert _descriptors() == before


@forks
@pytest.mark.parametrize("error", [None, errno.ENOSYS, errno.EMFILE])
def test_children_share_it_where_there_is_no_memfd(
    monkeypatch: pytest.MonkeyPatch, error: int | None
) -> None:
    def refuse(*_: object) -> int:
        assert error is not None
        raise OSError(error, os.strerror(error))

    if error is None:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    else:
        monkeypatch.setattr(os, "memfd_create", refuse, raising=False)
    memory = SharedMemory("counts", 100, 1)
    assert memory.descriptor == -1
    if pid := os.fork():
        assert os.waitpid(pid, 0)[1] == 0
    else:
        memory.map[:2] = b"ab"
        os._exit(0)
    assert memory.map[:2] == b"ab"


@memfds
def test_what_tells_replays_lies_in_it() -> None:
    memory = ReplayMemory(64, 63)
    assert [one.purpose for one in memory.memories] == [
        "salts",
        "packet-salts",
        "timed-salts",
        "sessions",
    ]
    salts = memory.memories[0]
    before = os.pread(salts.descriptor, len(salts.map), 0)
    memory.salts.add(1 << 40)
    assert os.pread(salts.descriptor, len(salts.map), 0) != before


def _descriptors() -> set[str]:
    return {one.name for one in Path("/proc/self/fd").iterdir()}


def _assert_closed(number: int) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
