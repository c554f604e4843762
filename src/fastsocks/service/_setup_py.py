"""Connection set-up, from accept to relay: pure Python.

The twin of ``_setup.pyx``. Here it is a coroutine per connection on the loop's socket
methods, which works on every event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import random
import socket
import struct
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from ..address import Address
from ..errors import (
    FastsocksError,
    HandshakeTimeoutError,
    ProtocolError,
    ResetError,
    TruncatedError,
)
from ..relay import Engine, Relay
from ..request import UDP_ASSOCIATE
from .limits import ACCEPT_PAUSE, LINGER

if TYPE_CHECKING:
    from ..net import Dialer
    from ..request import Request
    from .interfaces import Inbound, Peer, Route, Service

_READ_SIZE = 64 * 1024

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

_log = logging.getLogger("fastsocks")


class Acceptor:
    """Accepts connections, has a service decide on them, and relays.

    :param loop: the running event loop.
    :param service: makes inbounds and routes, and logs.
    :param dialer: opens outgoing connections, within its own time limit.
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
        service: Service,
        *,
        dialer: Dialer,
        timeout: float,
        half_open_timeout: float = 300.0,
        idle_timeout: float = 86400.0,
    ) -> None:
        #: Connections accepted since the start.
        self.accepted = 0
        #: Connections that failed before or during their relay, by the error's status.
        self.failures: Counter[str] = Counter()
        self._loop = loop
        self._service = service
        self._dialer = dialer
        self._timeout = timeout
        self._engine = Engine(loop, half_open_timeout=half_open_timeout, idle_timeout=idle_timeout)
        #: What went through the relays.
        self.relayed = self._engine.counters
        self._listening: dict[asyncio.Task[None], socket.socket] = {}
        self._settling: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def active(self) -> int:
        """Connections in set-up, draining or relayed now."""
        return len(self._settling) + self.relayed.active

    def listen(self, sock: socket.socket) -> None:
        """Accept from now on.

        :param sock: a bound, listening, non-blocking socket; this object's from now on.
        """
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

    async def wait_idle(self) -> None:
        """Return when no connection is left, in set-up or relayed."""
        await self._idle.wait()

    def abort(self) -> None:
        """End every connection at once."""
        for task in self._settling:
            task.cancel()
        self._engine.abort()

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
            self._idle.clear()
            task = self._loop.create_task(self._run(sock, peer))
            self._settling.add(task)
            task.add_done_callback(self._settled)

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._settling.discard(task)
        self._check_idle()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._loop.call_exception_handler(
                {"message": "connection set-up failed", "exception": error, "task": task}
            )

    def _check_idle(self) -> None:
        if not self.active:
            self._idle.set()

    def _report(self, error: FastsocksError, peer: Peer, target: Address | None) -> None:
        self.failures[error.status] += 1
        self._service.report(error, peer, target)

    async def _run(self, client: socket.socket, peer: Peer) -> None:
        """Serve one connection until it is relayed or closed."""
        try:
            if not await self._set_up(client, peer):
                client.close()
        except BaseException:
            # A fault of ours, or abort: nobody must take it for a clean end.
            _reset(client)
            raise

    async def _set_up(self, client: socket.socket, peer: Peer) -> bool:
        """Bring one connection to its relay; tell whether it got there."""
        inbound = self._service.inbound(peer)
        seconds = self._timeout
        if inbound.silent:
            # Chance, not secrecy, is what is wanted of it.
            seconds *= 1 + random.random()  # noqa: S311
        deadline = self._loop.time() + seconds
        request: Request | None = None
        try:
            request = await self._handshake(client, inbound, deadline)
            if request is None:
                return False
            if request.command == UDP_ASSOCIATE:
                await self._associate(client, inbound, request, peer)
                return False
            route = self._service.route(request, peer)
            target = await self._dialer.dial(route.address)
            try:
                await self._hand_over(client, inbound, request, route, target, peer)
            except BaseException:
                _reset(target)
                raise
        except FastsocksError as error:
            self._report(error, peer, request.address if request else None)
            await self._refuse(client, inbound, error, deadline)
            return False
        except OSError as cause:
            broken = ResetError(cause.strerror or str(cause))
            _reset(client)
            self._report(broken, peer, request.address if request else None)
            return False
        return True

    async def _handshake(
        self, client: socket.socket, inbound: Inbound, deadline: float
    ) -> Request | None:
        begun = False
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    data = await self._loop.sock_recv(client, _READ_SIZE)
                    if not data:
                        if begun:
                            raise TruncatedError("the client left during its handshake")
                        return None
                    begun = True
                    request = inbound.receive(data)
                    outgoing = inbound.take_outgoing()
                    if outgoing:
                        await self._loop.sock_sendall(client, outgoing)
                    if request is not None:
                        return request
        except TimeoutError as cause:
            raise HandshakeTimeoutError("no complete request in time") from cause

    async def _hand_over(
        self,
        client: socket.socket,
        inbound: Inbound,
        request: Request,
        route: Route,
        target: socket.socket,
        peer: Peer,
    ) -> None:
        bound = None
        if route.codec is None:
            host, port = target.getsockname()[:2]
            # A link-local address comes with its scope, which no header can hold.
            bound = Address.of(host.partition("%")[0], port)
        reply = inbound.connected(bound)
        if reply:
            await self._loop.sock_sendall(client, reply)
        payload = request.early_data
        if route.codec is not None:
            if not payload and route.payload_wait:
                payload = await self._first_payload(client, route.payload_wait)
            payload = route.codec.request(request.address, payload)

        def ended(relay: Relay) -> None:
            try:
                if relay.error is not None:
                    self._report(relay.error, peer, request.address)
            finally:
                self._check_idle()

        self._engine.start(client, inbound.codec, target, route.codec, ended, to_target=payload)

    async def _associate(
        self, client: socket.socket, inbound: Inbound, request: Request, peer: Peer
    ) -> None:
        """Keep a UDP association for as long as its connection lasts, and no longer."""
        local_host = client.getsockname()[0]
        association = await self._service.associate(request, peer, local_host)
        association.ended = partial(_hang_up, client)
        try:
            await self._loop.sock_sendall(client, inbound.connected(association.bound))
            while await self._loop.sock_recv(client, _READ_SIZE):
                pass
        except OSError:
            # A reset ends it as well as an end does.
            return
        finally:
            association.close()

    async def _first_payload(self, client: socket.socket, seconds: float) -> bytes:
        """Wait for the client's first payload; return none after `seconds`.

        Only readability is waited for: a cancelled ``sock_recv`` may have taken data along.
        """
        readable = self._loop.create_future()
        try:
            self._loop.add_reader(client, _resolve, readable)
        except NotImplementedError:  # the proactor loop of Windows
            await asyncio.sleep(seconds)
        else:
            try:
                await asyncio.wait((readable,), timeout=seconds)
            finally:
                self._loop.remove_reader(client)
        try:
            return client.recv(_READ_SIZE)
        except BlockingIOError:
            return b""

    async def _refuse(
        self, client: socket.socket, inbound: Inbound, error: FastsocksError, deadline: float
    ) -> None:
        if not inbound.silent:
            reply = inbound.failed(error)
            deadline = self._loop.time() + LINGER
            await self._drain(client, deadline, reply)
        elif isinstance(error, ProtocolError):
            await self._drain(client, deadline)
        else:
            _reset(client)

    async def _drain(
        self, client: socket.socket, deadline: float, reply: bytes | None = None
    ) -> None:
        """Discard what the client sends until it ends or the deadline comes.

        :param reply: what to send before the end of our direction; None says nothing at all,
            not even that end.

        Closing with bytes unread would send a reset: that would take the reply with it, and
        tell a prober that bytes were left.
        """
        try:
            async with asyncio.timeout_at(deadline):
                if reply:
                    await self._loop.sock_sendall(client, reply)
                if reply is not None:
                    client.shutdown(socket.SHUT_WR)
                while await self._loop.sock_recv(client, _READ_SIZE):
                    pass
        except (TimeoutError, OSError):
            return


def _reset(sock: socket.socket) -> None:
    """Close a socket with a reset."""
    if sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    sock.close()


def _hang_up(sock: socket.socket) -> None:
    """Let who reads from a socket find its end."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
