"""TCP connections to SOCKS5 servers, as long as which their UDP associations last."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence


class UpstreamControl:
    """What a packet way through SOCKS5 servers lasts as long as; see :class:`.packet_way.Control`.

    :param sockets: one for each of them, this object's from now on.
    """

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        #: Called once if one of them ends; never after :meth:`close`.
        self.ended: Callable[[], None] | None = None
        loop = asyncio.get_running_loop()
        self._watching = [loop.create_task(self._watch(sock)) for sock in sockets]
        for task, sock in zip(self._watching, sockets, strict=True):
            # Also if it is cancelled before it has begun.
            task.add_done_callback(partial(_close, sock))

    async def _watch(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while await loop.sock_recv(sock, 512):
                continue
        ended, self.ended = self.ended, None
        if ended is not None:
            ended()

    def close(self) -> None:
        """End the associations of the servers; again does nothing."""
        self.ended = None
        for task in self._watching:
            task.cancel()


def _close(sock: socket.socket, _: asyncio.Task[None]) -> None:
    sock.close()
