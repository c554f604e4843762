"""One name asked of name servers, over UDP and, where an answer is too long for that, over TCP."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from .message import (
    FORMAT_ERROR,
    NAME_ERROR,
    NO_ERROR,
    Answer,
    MessageError,
    encode_name,
    make_query,
    make_question,
    read_answer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from .name_servers import NameServer, NameServers
    from .sockets import Sockets

#: Seconds for an answer over TCP.
_TCP_WAIT = 5.0

#: Why a server did not answer, by the RCODE (RFC 1035 section 4.1.1).
_REASONS = {1: "did not understand", 2: "failed", 4: "cannot do this", 5: "refused"}


class NoAnswer(NamedTuple):
    """No server has answered."""

    reason: str
    #: Of what the system said, where it is about this host.
    errno: int | None = None


class _Link:
    """What one server is asked, and what it has said; a user of :mod:`.sockets`.

    :raises OSError: no socket can be had.
    """

    def __init__(self, exchange: Exchange, sockets: Sockets, server: NameServer) -> None:
        self._exchange = exchange
        self.server = server
        self.edns = True
        #: The random number of each question, by kind.
        self.idents: dict[int, bytes] = {}
        #: Kinds of which it has said that it will not answer.
        self.refused: set[int] = set()
        self.answered = False
        self._socket = sockets.get(server, self)
        self._closed = False

    def send(self, kind: int, question: bytes) -> None:
        """Send a question; again with the same number.

        :raises OSError: it cannot be sent, or what was sent before has not arrived.
        """
        if kind not in self.idents:
            self.idents[kind] = self._socket.make_ident(self)
        self._socket.send(make_query(self.idents[kind], question, edns=self.edns), self)

    def received(self, data: bytes) -> None:
        """Take an answer."""
        self._exchange.received(self, data)

    def broken(self, cause: OSError) -> None:
        """Expect no answer to anything that was asked."""
        if not self._closed:
            self._exchange.broken(self, cause)

    def close(self) -> None:
        """Ask no more."""
        self._closed = True
        self._socket.leave(self, list(self.idents.values()))


class Exchange:
    """Asks for all kinds of addresses of one name at the same time; begins when it is made.

    :param loop: the running event loop.
    :param servers: are asked in turn until one of them answers.
    :param name: see :func:`.message.encode_name`; exactly that is looked up.
    :param kinds: A, AAAA or both.
    :param answered: is called once for each kind, later than this, unless :meth:`close` is called.
    :param sockets: by which to ask.
    :param start: makes a task, and sees to its end.
    :raises ValueError: the name is none.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        servers: NameServers,
        name: bytes,
        kinds: Iterable[int],
        answered: Callable[[int, Answer | NoAnswer], None],
        sockets: Sockets,
        start: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self._loop = loop
        self._servers = servers
        self._answered = answered
        self._sockets = sockets
        self._start = start
        encoded = encode_name(name)
        self._questions = {kind: make_question(encoded, kind) for kind in kinds}
        self._order = servers.in_order()
        self._tries = 0
        self._links: dict[NameServer, _Link | None] = {}
        self._streams: dict[int, asyncio.Task[None]] = {}
        #: What the kernel, or a server, said last.
        self._failure = NoAnswer(f"no name server answered ({servers})")
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._try_next()

    def close(self) -> None:
        """Ask no more, and close all sockets; again does nothing."""
        self._questions.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for link in self._links.values():
            if link is not None:
                link.close()
        self._links.clear()
        for task in self._streams.values():
            task.cancel()

    def _try_next(self) -> None:
        """Ask the next server of those that may still answer; give up where there is none."""
        self._timer = None
        waits, order = self._servers.waits, self._order
        if self._tries:
            self._blame(order[(self._tries - 1) % len(order)])
        while self._tries < len(waits):
            wait = waits[self._tries]
            server = order[self._tries % len(order)]
            self._tries += 1
            if self._ask(server):
                self._timer = self._loop.call_later(wait, self._try_next)
                return
        if not self._streams:
            # Nobody must be called from within what he calls.
            self._timer = self._loop.call_soon(self._give_up)

    def _blame(self, server: NameServer) -> None:
        link = self._links.get(server)
        if link is not None and not (link.answered or link.refused):
            self._servers.silent(server)

    def _ask(self, server: NameServer) -> bool:
        """Ask a server what is not known yet, and tell whether it may answer."""
        link = self._link_to(server)
        if link is None:
            return False
        wanted = [one for one in self._questions if one not in self._streams]
        if not wanted:
            return True
        for kind in wanted:
            if kind in link.refused:
                continue
            if server.tcp:
                self._ask_by_stream(link, kind)
            else:
                self._send(link, kind)
        return not link.refused.issuperset(wanted)

    def _link_to(self, server: NameServer) -> _Link | None:
        if server not in self._links:
            try:
                link = _Link(self, self._sockets, server)
            except OSError as cause:
                self._failed(server, cause)
                self._links[server] = None
            else:
                self._links[server] = link
        return self._links[server]

    def _failed(self, server: NameServer, cause: OSError) -> None:
        text = os.strerror(cause.errno) if cause.errno else str(cause)
        local = cause.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
        self._failure = NoAnswer(f"name server {server}: {text}", cause.errno if local else None)
        if not local:
            self._servers.silent(server)

    def _send(self, link: _Link, kind: int) -> None:
        try:
            link.send(kind, self._questions[kind])
        except OSError as cause:
            self._give_up_on(link, cause)

    def _give_up_on(self, link: _Link, cause: OSError) -> None:
        self._failed(link.server, cause)
        link.refused.update(self._questions)

    def broken(self, link: _Link, cause: OSError) -> None:
        """Expect no answer of a server to anything that was asked: ICMP says so."""
        self._give_up_on(link, cause)
        self._go_on()

    def received(self, link: _Link, data: bytes) -> None:
        """Take what a server sent."""
        kind = next((one for one, ident in link.idents.items() if ident == data[:2]), None)
        if kind is None or kind not in self._questions:
            return
        try:
            answer = read_answer(data, self._questions[kind])
        except MessageError:
            # Whoever sent that: the right answer may follow.
            return
        if answer.rcode == FORMAT_ERROR and link.edns:
            # A server from before RFC 6891.
            link.edns = False
            self._send(link, kind)
            self._go_on()
        elif answer.truncated:
            if kind not in self._streams:
                self._ask_by_stream(link, kind)
        else:
            self._take(link, kind, answer)

    def _take(self, link: _Link, kind: int, answer: Answer) -> None:
        if answer.rcode in {NO_ERROR, NAME_ERROR}:
            link.answered = True
            self._servers.answered(link.server)
            self._finish(kind, answer)
            if self._questions and self._timer is None:
                self._try_next()
            return
        reason = _REASONS.get(answer.rcode, f"answered with code {answer.rcode}")
        self._failure = NoAnswer(f"name server {link.server} {reason}")
        link.refused.add(kind)
        self._go_on()

    def _go_on(self) -> None:
        """Ask the next server now, if there is a kind that no server is asked for."""
        for kind in list(self._questions):
            if all(self._has_refused(server, kind) for server in self._order):
                self._finish(kind, self._failure)
        if self._timer is not None:
            if all(map(self._is_open, self._questions)):
                return
            self._timer.cancel()
        if self._questions:
            self._try_next()

    def _has_refused(self, server: NameServer, kind: int) -> bool:
        if server not in self._links:
            return False
        link = self._links[server]
        return link is None or kind in link.refused

    def _is_open(self, kind: int) -> bool:
        return kind in self._streams or any(
            link is not None and kind in link.idents and kind not in link.refused
            for link in self._links.values()
        )

    def _finish(self, kind: int, outcome: Answer | NoAnswer) -> None:
        del self._questions[kind]
        stream = self._streams.pop(kind, None)
        if stream is not None:
            # Another server, or a second answer of the same one, was faster.
            stream.cancel()
        answered = self._answered
        if not self._questions:
            self.close()
        answered(kind, outcome)

    def _give_up(self) -> None:
        for kind in list(self._questions):
            if kind in self._questions:
                self._finish(kind, self._failure)

    def _ask_by_stream(self, link: _Link, kind: int) -> None:
        self._streams[kind] = self._start(self._exchange_by_stream(link, kind))

    async def _exchange_by_stream(self, link: _Link, kind: int) -> None:
        question = self._questions[kind]
        try:
            async with asyncio.timeout(_TCP_WAIT):
                answer = await _ask_over_tcp(self._loop, link.server, question)
        except (OSError, MessageError) as cause:
            del self._streams[kind]
            if isinstance(cause, OSError):
                self._failed(link.server, cause)
            link.refused.add(kind)
            self._go_on()
        else:
            del self._streams[kind]
            self._take(link, kind, answer)


async def _ask_over_tcp(
    loop: asyncio.AbstractEventLoop, server: NameServer, question: bytes
) -> Answer:
    """Ask over a connection (RFC 1035 section 4.2.2).

    :raises OSError: it cannot be had, or ends.
    :raises MessageError: what comes is no answer.
    """
    with socket.socket(server.family, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, server.sockaddr)
        ident = os.urandom(2)
        query = make_query(ident, question)
        await loop.sock_sendall(sock, struct.pack(">H", len(query)) + query)
        (size,) = struct.unpack(">H", await _receive(loop, sock, 2))
        data = await _receive(loop, sock, size)
        if data[:2] != ident:
            raise MessageError("the answer to another question")
        answer = read_answer(data, question)
        if answer.truncated:
            raise MessageError("an answer over TCP that is cut short")
        return answer


async def _receive(loop: asyncio.AbstractEventLoop, sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = await loop.sock_recv(sock, size - len(data))
        if not piece:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        data += piece
    return data
