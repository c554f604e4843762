"""The life of a service: start, addresses, drain, close."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Self

from fastsocks.net import Dialer, Resolver, listen

from .setup import Acceptor

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from fastsocks.config import Options

    from .reporting import ReportingService

_log = logging.getLogger("fastsocks")


class Running:
    """A service that listens, once it is started, on the loop that started it.

    It never touches what belongs to the process: signals, limits, how logs are written.

    :param service: what connections are for.
    :param options: where to listen, and time limits.
    :param may_dial: see :class:`fastsocks.net.Dialer`.
    """

    def __init__(
        self,
        service: ReportingService,
        options: Options,
        *,
        may_dial: Callable[[str], bool] | None = None,
    ) -> None:
        self._service = service
        self._options = options
        self._may_dial = may_dial
        self._acceptor: Acceptor | None = None
        self._resolver: Resolver | None = None
        self._addresses: list[tuple[str, int]] = []
        #: Look-ups that did not end with :meth:`close`, and for which closing the loop waits.
        self.unfinished_lookups = 0

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each listening socket, in the order of the options."""
        return list(self._addresses)

    @property
    def acceptor(self) -> Acceptor:
        """Connection set-up, with its counters; there once the service is started."""
        if self._acceptor is None:
            raise RuntimeError("the service is not started")
        return self._acceptor

    async def start(self) -> None:
        """Listen, and serve from now on.

        :raises ListenError: an address cannot be had; nothing is listening then.
        """
        if self._acceptor is not None:
            raise RuntimeError("the service was started before")
        loop = asyncio.get_running_loop()
        options = self._options
        # In a thread, because looking a name up would hold up the loop.
        sockets = await asyncio.to_thread(listen, options.addresses, options.port)
        self._resolver = Resolver(loop)
        self._acceptor = Acceptor(
            loop,
            self._service,
            dialer=Dialer(loop, self._resolver, timeout=options.timeout, may_dial=self._may_dial),
            timeout=options.timeout,
        )
        self._addresses = [sock.getsockname()[:2] for sock in sockets]
        for sock in sockets:
            self._acceptor.listen(sock)

    async def drain(self, grace: float | None = None) -> bool:
        """Stop accepting, and wait until connections have ended by themselves.

        :param grace: seconds to wait at most; by default what the options say.
        :return: whether all have ended. If not, :meth:`close` ends them.
        """
        acceptor = self.acceptor
        acceptor.stop_listening()
        try:
            async with asyncio.timeout(self._options.grace if grace is None else grace):
                await acceptor.wait_idle()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Stop accepting and end every connection at once; again does nothing."""
        if self._acceptor is None or self._resolver is None:
            return
        self._acceptor.stop_listening()
        self._acceptor.abort()
        self.unfinished_lookups += await self._resolver.close()
        await self._acceptor.wait_idle()
        self._service.end_reports()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
