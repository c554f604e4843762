"""Signals of a service that runs as this process."""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING

from fastsocks.service.stopping import StopSignals

from .early_signals import early_signals

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger("fastsocks")


class ServiceSignals(StopSignals):
    """Requests to stop, and SIGHUP: one of those at a terminal, and elsewhere a line in the log."""

    def __init__(self) -> None:
        super().__init__(ends_process=True)
        # What came before, and was swallowed.
        if early_signals.stop:
            self.received()
        if early_signals.hangup:
            nothing_to_reload()

    def handlers(self) -> dict[signal.Signals, Callable[[], None]]:
        """Return what each signal does that is taken over."""
        found = super().handlers()
        if hasattr(signal, "SIGHUP") and not early_signals.hangup_ignored:
            stops = early_signals.hangup_stops
            found[signal.SIGHUP] = self.received if stops else nothing_to_reload
        return found


def nothing_to_reload() -> None:
    """Say that SIGHUP changes nothing."""
    _log.info("SIGHUP: there is nothing to reload yet; restart to apply a changed configuration")
