"""The process that starts workers, replaces those that die, and stops all of them."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import pickle
import select
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from fastsocks.errors import ConfigError, ListenError

from .early_signals import early_signals
from .lines import Lines, LinesError
from .log import each_line_once
from .process import STOPPING, Start, announce, give_up_rights, versions
from .reload import Wanted, apply, begin, end, plan, refuse, take_level, tell
from .service_manager import notify
from .signal_pipe import SignalPipe, signals_blocked
from .worker import BAD_CONFIGURATION, CANNOT_LISTEN, Place, run_worker

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence

    from fastsocks.service import Running
    from fastsocks.service.listening import Listening
    from fastsocks.service.reload import Reload

#: Seconds after which a worker is no longer taken for one that fails again and again.
_STEADY = 60.0

#: Seconds before the second, third ... start in a row; the first one is at once.
_PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)

#: Seconds that workers have to end once they are told to do so at once.
_PATIENCE = 5.0

#: Seconds that workers have to prepare what a changed configuration says: it may name servers.
_ANSWERED_WITHIN = 10.0

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
    with SignalPipe() as signals:
        _Supervisor(start, services, listening, signals, sockets).run()


class _Worker:
    """One place, and the process that has it now, if any."""

    def __init__(self, index: int, listening: Sequence[Listening]) -> None:
        self.index = index
        self.listening = listening
        #: Of the process; 0 where there is none.
        self.pid = 0
        #: Our end of what leads there; None where there is no process, or its end is closed.
        self.lines: Lines | None = None
        self.ready = False
        #: Why it does not serve, if it has told that.
        self.why = ""
        self.started = 0.0
        #: Starts in a row that did not last.
        self.failures = 0
        #: When to start the next process.
        self.due = 0.0

    def ask(self, what: str, body: bytes = b"", **fields: Any) -> None:
        """Send a request, if there is a process; never waits for it."""
        if self.lines is not None:
            # One that reads nothing for so long is for signals.
            with contextlib.suppress(LinesError):
                self.lines.send(body, do=what, **fields)

    def receive(self) -> list[Mapping[str, Any]]:
        """Return what it has sent since the last time."""
        try:
            return [] if self.lines is None else [one.fields for one in self.lines.receive()]
        except LinesError as error:
            _log.error("worker %d: %s", self.index + 1, error)
        except EOFError:
            pass
        self.hang_up()
        return []

    def hang_up(self) -> None:
        """Close our end, which lets the process finish."""
        if self.lines is not None:
            self.lines.close()
        self.lines = None

    def forget_process(self) -> None:
        """Close what led to a process that has ended."""
        self.pid = 0
        self.hang_up()


class _Reloading:
    """A configuration that workers prepare for.

    :param number: of the request.
    :param plans: what changes of the supervisor's own services, for workers that are made later.
    :param waiting: those that have not answered, by process.
    """

    def __init__(
        self, number: int, wanted: Wanted, plans: list[Reload], waiting: dict[int, _Worker]
    ) -> None:
        self.number = number
        self.wanted = wanted
        self.plans = plans
        self.waiting = waiting
        self.deadline = time.monotonic() + _ANSWERED_WITHIN
        #: Why it is not to hold.
        self.why = ""


class _Supervisor:
    def __init__(
        self,
        start: Start,
        services: Sequence[Running],
        listening: Sequence[Sequence[Listening]],
        signals: SignalPipe,
        sockets: Sequence[socket.socket],
    ) -> None:
        self._start = start
        self._sockets = sockets
        self._process = start.options
        #: What workers are asked to prepare; None while there is nothing.
        self._reloading: _Reloading | None = None
        # Whether SIGHUP came that was not seen to yet.
        self._hung_up = False
        self._asked = 0
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
                self._hung_up = True
            elif number != signal.SIGCHLD:
                self._stop()
        for worker in self._workers:
            self._reap(worker)
        if self._reloading is not None:
            self._look_at_reload(self._reloading)
        if self._stops:
            return
        if self._hung_up and self._serving and self._reloading is None:
            self._hung_up = False
            self._reload()
        # Who is made now has what holds now, and must not miss what is to hold next.
        if self._reloading is None:
            for worker in self._workers:
                if not worker.pid and worker.due <= time.monotonic():
                    self._fork(worker)

    def _reload(self) -> None:
        """Read the configuration, and ask all workers to prepare what it says."""
        begin()
        try:
            wanted = self._start.read_again(self._sockets)
            plans = plan(self._services, wanted)
        except Exception as error:  # noqa: BLE001 - whatever it is, the workers go on
            refuse(error)
            end()
            return
        self._asked += 1
        waiting = {worker.pid: worker for worker in self._workers if worker.pid}
        self._reloading = _Reloading(self._asked, wanted, plans, waiting)
        body = pickle.dumps(wanted)
        for worker in waiting.values():
            worker.ask("reload", body, id=self._asked)

    def _look_at_reload(self, reloading: _Reloading) -> None:
        """Have it hold once all workers are ready for that."""
        running = {worker.pid for worker in self._workers}
        waiting = [one for pid, one in reloading.waiting.items() if pid in running]
        if not reloading.why and waiting and time.monotonic() < reloading.deadline:
            return
        if not reloading.why and waiting:
            numbers = ", ".join(str(worker.index + 1) for worker in waiting)
            reloading.why = f"no answer of worker {numbers}"
        if reloading.why:
            refuse(reloading.why)
        elif not self._stops:
            for worker in self._workers:
                worker.ask("apply")
            apply(reloading.plans)
            tell(reloading.plans, reloading.wanted, self._process)
            self._process = take_level(self._process, reloading.wanted)
        self._reloading = None
        end()

    def _stop(self) -> None:
        self._stops += 1
        if self._stops == 1:
            notify(*STOPPING)
        # Before the workers close theirs: at a socket that is open somewhere the kernel goes on to
        # accept.
        self._close_sockets()
        for worker in self._workers:
            worker.ask("stop")

    def _end(self) -> None:
        """End what is left, for whatever reason."""
        self._close_sockets()
        for worker in self._workers:
            worker.ask("end")
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
        if self._reloading is not None:
            due = [self._reloading.deadline]
        elif self._hung_up and self._serving:
            due = [0.0]
        else:
            due = [worker.due for worker in self._workers if not worker.pid]
        return None if self._stops or not due else max(min(due) - time.monotonic(), 0.0)

    def _wait(self, seconds: float | None) -> list[int]:
        """Return the signals that came, within `seconds`; sees to what workers send."""
        poll = select.poll()
        poll.register(self._signals.descriptor, select.POLLIN)
        by_descriptor = {}
        for worker in self._workers:
            if (lines := worker.lines) is not None:
                by_descriptor[lines.fileno()] = worker
                poll.register(lines, select.POLLIN | (select.POLLOUT if lines.sends else 0))
        numbers: list[int] = []
        for descriptor, _ in poll.poll(None if seconds is None else seconds * 1000):
            if descriptor == self._signals.descriptor:
                numbers += self._signals.take()
                continue
            worker = by_descriptor[descriptor]
            if worker.lines is not None:
                worker.lines.flush()
            self._read(worker)
        return numbers

    def _read(self, worker: _Worker) -> bool:
        """Take in what a worker has sent; return whether there was anything."""
        found = worker.receive()
        for message in found:
            self._received(worker, message)
        return bool(found)

    def _received(self, worker: _Worker, message: Mapping[str, Any]) -> None:
        told = message.get("told")
        if told == "failed":
            worker.why = str(message.get("why"))
        elif told == "ready":
            worker.ready = True
            if not self._serving and all(other.ready for other in self._workers):
                self._serving = True
                announce(self._services, self._start)
        reloading = self._reloading
        if reloading is not None and message.get("id") == reloading.number:
            reloading.waiting.pop(worker.pid, None)
            if "error" in message:
                reloading.why = f"worker {worker.index + 1}: {message['error']}"

    def _reap(self, worker: _Worker) -> None:
        if not worker.pid:
            return
        pid, status = os.waitpid(worker.pid, os.WNOHANG)
        if not pid:
            return
        while self._read(worker):
            pass
        worker.forget_process()
        for service in self._services:
            if service.shared is not None:
                service.shared.forget(worker.index)
        code = os.waitstatus_to_exitcode(status)
        if self._stops and code == 0:
            return
        reason = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if worker.why:
            reason = f"{reason}: {worker.why}"
        if not self._serving and code in (BAD_CONFIGURATION, CANNOT_LISTEN) and worker.why:
            raise (ConfigError if code == BAD_CONFIGURATION else ListenError)(worker.why)
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
        worker.lines, lines = Lines.pair()
        worker.ready, worker.why = False, ""
        worker.started = time.monotonic()
        sys.stdout.flush()
        failure = None
        with signals_blocked():
            try:
                pid = os.fork()
            except OSError as error:
                failure = error
            else:
                if not pid:
                    self._become_worker(worker, lines)
                worker.pid = pid
        lines.close()
        if failure is not None:
            worker.forget_process()
            self._lost(worker, f"cannot fork: {failure.strerror}")

    def _become_worker(self, worker: _Worker, lines: Lines) -> None:
        """Serve in the process that was just made; does not return."""
        code = 1
        try:
            self._signals.leave()
            for other in self._workers:
                if other is not worker:
                    for one in other.listening:
                        one.close()
                # The end of the lines is to be seen when the supervisor is gone.
                other.forget_process()
            code = run_worker(self._services, Place(worker.index, worker.listening, lines))
            logging.shutdown()
        finally:
            os._exit(code)
