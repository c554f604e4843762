"""Clients that break off while set-up reads nothing from them: pure Python.

Part of ``_setup_py.py``; its twin is told by its poller.
"""

from __future__ import annotations

import os
import select
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import asyncio

#: Seconds between two looks at each socket, where the system has no epoll.
LOOK_INTERVAL = 1.0

_Lost: TypeAlias = Callable[[OSError | None], None]


class Resets:
    """Tells of sockets that were reset, without reading from them.

    A loop's own readers cannot: they are told again and again of data that nobody reads.

    :param loop: the running event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watched: dict[int, tuple[socket.socket, _Lost]] = {}
        self._looking: asyncio.TimerHandle | None = None
        if sys.platform == "linux":
            self._epoll: select.epoll | None = None

    def open(self) -> None:
        """Take what it needs, so that it is there when no descriptor is left.

        :raises OSError: none is left now.
        """
        if sys.platform == "linux":
            self._opened()

    if sys.platform == "linux":

        def _opened(self) -> select.epoll:
            if self._epoll is None:
                self._epoll = select.epoll()
                self._loop.add_reader(self._epoll, self._ready)
            return self._epoll

    def watch(self, sock: socket.socket, lost: _Lost, *, ends: bool = False) -> None:
        """Watch a socket, until :meth:`unwatch`, which is due before it is closed.

        :param lost: is called once, with the error that the socket has; with None at an end.
        :param ends: whether to tell of the end of its stream as well (Linux only).
        """
        self._watched[sock.fileno()] = sock, lost
        if sys.platform == "linux":
            self._opened().register(sock, select.EPOLLRDHUP if ends else 0)
        elif self._looking is None:
            self._looking = self._loop.call_later(LOOK_INTERVAL, self._look)

    def unwatch(self, sock: socket.socket) -> None:
        """Watch a socket no longer; again does nothing."""
        if self._watched.pop(sock.fileno(), None) is None:
            return
        if sys.platform == "linux" and self._epoll is not None:
            self._epoll.unregister(sock)

    def close(self) -> None:
        """Give back what it holds, where nothing is watched; it may be used again."""
        if sys.platform == "linux":
            if self._epoll is not None:
                self._loop.remove_reader(self._epoll)
                self._epoll.close()
                self._epoll = None
        elif self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def _ready(self) -> None:
        if sys.platform != "linux" or self._epoll is None:
            return
        for descriptor, events in self._epoll.poll(0):
            # Of two that break off together, the first may have ended the other.
            if descriptor in self._watched:
                sock, lost = self._watched[descriptor]
                error = _error_of(sock)
                if error is not None or events & select.EPOLLRDHUP:
                    self.unwatch(sock)
                    lost(error)

    def _look(self) -> None:
        self._looking = None
        for sock, lost in list(self._watched.values()):
            if (error := _error_of(sock)) is not None:
                self.unwatch(sock)
                lost(error)
        if self._watched:
            self._looking = self._loop.call_later(LOOK_INTERVAL, self._look)


def _error_of(sock: socket.socket) -> OSError | None:
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return OSError(number, os.strerror(number)) if number else None
