"""Signals of a process that runs no event loop, as bytes in a pipe."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Any, Self

from .early_signals import early_signals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

#: Those that the supervisor takes.
NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class SignalPipe:
    """Takes signals over, as a context manager; those that came before come again."""

    def __init__(self) -> None:
        #: Where they can be waited for.
        self.descriptor, self._writing = os.pipe()
        os.set_blocking(self.descriptor, False)
        os.set_blocking(self._writing, False)
        self._before: dict[signal.Signals, Any] = {}
        self._wakeup = -1

    def __enter__(self) -> Self:
        self._wakeup = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        for number in NUMBERS:
            if number != signal.SIGHUP or not early_signals.hangup_ignored:
                self._before[number] = signal.signal(number, lambda *_: None)
        # What came before, and was swallowed.
        if early_signals.stop:
            os.write(self._writing, bytes((signal.SIGTERM,)))
        if early_signals.hangup:
            os.write(self._writing, bytes((signal.SIGHUP,)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            # The process ends next: one that comes now must not make a death of that.
            for number in self._before:
                self._before[number] = signal.SIG_IGN
        self.leave()

    def take(self) -> list[int]:
        """Return those that came."""
        return list(os.read(self.descriptor, 4096))

    def leave(self) -> None:
        """Let signals do again what they did before."""
        signal.set_wakeup_fd(self._wakeup)
        for number, before in self._before.items():
            signal.signal(number, before)
        os.close(self.descriptor)
        os.close(self._writing)


@contextlib.contextmanager
def signals_blocked() -> Iterator[None]:
    """Keep signals back until a process that forks knows which of the two it is."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
