"""Connection set-up, from accept to relay: pure Python.

The twin of ``_setup.pyx``. Here it is a coroutine per connection on the loop's socket
methods, which works on every event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from fastsocks.journal.lines import connection_names
from fastsocks.relay import Engine

from ._connection_py import Connection, Shared
from ._resets_py import Resets
from .answers import Answers
from .limits import ACCEPT_PAUSE

if TYPE_CHECKING:
    import socket

    from fastsocks.inbound import Inbounds
    from fastsocks.journal.observer import Observers
    from fastsocks.policy import ClientLimits, Meters

    from .roles import Outbound

_log = logging.getLogger("fastsocks")


class Acceptor:
    """Accepts connections, has others decide on them, and relays.

    :param loop: the running event loop.
    :param inbounds: speaks the clients' protocol.
    :param outbound: leads requests to where they go.
    :param observer: those who are told what happens to connections.
    :param limits: what each accepted connection asks for an admission.
    :param users: where relays of users are counted; None where users are not told apart.
    :param timeout: seconds for a client's handshake. Where the inbound is silent, so that a
        prober must learn nothing from it, the limit of each connection lies at random
        between `timeout` and twice that, and is also when a draining connection is closed:
        whatever was sent, and however much, the end comes at the same time.
    :param half_open_timeout: seconds; see :class:`fastsocks.relay.Engine`.
    :param idle_timeout: seconds; see :class:`fastsocks.relay.Engine`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        inbounds: Inbounds,
        outbound: Outbound,
        observer: Observers,
        limits: ClientLimits,
        users: Meters | None = None,
        timeout: float,
        half_open_timeout: float = 300.0,
        idle_timeout: float = 86400.0,
    ) -> None:
        #: Connections accepted since the start.
        self.accepted = 0
        #: Connections that failed before or during their relay, by the error's status.
        self.failures: Counter[str] = Counter()
        engine = Engine(loop, half_open_timeout=half_open_timeout, idle_timeout=idle_timeout)
        #: What went through the relays.
        self.relayed = engine.counters
        self._loop = loop
        self._shared = Shared(
            loop=loop,
            inbounds=inbounds,
            needs_no_byte=getattr(inbounds, "needs_no_byte", False),
            outbound=outbound,
            observer=observer,
            users=users,
            timeout=timeout,
            engine=engine,
            resets=Resets(loop),
            answers=Answers(
                loop,
                self.relayed,
                timeout=timeout,
                unanswered=observer.unanswered,
                silent=observer.server_silent,
            ),
            answered=False,
            failures=self.failures,
            name_of=connection_names(),
            relay_ended=self._check_idle,
        )
        self._limits = limits
        self._is_front = getattr(inbounds, "is_front", None)
        self._listening: dict[asyncio.Task[None], socket.socket] = {}
        self._in_set_up: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def change(
        self,
        *,
        inbounds: Inbounds,
        outbound: Outbound,
        observer: Observers,
        users: Meters | None,
        timeout: float,
    ) -> None:
        """Have others decide from now on; the parameters are those of the class.

        A connection whose request is known by then goes on as it was led.
        """
        shared = self._shared
        shared.inbounds = inbounds
        shared.needs_no_byte = getattr(inbounds, "needs_no_byte", False)
        shared.outbound = outbound
        shared.observer = observer
        shared.users = users
        shared.timeout = timeout
        self._is_front = getattr(inbounds, "is_front", None)

    @property
    def active(self) -> int:
        """Connections in set-up, draining or relayed now."""
        return len(self._in_set_up) + self.relayed.active

    def listen(self, sock: socket.socket) -> None:
        """Accept from now on.

        :param sock: a bound, listening, non-blocking socket; this object's from now on.
        """
        self._shared.resets.open()
        self._listening[self._loop.create_task(self._accept(sock))] = sock

    def stop_listening(self) -> None:
        """Close the listening sockets; connections go on."""
        for task, sock in self._listening.items():
            task.cancel()
            # The task would do it in the loop's next turn, when the descriptor may be another's.
            with contextlib.suppress(NotImplementedError):  # the proactor loop of Windows
                self._loop.remove_reader(sock)
            sock.close()
        self._listening.clear()
        self._check_idle()

    async def wait_idle(self) -> None:
        """Return when no connection is left, in set-up or relayed."""
        await self._idle.wait()

    def abort(self) -> None:
        """End every connection at once."""
        for task in self._in_set_up:
            task.cancel()
        self._shared.engine.abort()
        self._shared.answers.close()

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, peer = await self._loop.sock_accept(listener)
            except OSError as error:
                if error.errno != errno.ECONNABORTED:
                    _log.error(
                        "cannot accept: %s; accepting rests for %g s (see ulimit -n)",
                        error.strerror,
                        ACCEPT_PAUSE,
                    )
                    await asyncio.sleep(ACCEPT_PAUSE)
                continue
            self.accepted += 1
            if self._is_front is not None and self._is_front(peer[0]):
                admission = self._limits.admit_front(peer[0])
            else:
                admission = self._limits.admit(peer[0])
            if admission is None:
                sock.close()
                self.failures["limit"] += 1
                continue
            self._idle.clear()
            connection = Connection(self._shared, sock, peer, admission, self.accepted)
            task = self._loop.create_task(connection.run())
            self._in_set_up.add(task)
            task.add_done_callback(partial(self._set_up_ended, connection))

    def _set_up_ended(self, connection: Connection, task: asyncio.Task[None]) -> None:
        connection.close_unbegun()
        self._in_set_up.discard(task)
        self._check_idle()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._loop.call_exception_handler(
                {"message": "connection set-up failed", "exception": error, "task": task}
            )

    def _check_idle(self) -> None:
        """Wake those who wait for the end of the last connection, if this was it."""
        if not self.active:
            if not self._listening:
                self._shared.resets.close()
            self._idle.set()
