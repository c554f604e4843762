"""Running a service as this process: log, limits, loop, signals."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

import fastsocks

from .loop import loop_factory, loop_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsocks.service import Running

#: Threads in which libuv looks names up; its own choice, 4, lets a few slow ones hold up all.
_RESOLVER_THREADS = 16

_log = logging.getLogger("fastsocks")


def run(make: Callable[[], Running], *, verbose: bool) -> None:
    """Run a service until a signal ends it.

    :param make: makes the service; called once the log is set up.
    :raises ConfigError: the options are wrong.
    :raises ListenError: an address cannot be had.
    """
    _set_up_log(verbose=verbose)
    _raise_limits()
    service = make()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        _log.info("fastsocks %s (%s, %s)", fastsocks.__version__, fastsocks.__impl__, loop_name())
        runner.run(_serve(service))
        if service.unfinished_lookups:
            # Their threads end when the resolver gives up, which can take minutes.
            logging.shutdown()
            os._exit(0)


def _set_up_log(*, verbose: bool) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
        level=logging.DEBUG if verbose else logging.INFO,
    )
    # Not about connections: asyncio tells which selector it chose, and which calls are slow.
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def _raise_limits() -> None:
    # Read when the first look-up starts the threads.
    os.environ.setdefault("UV_THREADPOOL_SIZE", str(_RESOLVER_THREADS))
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:  # macOS: "unlimited" is more than the kernel allows
        _log.debug("the limit of open files stays at %d: %s", soft, error)


class _Signals:
    """SIGTERM and SIGINT: the first asks to stop, the second to end at once."""

    NUMBERS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.end = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in self.NUMBERS:
            try:
                loop.add_signal_handler(number, self._received)
            except NotImplementedError:  # Windows
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(self._received))

    def _received(self) -> None:
        (self.end if self.stop.is_set() else self.stop).set()


async def _serve(service: Running) -> None:
    signals = _Signals()
    try:
        await service.start()
        for host, port in service.addresses:
            _log.info("listening on %s:%d", f"[{host}]" if ":" in host else host, port)
        await signals.stop.wait()
        await _drain(service, signals)
    finally:
        await service.close()


def _connections(count: int) -> str:
    return "1 connection" if count == 1 else f"{count} connections"


async def _drain(service: Running, signals: _Signals) -> None:
    active = service.acceptor.active
    if active:
        _log.info("stopping: %s may finish; signal again to end now", _connections(active))
    draining = asyncio.ensure_future(service.drain())
    ending = asyncio.ensure_future(signals.end.wait())
    await asyncio.wait((draining, ending), return_when=asyncio.FIRST_COMPLETED)
    for task in (draining, ending):
        task.cancel()
    await asyncio.gather(draining, ending, return_exceptions=True)
    if left := service.acceptor.active:
        _log.warning("ending %s", _connections(left))
    _log.info("stopped")
