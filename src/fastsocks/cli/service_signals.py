"""Signals of a service that runs as this process."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING, Any

from fastsocks.service.stopping import StopSignals

from .early_signals import early_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_log = logging.getLogger("fastsocks")


class ServiceSignals(StopSignals):
    """Requests to stop, and SIGHUP: one of those at a terminal, and elsewhere to reload.

    :param reload: reads the configuration again; not called before the services run, nor again
        before it has ended.
    """

    def __init__(self, reload: Callable[[], Coroutine[Any, Any, None]]) -> None:
        super().__init__(ends_process=True)
        self._reload = reload
        self._reloading: asyncio.Task[None] | None = None
        # One that has come meanwhile.
        self._again = False
        self._serves = False
        # What came before, and was swallowed.
        if early_signals.stop:
            self.received()
        if early_signals.hangup:
            self._again = True

    def handlers(self) -> dict[signal.Signals, Callable[[], None]]:
        """Return what each signal does that is taken over."""
        found = super().handlers()
        if hasattr(signal, "SIGHUP") and not early_signals.hangup_ignored:
            stops = early_signals.hangup_stops
            found[signal.SIGHUP] = self.received if stops else self._hang_up
        return found

    def serve(self) -> None:
        """Reload from now on, and what was asked for meanwhile."""
        self._serves = True
        if self._again:
            self._hang_up()

    async def end_reload(self) -> None:
        """End a reload that is under way, and begin none."""
        self._serves = False
        if self._reloading is not None:
            self._reloading.cancel()
            await asyncio.wait((self._reloading,))

    def _hang_up(self) -> None:
        self._again = not self._serves or self._reloading is not None
        if not self._again:
            self._reloading = asyncio.ensure_future(self._reload())
            self._reloading.add_done_callback(self._reloaded)

    def _reloaded(self, task: asyncio.Task[None]) -> None:
        self._reloading = None
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the configuration could not be read again", exc_info=error)
        if self._again and self._serves:
            self._hang_up()
