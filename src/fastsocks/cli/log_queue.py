"""Lines on their way to where somebody else reads them, who may be slow or hang.

A write to a pipe that is full, a stopped terminal or a file system that hangs does not return,
and takes along all that its process does. So lines go into a pipe of our own, which never waits,
and somebody who has nothing else to do carries them on.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from .title import title_part

#: Bytes that may wait, as far as the kernel grants them; a pipe has 64 KiB of itself.
CAPACITY = 256 * 1024

#: Bytes that a pipe takes whole from one writer among several (POSIX wants 512, Linux has this).
_AT_ONCE = 4096

#: fcntl.h; Python has a name for it from 3.10 on, on Linux only.
_F_SETPIPE_SZ = 1031

#: Seconds that what is left has to get out at the end.
PATIENCE = 1.0


class Destination(Protocol):
    """Where lines go in the end."""

    @property
    def number(self) -> int:
        """The descriptor."""

    def write(self, data: bytes) -> None:
        """Write all of `data`, however long that takes.

        :raises OSError: it cannot be.
        """


class Descriptor:
    """A descriptor that somebody else gave us, such as standard error."""

    def __init__(self, number: int) -> None:
        self.number = number

    def write(self, data: bytes) -> None:
        """Write all of `data`, in pieces that other writers cannot come between."""
        for piece in _pieces(data):
            write_all(self.number, piece)


class LogFile:
    """A file that is opened anew once it was moved away, as logrotate does it.

    :raises OSError: it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self.number = self._open()

    def write(self, data: bytes) -> None:
        """Append all of `data`."""
        if self._moved():
            number = self._open()
            os.close(self.number)
            self.number = number
        write_all(self.number, data)

    def _open(self) -> int:
        # Who went where is not for everybody on this machine to read.
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def _moved(self) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return True
        ours = os.fstat(self.number)
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)


class LineQueue:
    """A bounded queue of lines in front of a destination.

    Who puts lines in never waits: a line for which there is no room is lost, and counted. A thread
    carries them, which is started with the first line; or, where this process is yet to fork and
    must have no thread, a process (:meth:`use_process`).

    :param destination: where they go.
    :param lost: is given how many lines were lost once others get through again, and returns what
        to write in their place; called by who carries.
    :param failed: is told each time that writing fails, by who carries.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        lost: Callable[[int], bytes],
        failed: Callable[[OSError], None],
    ) -> None:
        self._destination = destination
        self._tell_lost = lost
        self._failed = failed
        # The end that is written to; -1 before the first line, and after the end.
        self._writing = -1
        self._closed = False
        # What is left of a line too long to be taken whole.
        self._rest = b""
        # How many lines were lost since the start, where a process can see it, too.
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self._lost = memoryview(self._memory).cast("Q")
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._prepare: Callable[[], None] | None = None

    def put(self, line: bytes) -> None:
        """Queue a line; never waits, never fails.

        :param line: with its end.
        """
        if self._closed:
            return
        if self._writing < 0:
            self._begin_thread()
        try:
            self._send(line)
        except BrokenPipeError:
            if self._pid:
                # The process that carried them is gone; another one takes the next lines.
                self.use_process(self._prepare)
                self._lost[0] += 1

    def use_process(self, prepare: Callable[[], None] | None = None) -> None:
        """Have a process carry the lines, from now on.

        :param prepare: is called in that process, and in one that takes its place.
        """
        self._let_go()
        self._prepare = prepare
        reading, writing = _pipe()
        told = self._lost[0]
        self._pid = os.fork()
        if self._pid:
            os.close(reading)
            self._writing = writing
            return
        try:
            _become_carrier({self._destination.number, reading})
            if prepare is not None:
                prepare()
            self._carry(reading, told)
        finally:
            os._exit(0)

    def after_fork(self) -> None:
        """Begin anew in a child process, apart from what the parent has put in."""
        if self._writing >= 0:
            os.close(self._writing)
        self._writing, self._pid, self._thread, self._rest = -1, 0, None, b""
        self._lost = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")

    def close(self) -> None:
        """Take no more lines; wait up to PATIENCE seconds until the destination has them all."""
        if self._closed:
            return
        deadline = time.monotonic() + PATIENCE
        if self._rest and self._writing >= 0:
            select.select((), (self._writing,), (), PATIENCE)
            self._send(b"")
        self._closed = True
        self._let_go(deadline)

    def _let_go(self, deadline: float = 0.0) -> None:
        """Let who carries lines come to an end, by `deadline`."""
        if self._writing >= 0:
            os.close(self._writing)
            self._writing = -1
        if self._thread is not None:
            # Where it hangs it does so without the interpreter, which can end.
            self._thread.join(max(deadline - time.monotonic(), 0.0))
        if self._pid:
            while not (ended := os.waitpid(self._pid, os.WNOHANG)[0]):
                if time.monotonic() >= deadline:
                    break
                time.sleep(0.01)
            if not ended:
                os.kill(self._pid, signal.SIGKILL)
            self._pid = 0

    def _begin_thread(self) -> None:
        reading, self._writing = _pipe()
        # As a daemon it does not hold up the end of the process.
        self._thread = threading.Thread(
            target=self._carry, args=(reading, 0), name="log", daemon=True
        )
        # Signals are for the main thread, which blocks them where they would do harm.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self._thread.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _send(self, line: bytes) -> None:
        waiting = self._rest
        try:
            if waiting:
                self._rest = waiting[os.write(self._writing, waiting) :]
            if line and not self._rest:
                self._rest = line[os.write(self._writing, line) :]
                return
        except BlockingIOError:
            pass
        if line:
            self._lost[0] += 1

    def _carry(self, reading: int, told: int) -> None:
        """Write what comes, until the other end is closed.

        :param told: how many lost lines others have told of.
        """
        buffer = bytearray(CAPACITY)
        failed, rest, size = 0, b"", 1
        while size:
            # Lines were lost because the queue was full: they are told behind what is in it now.
            lost = self._lost[0]
            size = os.readv(reading, (buffer,))
            lines, end, rest = (rest + buffer[:size]).rpartition(b"\n")
            if not size:
                end, rest = rest, b""
            if lines or end:
                failed = self._written(lines + end)
                told -= failed
            if lost > told and not failed and not self._written(self._tell_lost(lost - told)):
                told = lost
        os.close(reading)

    def _written(self, data: bytes) -> int:
        """Write `data`, and return how many lines of it are lost."""
        try:
            self._destination.write(data)
        except OSError as error:
            self._failed(error)
            return data.count(b"\n")
        return 0


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, also where whoever shares `descriptor` with us made it non-blocking.

    :raises OSError: it cannot be.
    """
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            select.select((), (descriptor,), ())


def _pieces(data: bytes) -> Iterator[bytes]:
    """Cut at ends of lines, so that each piece is one which a pipe takes whole, if it can be."""
    start = 0
    while len(data) - start > _AT_ONCE:
        end = data.rfind(b"\n", start, start + _AT_ONCE) + 1
        if not end:
            end = data.find(b"\n", start) + 1 or len(data)
        yield data[start:end]
        start = end
    if start < len(data):
        yield data[start:]


def _pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        fcntl.fcntl(writing, _F_SETPIPE_SZ, CAPACITY)
    return reading, writing


def _become_carrier(wanted: set[int]) -> None:
    """Let go of all that a process which only carries lines has no use for.

    :param wanted: the descriptors that it needs.
    """
    # It ends when nobody can put lines in any more.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Listening sockets among them: the kernel accepts for whoever has them open.
    start = 0
    for kept in (*sorted(wanted), os.sysconf("SC_OPEN_MAX")):
        os.closerange(start, kept)
        start = kept + 1
    title_part("log")
