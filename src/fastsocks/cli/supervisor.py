"""The process that starts workers, replaces those that die, and stops all of them."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import select
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Self

import click

from fastsocks.errors import ConfigError, ListenError

from .early_signals import early_signals
from .log import each_line_once
from .process import STOPPING, Start, announce, give_up_rights, versions
from .service_manager import notify
from .service_signals import nothing_to_reload
from .worker import BAD_CONFIGURATION, CANNOT_LISTEN, READY, Place, run_worker

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from fastsocks.service import Running
    from fastsocks.service.listening import Listening

#: Seconds after which a worker is no longer taken for one that fails again and again.
_STEADY = 60.0

#: Seconds before the second, third ... start in a row; the first one is at once.
_PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)

#: Seconds that workers have to end once they are told to do so at once.
_PATIENCE = 5.0

_LONGEST_REPORT = 4096

_log = logging.getLogger("fastsocks")


def supervise(start: Start, count: int, sockets: Sequence[socket.socket] = ()) -> None:
    """Run services in several processes until a signal ends them.

    :param count: how many, 2 or more.
    :param sockets: those that were passed, in the place of new ones.
    :raises ConfigError: the options are wrong, here or in a worker.
    :raises ListenError: an address cannot be had.
    :raises ClickException: a worker failed while it started.
    """
    if not hasattr(os, "fork"):
        raise ConfigError("workers: this system has no fork; leave it at 1")
    with each_line_once():
        services = start.make(count, sockets)
    _log.info("%s, %d workers", versions(), count)
    # Each service's sockets by worker, turned into each worker's by service.
    listening = list(zip(*(service.bind(count, sockets) for service in services), strict=True))
    give_up_rights(start.options)
    with _Signals() as signals:
        _Supervisor(start, services, listening, signals).run()


class _Worker:
    """One place, and the process that has it now, if any."""

    def __init__(self, index: int, listening: Sequence[Listening]) -> None:
        self.index = index
        self.listening = listening
        #: Of the process; 0 where there is none.
        self.pid = 0
        #: Where requests to stop are written.
        self.requests = -1
        #: Where its report is read; -1 once it is there.
        self.report = -1
        self.reported = b""
        self.started = 0.0
        #: Starts in a row that did not last.
        self.failures = 0
        #: When to start the next process.
        self.due = 0.0

    def ask_to_stop(self) -> None:
        """Let it finish, or if that was asked before, end at once."""
        if self.pid:
            with contextlib.suppress(BrokenPipeError):
                os.write(self.requests, b"\0")

    def forget_process(self) -> None:
        """Close what led to a process that has ended."""
        self.pid = 0
        for descriptor in (self.requests, self.report):
            if descriptor >= 0:
                os.close(descriptor)
        self.requests = self.report = -1


class _Supervisor:
    def __init__(
        self,
        start: Start,
        services: Sequence[Running],
        listening: Sequence[Sequence[Listening]],
        signals: _Signals,
    ) -> None:
        self._start = start
        self._services = services
        self._signals = signals
        self._workers = [_Worker(index, sockets) for index, sockets in enumerate(listening)]
        self._serving = False
        self._stops = 0

    def run(self) -> None:
        # What there is now stays as it is in memory that all processes share.
        gc.collect()
        gc.freeze()
        try:
            for worker in self._workers:
                self._fork(worker)
            while not self._stops or (self._stops == 1 and self._running()):
                self._turn()
        finally:
            self._end()
        _log.info("stopped")

    def _running(self) -> bool:
        return any(worker.pid for worker in self._workers)

    def _turn(self) -> None:
        """Wait until something happens, and see to it."""
        for number in self._wait(self._next_due()):
            if number == signal.SIGHUP and not early_signals.hangup_stops:
                nothing_to_reload()
            elif number != signal.SIGCHLD:
                self._stop()
        for worker in self._workers:
            self._reap(worker)
        if not self._stops:
            for worker in self._workers:
                if not worker.pid and worker.due <= time.monotonic():
                    self._fork(worker)

    def _stop(self) -> None:
        self._stops += 1
        if self._stops == 1:
            notify(*STOPPING)
        # Before the workers close theirs: at a socket that is open somewhere the kernel goes on to
        # accept.
        self._close_sockets()
        for worker in self._workers:
            worker.ask_to_stop()

    def _end(self) -> None:
        """End what is left, for whatever reason."""
        self._close_sockets()
        for _ in range(2):
            for worker in self._workers:
                worker.ask_to_stop()
        deadline = time.monotonic() + _PATIENCE
        while self._running():
            left = deadline - time.monotonic()
            self._wait(max(left, 0.1))
            for worker in self._workers:
                if worker.pid and left <= 0:
                    os.kill(worker.pid, signal.SIGKILL)
                if worker.pid and os.waitpid(worker.pid, os.WNOHANG)[0]:
                    worker.forget_process()

    def _close_sockets(self) -> None:
        for worker in self._workers:
            for one in worker.listening:
                one.close()

    def _next_due(self) -> float | None:
        due = [worker.due for worker in self._workers if not worker.pid]
        return None if self._stops or not due else max(min(due) - time.monotonic(), 0.0)

    def _wait(self, seconds: float | None) -> list[int]:
        """Return the signals that came, within `seconds`; reads what workers report."""
        poll = select.poll()
        poll.register(self._signals.descriptor, select.POLLIN)
        by_descriptor = {worker.report: worker for worker in self._workers if worker.report >= 0}
        for descriptor in by_descriptor:
            poll.register(descriptor, select.POLLIN)
        numbers: list[int] = []
        for descriptor, _ in poll.poll(None if seconds is None else seconds * 1000):
            if descriptor == self._signals.descriptor:
                numbers += self._signals.take()
            else:
                self._read_report(by_descriptor[descriptor])
        return numbers

    def _read_report(self, worker: _Worker) -> None:
        found = os.read(worker.report, _LONGEST_REPORT)
        worker.reported += found
        if found:
            return
        os.close(worker.report)
        worker.report = -1
        ready = all(other.reported == READY for other in self._workers)
        if ready and not self._serving:
            self._serving = True
            announce(self._services, self._start)

    def _reap(self, worker: _Worker) -> None:
        if not worker.pid:
            return
        pid, status = os.waitpid(worker.pid, os.WNOHANG)
        if not pid:
            return
        while worker.report >= 0:
            self._read_report(worker)
        worker.forget_process()
        for service in self._services:
            if service.shared is not None:
                service.shared.forget(worker.index)
        code = os.waitstatus_to_exitcode(status)
        if self._stops and code == 0:
            return
        reason = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if worker.reported not in (READY, b""):
            reason = f"{reason}: {worker.reported.decode(errors='replace')}"
        if not self._serving and code in (BAD_CONFIGURATION, CANNOT_LISTEN) and worker.reported:
            kind = ConfigError if code == BAD_CONFIGURATION else ListenError
            raise kind(worker.reported.decode(errors="replace"))
        self._lost(worker, reason)

    def _lost(self, worker: _Worker, reason: str) -> None:
        """Log the end of a process, and say when the next one starts."""
        if self._stops:
            _log.error("worker %d ended early: %s", worker.index + 1, reason)
            return
        if not self._serving:
            raise click.ClickException(f"worker {worker.index + 1} failed to start: {reason}")
        now = time.monotonic()
        worker.failures = 0 if now - worker.started >= _STEADY else worker.failures + 1
        pause = _PAUSES[min(max(worker.failures - 1, 0), len(_PAUSES) - 1)]
        worker.due = now + pause
        when = f"in {pause:g} s" if pause else "now"
        _log.error("worker %d ended: %s; another starts %s", worker.index + 1, reason, when)

    def _fork(self, worker: _Worker) -> None:
        requests, worker.requests = os.pipe()
        worker.report, report = os.pipe()
        worker.reported = b""
        worker.started = time.monotonic()
        sys.stdout.flush()
        failure = None
        with _blocked():
            try:
                pid = os.fork()
            except OSError as error:
                failure = error
            else:
                if not pid:
                    self._become_worker(worker, requests, report)
                worker.pid = pid
        os.close(requests)
        os.close(report)
        if failure is not None:
            worker.forget_process()
            self._lost(worker, f"cannot fork: {failure.strerror}")

    def _become_worker(self, worker: _Worker, requests: int, report: int) -> None:
        """Serve in the process that was just made; does not return."""
        code = 1
        try:
            self._signals.leave()
            for other in self._workers:
                if other is not worker:
                    for one in other.listening:
                        one.close()
                # The end of requests is to be seen when the supervisor is gone.
                other.forget_process()
            code = run_worker(
                self._services, Place(worker.index, worker.listening, requests, report)
            )
            logging.shutdown()
        finally:
            os._exit(code)


class _Signals:
    """Signals as bytes in a pipe."""

    NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)

    def __init__(self) -> None:
        self.descriptor, self._writing = os.pipe()
        os.set_blocking(self.descriptor, False)
        os.set_blocking(self._writing, False)
        self._before: dict[signal.Signals, Any] = {}
        self._wakeup = -1

    def __enter__(self) -> Self:
        self._wakeup = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        for number in self.NUMBERS:
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
def _blocked() -> Iterator[None]:
    """Keep signals back until this process knows which one it is."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _Signals.NUMBERS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
