"""One worker: a process that serves as its supervisor tells it."""

from __future__ import annotations

import asyncio
import logging
import pickle
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from fastsocks.errors import ConfigError, FastsocksError, ListenError
from fastsocks.service.stopping import StopRequests, drain_all

from .lines import LinesError, Message
from .log import become_worker, each_line_once
from .loop import loop_factory
from .reload import apply, plan, take_level
from .title import title_part

if TYPE_CHECKING:
    from types import TracebackType

    from fastsocks.service import Running
    from fastsocks.service.listening import Listening
    from fastsocks.service.reload import Reload

    from .lines import Lines
    from .reload import Wanted

#: Of a reason not to serve, in characters.
_LONGEST_REASON = 4096

FAILED, BAD_CONFIGURATION, CANNOT_LISTEN = 1, 2, 3

_log = logging.getLogger("fastsocks")


@dataclass(frozen=True)
class Place:
    """What a worker is given."""

    #: From 0 on; people count from 1.
    index: int
    #: The sockets of each service.
    listening: Sequence[Listening]
    #: What the supervisor asks for, and is told; its end is that of the supervisor.
    lines: Lines


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
        place.lines.send(told="failed", why=str(error)[:_LONGEST_REASON])
        return BAD_CONFIGURATION if isinstance(error, ConfigError) else CANNOT_LISTEN
    except Exception:  # noqa: BLE001 - this process has nobody else to tell
        _log.exception("failed")
        return FAILED
    return 0


async def _serve(services: Sequence[Running], place: Place) -> None:
    try:
        with _Requests(place.lines, services) as requests:
            with each_line_once():
                for service, listening in zip(services, place.listening, strict=True):
                    await service.start(listening)
            requests.serve()
            await requests.stop.wait()
            await drain_all(services, requests)
    finally:
        for service in services:
            await service.close()


class _Requests(StopRequests):
    """What the supervisor asks for.

    A service manager may signal all processes of a service, and a terminal does: only the
    supervisor counts those. SIGTERM to a worker alone lets its connections finish.

    :param lines: see :class:`Place`.
    :param services: what it asks about.
    """

    def __init__(self, lines: Lines, services: Sequence[Running]) -> None:
        super().__init__()
        self._lines = lines
        self._services = services
        self._loop = asyncio.get_running_loop()
        self._serves = False
        # What is asked for before it serves.
        self._waiting: list[Message] = []
        # What holds once the supervisor says so.
        self._planned: tuple[list[Reload], Wanted] | None = None
        self._planning: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self._loop.add_signal_handler(signal.SIGTERM, self.stop.set)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        self._loop.add_reader(self._lines, self._read)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.remove_reader(self._lines)
        self._loop.remove_writer(self._lines)
        if self._planning is not None:
            self._planning.cancel()
        # The process ends next: a signal that comes now must not turn that into a death by it.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))
        self._loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def serve(self) -> None:
        """Tell that the services listen, and do what was asked for meanwhile."""
        self._serves = True
        self._send(told="ready")
        for message in self._waiting:
            self._answer(message)
        self._waiting.clear()

    def _read(self) -> None:
        try:
            messages = self._lines.receive()
        except (EOFError, LinesError) as error:
            self._loop.remove_reader(self._lines)
            _log.error("%s", error if error.args else "the supervisor is gone")
            self.stop.set()
            return
        for message in messages:
            what = message.fields.get("do")
            if what in ("stop", "end"):
                self.stop.set()
                if what == "end":
                    self.end.set()
            elif self._serves:
                self._answer(message)
            else:
                self._waiting.append(message)

    def _answer(self, message: Message) -> None:
        number, what = message.fields.get("id"), str(message.fields.get("do"))
        if what == "stats":
            # Where the supervisor reads them.
            for service in self._services:
                service.publish()
            self._send(id=number)
        elif what == "reload":
            if self._planning is not None:
                self._planning.cancel()
            self._planning = self._loop.create_task(self._plan(number, message.body))
        elif what == "apply":
            if self._planned is not None:
                plans, wanted = self._planned
                apply(plans)
                take_level(wanted.process, wanted)
            self._planned = None
            self._send(id=number)
        else:
            self._send(id=number, error=f"there is no {what[:20]!r}")

    async def _plan(self, number: object, body: bytes) -> None:
        """Prepare what a configuration says that the supervisor has read; see :mod:`.reload`."""
        self._planned = None
        try:
            # Of the supervisor, which reads nothing of ours but lines.
            wanted: Wanted = pickle.loads(body)  # noqa: S301
            plans = plan(self._services, wanted)
            for one in plans:
                await one.check()
        except FastsocksError as error:
            self._send(id=number, error=str(error)[:_LONGEST_REASON])
        except Exception as error:  # noqa: BLE001 - the supervisor is to know
            _log.exception("cannot reload")
            self._send(id=number, error=type(error).__name__)
        else:
            self._planned = plans, wanted
            self._send(id=number)

    def _send(self, **fields: Any) -> None:
        self._lines.send(**fields)
        self._flush()

    def _flush(self) -> None:
        self._lines.flush()
        if self._lines.sends:
            self._loop.add_writer(self._lines, self._flush)
        else:
            self._loop.remove_writer(self._lines)
