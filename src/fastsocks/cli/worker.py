"""One worker: a process that serves as its supervisor tells it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from fastsocks.errors import ConfigError, ListenError
from fastsocks.service.stopping import StopRequests, drain_all

from .log import become_worker, each_line_once
from .loop import loop_factory
from .title import title_part

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from fastsocks.service import Running
    from fastsocks.service.listening import Listening

#: What a worker reports once it serves; anything else is why it does not.
READY = b"\0"

FAILED, BAD_CONFIGURATION, CANNOT_LISTEN = 1, 2, 3

_log = logging.getLogger("fastsocks")


@dataclass(frozen=True)
class Place:
    """What a worker is given."""

    #: From 0 on; people count from 1.
    index: int
    #: The sockets of each service.
    listening: Sequence[Listening]
    #: Each byte that can be read here is a request to stop; its end is the supervisor's.
    requests: int
    #: Where to write what becomes of the start.
    report: int


def run_worker(services: Sequence[Running], place: Place) -> int:
    """Serve until the supervisor ends that; its signals are blocked when this is called.

    :return: the exit code.
    """
    become_worker(place.index + 1)
    title_part(f"worker {place.index + 1}")
    for service in services:
        if service.shared is not None:
            service.shared.enter(place.index)
    try:
        # Not closed: that would wait for look-ups, and the process ends anyway.
        runner = asyncio.Runner(loop_factory=loop_factory())
        runner.run(_serve(services, place))
    except (ConfigError, ListenError) as error:
        os.write(place.report, str(error).encode())
        return BAD_CONFIGURATION if isinstance(error, ConfigError) else CANNOT_LISTEN
    except Exception:  # noqa: BLE001 - this process has nobody else to tell
        _log.exception("failed")
        return FAILED
    return 0


async def _serve(services: Sequence[Running], place: Place) -> None:
    try:
        with _Requests(place.requests) as requests:
            with each_line_once():
                for service, listening in zip(services, place.listening, strict=True):
                    await service.start(listening)
            os.write(place.report, READY)
            os.close(place.report)
            await requests.stop.wait()
            await drain_all(services, requests)
    finally:
        for service in services:
            await service.close()


class _Requests(StopRequests):
    """What the supervisor asks for.

    A service manager may signal all processes of a service, and a terminal does: only the
    supervisor counts those. SIGTERM to a worker alone lets its connections finish.

    :param descriptor: see :class:`Place`.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self._loop.add_signal_handler(signal.SIGTERM, self.stop.set)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        self._loop.add_reader(self._descriptor, self._read)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.remove_reader(self._descriptor)
        # The process ends next: a signal that comes now must not turn that into a death by it.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))
        self._loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def _read(self) -> None:
        found = os.read(self._descriptor, 16)
        if not found:
            self._loop.remove_reader(self._descriptor)
            _log.error("the supervisor is gone")
            self.stop.set()
        for _ in found:
            self.received()
