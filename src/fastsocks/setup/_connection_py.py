"""One connection's steps from accept to relay: pure Python.

Part of ``_setup_py.py``, which accepts connections; in Cython ``_connection.pxi`` has it, with the
parts beside it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import socket
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from fastsocks.address import Address
from fastsocks.errors import (
    DialError,
    FastsocksError,
    HandshakeTimeoutError,
    LimitError,
    ProtocolError,
    ResetError,
    TruncatedError,
    dial_error,
)
from fastsocks.journal import observer
from fastsocks.net.scopes import host_of
from fastsocks.request import BIND, UDP_ASSOCIATE

from ._roles_py import Route
from ._waits_py import READ_SIZE, attended, close_with_reset, hang_up, peer_of, receive_within
from .limits import FAILOVER_WAIT, LINGER
from .stages import Stages
from .states import State, check

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from fastsocks.inbound import Inbound, Inbounds
    from fastsocks.journal.observer import Observers
    from fastsocks.policy import Meters
    from fastsocks.policy.limits import Admission
    from fastsocks.relay import Engine, Relay
    from fastsocks.request import Peer, Request

    from ._resets_py import Resets
    from .answers import Answers
    from .roles import Outbound


@dataclass(slots=True)
class Shared:
    """What the connections of one Acceptor have in common."""

    loop: asyncio.AbstractEventLoop
    inbounds: Inbounds
    #: Of these.
    needs_no_byte: bool
    outbound: Outbound
    observer: Observers
    #: None where users are not told apart.
    users: Meters | None
    #: Seconds for a client's handshake.
    timeout: float
    engine: Engine
    resets: Resets
    answers: Answers
    #: Whether the last connection through a server got an answer.
    answered: bool
    #: Connections that failed, by the error's status.
    failures: Counter[str]
    #: Makes a name of a connection's number.
    name_of: Callable[[int], str]
    #: Is called when a relay has ended.
    relay_ended: Callable[[], None]


class Connection:
    """One accepted connection, until its relay begins; and what is to be told when it ends.

    :param shared: what it has in common with others.
    :param client: its socket, non-blocking; this object's until a relay takes it over.
    :param peer: the client's address.
    :param admission: what it takes up of the caps on connections.
    :param number: which one it is of those that were accepted.
    """

    def __init__(
        self,
        shared: Shared,
        client: socket.socket,
        peer: Peer,
        admission: Admission,
        number: int,
    ) -> None:
        self._shared = shared
        self._loop = shared.loop
        self._outbound = shared.outbound
        self._observer = shared.observer
        self._state = State.ACCEPTED
        self._client = client
        #: See :class:`fastsocks.inbound.Accepted`.
        self.peer = peer
        #: Likewise.
        self.local_host = ""
        self._admission = admission
        self._inbound: Inbound
        self._request: Request | None = None
        self._error: FastsocksError | None = None
        self._since = self._loop.time()
        self._number = number
        # The first Shadowsocks server on its way, once it is relayed.
        self._server: Address | None = None
        # When it got how far; None where no observer asks.
        self._stages: Stages | None = None
        # What observers are given; None until there is something to tell them.
        self._observed: observer.Connection | None = None
        # Payload in bytes that goes to the target before the relay begins.
        self._early = 0
        # What the target said behind the answer of a server on the way.
        self._from_target = b""
        self._deadline = 0.0
        # Of the handshake, while that lasts.
        self._time_limit: asyncio.Timeout | None = None
        self._begun = False

    def enter(self, state: State) -> None:
        """Take another state; the only place that does.

        :raises RuntimeError: no transition leads there.
        """
        check(self._state, state)
        self._state = state

    @property
    def client(self) -> int:
        """The client's descriptor; see :class:`fastsocks.inbound.Accepted`."""
        return -1 if self._state is State.RELAYED else self._client.fileno()

    def local(self) -> Peer:
        """Return the socket address of our end; see :class:`fastsocks.inbound.Accepted`."""
        address: Peer = self._client.getsockname()
        return address

    def rename(self, peer: Peer) -> None:
        """Let it be another client's; see :class:`fastsocks.inbound.Accepted`."""
        if not self._admission.move(peer[0]):
            raise LimitError(f"too many connections of {peer[0]}")
        self.peer = peer

    def hand_to(self, inbound: Inbound) -> None:
        """Let an Inbound go on with it; see :class:`fastsocks.inbound.Accepted`."""
        self._inbound = inbound
        self._cuts_answers = getattr(inbound, "cuts_answers", False)
        self._tells_address = getattr(inbound, "tells_address", True)
        self._short_replies = getattr(inbound, "short_replies", False)
        if inbound.silent:
            # Chance, not secrecy, is what is wanted of it.
            self._deadline += self._shared.timeout * random.random()  # noqa: S311
            if self._time_limit is not None:
                self._time_limit.reschedule(self._deadline)

    async def run(self) -> None:
        """Serve the connection until it is relayed or closed."""
        self._begun = True
        try:
            if self._observer.opened is not None:
                self._observer.opened(self._observe())
            if not await self._set_up():
                self._client.close()
                self._end()
        except BaseException:
            # A fault of ours, or abort: nobody must take it for a clean end.
            close_with_reset(self._client)
            self._end()
            raise

    def _end(self) -> None:
        if self._state is not State.OVER:
            self.enter(State.OVER)
            self._release(0, 0)

    def close_unbegun(self) -> None:
        """Close a connection that was aborted before :meth:`run` had its first turn."""
        if not self._begun:
            close_with_reset(self._client)
            self.enter(State.OVER)
            self._admission.leave()

    async def _set_up(self) -> bool:
        """Bring the connection to its relay; tell whether it got there."""
        self._deadline = self._since + self._shared.timeout
        self.hand_to(self._shared.inbounds.inbound(self))
        self.enter(State.HANDSHAKE)
        try:
            request = self._request = await self._handshake()
            if request is None:
                return False
            request = self._requested(request)
            if request.command == UDP_ASSOCIATE:
                await self._associate(request)
                return False
            if request.command == BIND:
                found = await self._bind(request)
                if found is None:
                    return False
                request, route, target = found
            else:
                route = self._outbound.route(request, self)
                with attended(self._shared.resets, self._client):
                    route, target = await self._dial(request, route)
                self.enter(State.CONNECTING)
            try:
                await self._hand_over(request, route, target)
            except BaseException:
                close_with_reset(target)
                raise
        except LimitError as error:
            # Of which the limits have told.
            self._shared.failures[error.status] += 1
            return False
        except FastsocksError as error:
            self._report(error)
            await self._refuse(error)
            return False
        except OSError as cause:
            close_with_reset(self._client)
            self._report(ResetError(cause.strerror or str(cause)))
            return False
        return True

    def _requested(self, request: Request) -> Request:
        """Take note that the request is known; return it with the name that is decided on."""
        if self._observer.closed is not None:
            self._stages = Stages(self._since)
        self._admission.established()
        canonical = getattr(self._outbound, "canonical", None)
        if request.command != UDP_ASSOCIATE and canonical is not None:
            request = self._request = canonical(request)
        if self._observer.identified is not None:
            self._observer.identified(self._observe())
        return request

    async def _dial(self, request: Request, route: Route) -> tuple[Route, socket.socket]:
        """Connect, and return what the way has come to."""
        dialer, client = self._outbound.dialer, self._admission.client
        way = route.open
        self.enter(State.DIALING)
        if way is None:
            try:
                wait = None if route.retry is None else FAILOVER_WAIT
                async with asyncio.timeout(wait):
                    resolved = None if self._stages is None else self._stages.resolved
                    address = route.address or request.address
                    dialing = dialer.dial(address, client, route.verdict_on, resolved)
                    return route, await dialing
            except (DialError, TimeoutError) as cause:
                error = cause if isinstance(cause, DialError) else dial_error(cause)
                following = None if route.retry is None else route.retry(error)
                if following is None or following.open is None:
                    raise error from error.__cause__
                route, way = following, following.open
                self.enter(State.DIALING)
        opened = await way(dialer, client)
        self._from_target = opened.early_data
        opened_route = Route(route.address, opened.codec, opened.payload_wait, open=way)
        return opened_route, opened.socket

    def _observe(self) -> observer.Connection:
        """Return what observers are given, with all that is known by now."""
        connection, request = self._observed, self._request
        if connection is None:
            name = self._shared.name_of(self._number)
            connection = self._observed = observer.Connection(self.peer, name)
        connection.peer = self.peer
        if request is not None:
            connection.user, connection.target = request.user, request.address
            connection.command = request.command
        elif self._error is not None:
            connection.user = getattr(self._inbound, "user", None)
        connection.error = self._error
        connection.server = self._server
        return connection

    def _sum_up(self, bytes_up: int, bytes_down: int) -> observer.Connection:
        """Return what observers are given, at the end."""
        connection = self._observe()
        connection.bytes_up, connection.bytes_down = bytes_up, bytes_down
        connection.seconds = self._loop.time() - self._since
        return connection

    def _report(self, error: FastsocksError, *, relayed: bool = False) -> None:
        """Report why this connection ends."""
        self._error = error
        self._shared.failures[error.status] += 1
        event = self._observer.failed if relayed else self._observer.refused
        if event is not None:
            event(self._observe())

    def _release(self, bytes_up: int, bytes_down: int, first_byte: float = 0.0) -> None:
        """Give back what the connection took up, and tell observers.

        :param first_byte: when the first payload came from the target.
        """
        self._admission.leave()
        if self._observer.closed is not None:
            connection = self._sum_up(bytes_up, bytes_down)
            if self._stages is not None:
                connection.stages = self._stages.fields(first_byte)
            self._observer.closed(connection)

    async def _handshake(self) -> Request | None:
        begun = False
        try:
            async with asyncio.timeout_at(self._deadline) as self._time_limit:
                if self._shared.needs_no_byte:
                    request = await self._received(self._inbound.begin(self))
                    if request is not None:
                        return request
                while True:
                    data = await self._loop.sock_recv(self._client, READ_SIZE)
                    if not data:
                        if begun:
                            raise TruncatedError("the client left during its handshake")
                        return None
                    begun = True
                    request = await self._received(self._inbound.receive(data))
                    if request is not None:
                        return request
        except TimeoutError as cause:
            raise HandshakeTimeoutError("no complete request in time") from cause

    async def _received(self, request: Request | None) -> Request | None:
        """Go on with what the inbound made of the client's bytes."""
        self._send(self._inbound.take_outgoing())
        while request is None and (pending := self._inbound.pending) is not None:
            self.enter(State.PENDING)
            with attended(self._shared.resets, self._client):
                request = await pending
            self.enter(State.HANDSHAKE)
            self._send(self._inbound.take_outgoing())
        return request

    def _send(self, data: bytes) -> None:
        """Send the client some bytes, at once.

        :raises OSError: they do not fit. A receive window that has no room for a reply is not an
            honest client's.
        """
        if data and self._client.send(data) < len(data):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    async def _associate(self, request: Request) -> None:
        """Keep a UDP association for as long as the client keeps this connection."""
        self.local_host = host_of(self._client.getsockname())
        self.enter(State.DIALING)
        with attended(self._shared.resets, self._client):
            association = await self._outbound.associate(request, self)
        self.enter(State.ASSOCIATED)
        association.ended = partial(hang_up, self._client)
        try:
            self._send(self._inbound.connected(association.bound))
            await self._discard()
        except OSError:
            # A reset ends it as well as an end does.
            return
        finally:
            association.close()

    async def _bind(self, request: Request) -> tuple[Request, Route, socket.socket] | None:
        """Have a peer of the client connect to us; None if the client has left."""
        self.local_host = host_of(self._client.getsockname())
        self.enter(State.DIALING)
        with attended(self._shared.resets, self._client):
            listener = await self._outbound.bind(request, self)
        self.enter(State.BOUND)
        try:
            self._send(self._inbound.connected(listener.bound))
            ahead = bytearray(request.early_data)
            came = await peer_of(
                self._shared.resets, self._client, listener, ahead, self._payload_of
            )
        finally:
            listener.close()
        if came is None:
            return None
        target, address = came
        request = self._request = request._replace(address=address, early_data=bytes(ahead))
        return request, Route(address), target

    async def _hand_over(self, request: Request, route: Route, target: socket.socket) -> None:
        if self._stages is not None:
            self._stages.connected()
        bound = None
        if request.command == BIND:
            bound = request.address
        elif self._tells_address and route.codec is None and route.open is None:
            host, port = target.getsockname()[:2]
            if target.family == socket.AF_INET or not self._short_replies:
                # A link-local address comes with its scope, which no header can hold.
                bound = Address.of(host.partition("%")[0], port)
        self._send(self._inbound.connected(bound))
        payload = request.early_data
        if route.codec is not None and not payload and route.payload_wait:
            self.enter(State.PAYLOAD)
            data = await receive_within(self._client, route.payload_wait)
            payload = b"" if data is None else self._payload_of(data)
        self._early = len(payload) - request.header_size
        counters = self._shared.engine.counters
        counters.bytes_up += self._early
        counters.bytes_down += len(self._from_target)
        if route.codec is not None:
            payload = route.codec.request(request.address, payload)
            self._server = server = route.address or request.address
            if not self._shared.answered:
                self._shared.answers.awaited(server, self._early)
        users = self._shared.users
        meter = None if users is None else users.of(request.user)
        if meter is not None:
            if self._early:
                meter.spend(self._early, up=True)
            if self._from_target:
                meter.spend(len(self._from_target), up=False)
        self.enter(State.RELAYED)
        self._shared.engine.start(
            self._client,
            self._inbound.codec,
            target,
            route.codec,
            self._relay_ended,
            to_client=self._first_to_client(),
            to_target=payload,
            meter=meter,
        )

    def _first_to_client(self) -> bytes:
        codec = self._inbound.codec
        if codec is None or not self._from_target:
            return self._from_target
        return bytes(codec.seal(self._from_target))

    def _relay_ended(self, relay: Relay) -> None:
        self.enter(State.OVER)
        try:
            if relay.error is not None:
                self._report(relay.error, relayed=True)
            bytes_up = self._early + relay.bytes_up
            bytes_down = len(self._from_target) + relay.bytes_down
            if self._server is not None:
                self._note_answer(bytes_up, bytes_down)
            self._release(bytes_up, bytes_down, relay.first_down)
        finally:
            self._shared.relay_ended()

    def _note_answer(self, bytes_up: int, bytes_down: int) -> None:
        """Take note of whether the server has answered."""
        shared = self._shared
        if bytes_down:
            if not shared.answered:
                shared.answered = True
                shared.answers.came()
        elif bytes_up:
            shared.answered = False
            shared.answers.missing(self._sum_up(bytes_up, bytes_down))

    def _payload_of(self, data: bytes) -> bytes:
        """Return the payload in what the client sent."""
        codec = self._inbound.codec
        return data if codec is None else bytes(codec.open(data))

    async def _refuse(self, error: FastsocksError) -> None:
        if self._inbound.silent and isinstance(error, ProtocolError):
            await self._drain()
        elif self._inbound.silent and not self._cuts_answers:
            close_with_reset(self._client)
        else:
            self._deadline = self._loop.time() + LINGER
            await self._drain(self._inbound.failed(error))

    async def _drain(self, reply: bytes | None = None) -> None:
        """Discard what the client sends until it ends or the deadline comes.

        :param reply: what to send before the end of our direction; None says nothing at all,
            not even that end.

        Closing with bytes unread would send a reset: that would take the reply with it, and
        tell a prober that bytes were left.
        """
        self.enter(State.DRAINING)
        try:
            async with asyncio.timeout_at(self._deadline):
                if reply:
                    await self._loop.sock_sendall(self._client, reply)
                if reply is not None:
                    self._client.shutdown(socket.SHUT_WR)
                await self._discard()
        except (TimeoutError, OSError):
            return

    async def _discard(self) -> None:
        while await self._loop.sock_recv(self._client, READ_SIZE):
            pass
