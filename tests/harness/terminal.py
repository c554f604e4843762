"""Child processes at a terminal of their own."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from typing import Self

from .deadline import DEADLINE


class Terminal:
    """A process whose standard streams are a pseudo-terminal, its controlling one.

    :param command: program and arguments.
    :param environment: the whole environment.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._ours, theirs = os.openpty()
        self.output = ""
        """What was shown so far, with line feeds alone."""
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                env=dict(environment),
                start_new_session=True,
                preexec_fn=_take_terminal,  # noqa: PLW1509 - one system call
            )
        finally:
            os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self.hang_up()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def type(self, text: str) -> None:
        """Type `text` and Enter."""
        os.write(self._ours, text.encode() + b"\r")

    def wait_for(self, expression: str) -> re.Match[str]:
        """Wait until the regular expression is found in what is shown.

        :raises TimeoutError: it is not, in time or ever.
        """
        end = time.monotonic() + DEADLINE
        while (found := re.search(expression, self.output)) is None:
            if not self._read(end - time.monotonic()):
                raise TimeoutError(f"did not show {expression!r}:\n{self.output}")
        return found

    def hang_up(self) -> None:
        """Take the terminal away: whoever uses it gets SIGHUP."""
        if self._ours >= 0:
            os.close(self._ours)
        self._ours = -1

    def interrupt(self) -> None:
        """Send what Ctrl-C sends."""
        self._process.send_signal(signal.SIGINT)

    def wait(self) -> int:
        """Read on to the end and return the exit code."""
        end = time.monotonic() + DEADLINE
        while self._read(end - time.monotonic()):
            pass
        return self._process.wait(DEADLINE)

    def _read(self, seconds: float) -> bool:
        if self._ours < 0:
            return False
        readable, _, _ = select.select([self._ours], [], [], max(seconds, 0))
        if not readable:
            return False
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # Linux, once nobody has the other end
            return False
        self.output += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
