"""UDP sockets towards name servers: one for each look-up, shared where files are scarce.

They are connected, so that their ports are random as the numbers of questions are, and the kernel
drops what comes from elsewhere (RFC 5452).
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .name_servers import NameServer

#: Bytes that are taken of a datagram.
_DATAGRAM = 4096

#: Datagrams that are looked at before other sockets have their turn.
_ROUNDS = 8

#: Look-ups that share a socket at most.
_MOST_USERS = 64


class User(Protocol):
    """Who asks by a socket."""

    def received(self, data: bytes) -> None:
        """Take an answer to one of its questions, by its number."""

    def broken(self, cause: OSError) -> None:
        """Expect no answer to anything that was asked."""


class Sockets:
    """The sockets of a resolver.

    :param loop: the running event loop.
    :param most: how many there are before look-ups share them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int) -> None:
        self.loop = loop
        self._most = most
        self._open: dict[NameServer, dict[AskingSocket, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def get(self, server: NameServer, user: User) -> AskingSocket:
        """Give a look-up a socket, until it calls :meth:`AskingSocket.leave`.

        :raises OSError: none can be had.
        """
        found = None
        if self._count >= self._most:
            shared = [one for one in self._open.get(server, ()) if one.count < _MOST_USERS]
            found = secrets.choice(shared) if shared else None
        if found is None:
            found = AskingSocket(self, server)
            self._open.setdefault(server, {})[found] = None
            self._count += 1
        found.enter(user)
        return found

    def forget(self, server: NameServer, one: AskingSocket) -> None:
        """Count a socket no more."""
        same = self._open[server]
        del same[one]
        self._count -= 1
        if not same:
            del self._open[server]


class AskingSocket:
    """One socket.

    :raises OSError: it cannot be had.
    """

    def __init__(self, sockets: Sockets, server: NameServer) -> None:
        self._sockets = sockets
        self._server = server
        self._users: dict[User, None] = {}
        #: Whose question each number is.
        self._askers: dict[bytes, User] = {}
        self._socket = socket.socket(server.family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.connect(server.sockaddr)
            sockets.loop.add_reader(self._socket.fileno(), self._readable)
        except BaseException:
            self._socket.close()
            raise

    @property
    def count(self) -> int:
        """How many use it."""
        return len(self._users)

    def enter(self, user: User) -> None:
        """Count one who uses it."""
        self._users[user] = None

    def make_ident(self, user: User) -> bytes:
        """Return a random number for a question of a user, which nobody else has here."""
        while True:
            ident = os.urandom(2)
            if ident not in self._askers:
                self._askers[ident] = user
                return ident

    def send(self, message: bytes, user: User) -> None:
        """Send a question.

        :raises OSError: earlier ones have not arrived, or it cannot be sent.
        """
        try:
            self._socket.send(message)
        except BlockingIOError:
            # As good as lost on the way.
            return
        except OSError as cause:
            for other in self._users:
                if other is not user:
                    # Not at once: nobody must be called from within what he calls.
                    self._sockets.loop.call_soon(other.broken, cause)
            raise

    def leave(self, user: User, idents: list[bytes]) -> None:
        """Let a user go, with the numbers of its questions; the last one closes the socket."""
        for ident in idents:
            del self._askers[ident]
        del self._users[user]
        if not self._users:
            self._sockets.loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._sockets.forget(self._server, self)

    def _readable(self) -> None:
        for _ in range(_ROUNDS):
            if not self._users:
                return
            try:
                data = self._socket.recv(_DATAGRAM)
            except BlockingIOError:
                return
            except OSError as cause:
                for user in list(self._users):
                    user.broken(cause)
                return
            asker = self._askers.get(data[:2])
            if asker is not None:
                asker.received(data)
