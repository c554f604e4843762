"""What signals do from the first instruction on, until a service takes them over.

Until it has run, the default holds, which is death. So it imports nothing that is not there
already: ``_signal`` is what ``signal`` makes enumerations of, for which it takes milliseconds.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import os

#: The commands that run until a signal ends them.
_SERVICES = ("server", "local", "proxy")


class EarlySignals:
    """Signals of a process that is about to serve.

    A request to stop ends it at once, with success: there is nothing to finish yet.
    """

    def __init__(self) -> None:
        #: Whether a request to stop has come.
        self.stop = False
        #: Whether SIGHUP has come that meant nothing.
        self.hangup = False
        #: Whether SIGHUP says that the terminal is gone, and is a request to stop, too.
        self.hangup_stops = False
        #: Whether somebody wants SIGHUP to do nothing, as nohup(1) does.
        self.hangup_ignored = False

    def take_over(self) -> None:
        """Let each signal do what is right for a service."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        if not hasattr(signal, "SIGHUP"):  # Windows
            return
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
        self.hangup_ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        if self.hangup_ignored:
            return
        # Asked now: when the terminal is gone, there is none.
        self.hangup_stops = _has_terminal()
        signal.signal(signal.SIGHUP, self._stop if self.hangup_stops else self._hang_up)

    def _stop(self, _number: int, _frame: object) -> None:
        # Where whoever is interrupted swallows the exception, this is looked at later.
        self.stop = True
        # Another one must not make a death by it, or a traceback, of the end of this process.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        if self.hangup_stops:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        raise SystemExit(0)

    def _hang_up(self, _number: int, _frame: object) -> None:
        self.hangup = True


#: Those of this process.
early_signals = EarlySignals()


def take_early_signals(command: str) -> None:
    """Take signals over, if `command` is one that serves; others end as programs do."""
    if command in _SERVICES:
        early_signals.take_over()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True
