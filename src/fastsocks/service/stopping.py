"""Ending services on request: signals, and the time they leave to connections."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

_log = logging.getLogger("fastsocks")


class StopRequests:
    """Requests to stop: the first lets connections finish, the second ends them at once."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.end = asyncio.Event()

    def received(self) -> None:
        """Take in one."""
        (self.end if self.stop.is_set() else self.stop).set()


class StopSignals(StopRequests):
    """SIGTERM and SIGINT as such requests.

    As a context manager it takes both signals over from the process, and gives them back. Only
    the main thread can do that.

    :param ends_process: the process ends next: leave both ignored instead, so that a signal that
        comes a moment too late does not turn a clean end into a death by it.
    """

    def __init__(self, *, ends_process: bool = False) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._ends_process = ends_process
        self._before: dict[signal.Signals, Any] = {}

    def handlers(self) -> dict[signal.Signals, Callable[[], None]]:
        """Return what each signal does that is taken over."""
        return {signal.SIGTERM: self.received, signal.SIGINT: self.received}

    def __enter__(self) -> Self:
        for number, handler in self.handlers().items():
            self._before[number] = signal.getsignal(number)
            try:
                self._loop.add_signal_handler(number, handler)
            except NotImplementedError:  # Windows
                signal.signal(number, lambda *_: self._loop.call_soon_threadsafe(self.received))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._ends_process and hasattr(signal, "pthread_sigmask"):
            # To take a handler away is to restore the default for a moment.
            signal.pthread_sigmask(signal.SIG_BLOCK, self._before)
        for number, before in self._before.items():
            with contextlib.suppress(NotImplementedError):  # Windows
                self._loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN if self._ends_process else before)


class Drains(Protocol):
    """A service, as far as it is to be ended."""

    @property
    def active(self) -> int:
        """How many connections it has."""

    async def drain(self) -> bool:
        """Stop accepting, and wait until connections have ended by themselves or time is up.

        :return: whether all have ended.
        """


async def drain_all(services: Sequence[Drains], requests: StopRequests) -> None:
    """Stop accepting, and wait until connections have ended, time is up or a second request came.

    What is left is for :meth:`.running.Running.close` to end.
    """
    if active := _active(services):
        _log.info("stopping: %s may finish; signal again to end now", _connections(active))
    draining = asyncio.gather(*(service.drain() for service in services))
    ending = asyncio.ensure_future(requests.end.wait())
    await asyncio.wait((draining, ending), return_when=asyncio.FIRST_COMPLETED)
    for task in (draining, ending):
        task.cancel()
    await asyncio.gather(draining, ending, return_exceptions=True)
    if left := _active(services):
        _log.warning("ending %s", _connections(left))
    _log.info("stopped")


def _active(services: Sequence[Drains]) -> int:
    return sum(service.active for service in services)


def _connections(count: int) -> str:
    return "1 connection" if count == 1 else f"{count} connections"
