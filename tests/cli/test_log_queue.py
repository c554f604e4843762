"""Lines go on their way without anybody waiting for who reads them."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator

import pytest

from fastsocks.cli.log_queue import CAPACITY, Descriptor, LineQueue, LogFile, write_all
from harness.deadline import wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has no pipes that never wait")

LINE = b"x" * 99 + b"\n"


class Reader:
    """A pipe to write to, that is read when a test says so."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self.found = b""
        self.failures: list[OSError] = []

    def read(self, size: int = 1 << 20) -> bytes:
        """Read what is there, and return all that was read so far."""
        os.set_blocking(self.reading, False)
        with contextlib.suppress(BlockingIOError):
            self.found += os.read(self.reading, size)
        return self.found

    def read_until(self, end: bytes) -> list[bytes]:
        """Read until that is the end, and return the lines."""
        wait_until(lambda: self.read().endswith(end), f"{end!r} is written")
        return self.found.splitlines(keepends=True)

    def queue(self) -> LineQueue:
        """Make a queue in front of it."""
        return LineQueue(
            Descriptor(self.writing),
            lost=lambda count: b"lost %d\n" % count,
            failed=self.failures.append,
        )


@pytest.fixture
def reader() -> Iterator[Reader]:
    made = Reader()
    yield made
    for descriptor in (made.reading, made.writing):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def by_thread(_queue: LineQueue) -> None:
    """Leave it as it is."""


@pytest.fixture(params=[by_thread, LineQueue.use_process], ids=["thread", "process"])
def carried(request: pytest.FixtureRequest) -> Callable[[LineQueue], None]:
    """Say who carries the lines of a queue."""
    chosen: Callable[[LineQueue], None] = request.param
    return chosen


def fill(queue: LineQueue) -> int:
    """Put in more than there is room for, and return how many lines that were.

    Whoever carries them may have taken as many already as the queue holds.
    """
    count = 8 * CAPACITY // len(LINE)
    for _ in range(count):
        queue.put(LINE)
    return count


def test_lines_arrive_in_order(reader: Reader, carried: Callable[[LineQueue], None]) -> None:
    queue = reader.queue()
    carried(queue)
    for number in range(100):
        queue.put(b"line %d\n" % number)
    queue.close()
    assert reader.read().splitlines() == [b"line %d" % number for number in range(100)]


def test_a_reader_that_hangs_loses_lines_and_is_told(
    reader: Reader, carried: Callable[[LineQueue], None]
) -> None:
    queue = reader.queue()
    carried(queue)
    put = fill(queue)

    def told() -> int:
        lines = reader.read().splitlines(keepends=True)
        return sum(int(line.split()[1]) for line in lines if line.startswith(b"lost"))

    wait_until(lambda: reader.read().count(LINE) + told() == put, "all are there or told")
    assert told() > put // 2
    queue.put(b"and on\n")
    assert reader.read_until(b"and on\n")[-2].startswith(b"lost")
    queue.close()


def test_who_hangs_does_not_hold_up_the_end(
    reader: Reader, carried: Callable[[LineQueue], None]
) -> None:
    queue = reader.queue()
    carried(queue)
    fill(queue)
    # It returns at all: nobody reads, and nobody will.
    queue.close()
    queue.close()
    queue.put(LINE)


def test_a_line_longer_than_what_a_pipe_takes_whole(
    reader: Reader, carried: Callable[[LineQueue], None]
) -> None:
    queue = reader.queue()
    carried(queue)
    long = b"y" * (CAPACITY + 12345) + b"\n"
    queue.put(long)

    def arrives() -> bool:
        queue.put(b"the next one\n")
        return b"the next one\n" in reader.read()

    wait_until(arrives, "who carries took the rest")
    assert long in reader.found.splitlines(keepends=True)
    queue.close()


def test_lines_of_several_writers_stay_whole(reader: Reader) -> None:
    queues = [reader.queue() for _ in range(3)]
    for number in range(2000):
        for index, queue in enumerate(queues):
            queue.put(b"%d: %d %s\n" % (index, number, b"z" * 60))
        reader.read()
    for queue in queues:
        queue.close()
        reader.read()
    lines = reader.found.splitlines()
    for index in range(3):
        mine = [int(line.split()[1]) for line in lines if line.startswith(b"%d: " % index)]
        assert mine == sorted(mine)
    assert all(line.endswith(b"z" * 60) or line.startswith(b"lost") for line in lines)


def test_a_descriptor_that_somebody_made_non_blocking(reader: Reader) -> None:
    os.set_blocking(reader.writing, False)
    queue = reader.queue()
    # More than the pipe takes, and no more than the queue has room for.
    count = 2 * 65536 // len(LINE)
    for _ in range(count):
        queue.put(LINE)
    wait_until(lambda: len(reader.read()) == count * len(LINE), "all have arrived")
    queue.close()
    assert not reader.failures


def test_a_reader_that_has_gone(reader: Reader) -> None:
    os.close(reader.reading)
    queue = reader.queue()
    queue.put(LINE)
    wait_until(lambda: bool(reader.failures), "that is told")
    queue.put(LINE)
    queue.close()
    assert {type(error) for error in reader.failures} == {BrokenPipeError}


def test_lines_that_could_not_be_written_are_told_too() -> None:
    written: list[bytes] = []
    full = True

    class Disk:
        number = -1

        def write(self, data: bytes) -> None:
            if full:
                raise OSError(28, "full")
            written.append(data)

    failures: list[OSError] = []
    queue = LineQueue(Disk(), lost=lambda count: b"lost %d\n" % count, failed=failures.append)
    queue.put(b"one\ntwo\n")
    wait_until(lambda: bool(failures), "it has failed")
    full = False
    queue.put(b"three\n")
    queue.close()
    assert b"".join(written) == b"three\nlost 2\n"


def test_a_process_that_was_killed_is_replaced(reader: Reader) -> None:
    queue = reader.queue()
    queue.use_process()
    queue.put(b"first\n")
    reader.read_until(b"first\n")
    os.kill(queue._pid, signal.SIGKILL)

    def arrives() -> bool:
        queue.put(b"second\n")
        return b"second\n" in reader.read()

    wait_until(arrives, "the other one writes")
    queue.close()


def test_a_child_has_a_queue_of_its_own(reader: Reader) -> None:
    queue = reader.queue()
    queue.use_process()
    queue.put(b"parent\n")
    reader.read_until(b"parent\n")
    pid = os.fork()
    if not pid:
        code = 1
        try:
            queue.after_fork()
            queue.put(b"child\n")
            queue.close()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    reader.read_until(b"child\n")
    queue.put(b"parent again\n")
    queue.close()
    assert reader.read_until(b"parent again\n") == [b"parent\n", b"child\n", b"parent again\n"]


def test_signals_do_not_end_who_carries(reader: Reader) -> None:
    queue = reader.queue()
    queue.use_process()
    queue.put(b"first\n")
    reader.read_until(b"first\n")
    # As a terminal does it, or a service manager.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(queue._pid, number)
    queue.put(b"second\n")
    queue.close()
    assert reader.read_until(b"second\n") == [b"first\n", b"second\n"]


def test_a_file_that_was_moved_away(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "log")  # noqa: PTH118
    file = LogFile(path)
    file.write(b"first\n")
    os.rename(path, path + ".1")  # noqa: PTH104
    file.write(b"second\n")
    os.unlink(path)  # noqa: PTH108
    file.write(b"third\n")
    for name, text in ((".1", b"first\n"), ("", b"third\n")):
        with open(path + name, "rb") as found:  # noqa: PTH123
            assert found.read() == text


def test_who_carries_does_first_what_it_is_told(reader: Reader) -> None:
    queue = reader.queue()
    queue.use_process(lambda: write_all(reader.writing, b"prepared\n"))
    queue.put(b"first\n")
    reader.read_until(b"first\n")
    os.kill(queue._pid, signal.SIGKILL)

    def arrives() -> bool:
        queue.put(b"second\n")
        return b"second\n" in reader.read()

    wait_until(arrives, "the other one writes")
    queue.close()
    assert reader.read().splitlines().count(b"prepared") == 2
