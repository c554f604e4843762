# cython: boundscheck=False, wraparound=False
"""One connection's steps from accept to relay, on bare descriptors (Linux).

Part of ``_setup.pyx``, which accepts connections and tells them when to go on.
"""

import asyncio
import os
import random
import socket
from functools import partial

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.errno cimport EAGAIN, EINPROGRESS, EIO
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastsocks.inbound._inbound cimport adapted_inbound
from fastsocks.net._epoll cimport (
    AF_INET,
    AF_INET6,
    ARRIVALS,
    EPOLLERR,
    EPOLLHUP,
    EPOLLRDHUP,
    close,
    connect_to,
    local_address,
    open_socket,
    pending_error,
)
from fastsocks.net._sockets cimport now, receive, send
from fastsocks.relay._python_codec cimport adapted
from fastsocks.relay._bare cimport BareRelay
from fastsocks.relay._tcp cimport broken
from fastsocks.setup._ending cimport READ_SIZE, AcceptorBase, Ending, State
from fastsocks.setup._roles cimport Outbound, Route, route_opened
from fastsocks.shadowsocks._framing cimport Codec

from fastsocks.address import Address
from fastsocks.errors import (
    DialError,
    FastsocksError,
    HandshakeTimeoutError,
    HostNameError,
    LimitError,
    ProtocolError,
    ResetError,
    TruncatedError,
    dial_error,
)
from fastsocks.net.scopes import host_of
from fastsocks.request import CONNECT, UDP_ASSOCIATE
from fastsocks.setup.limits import FAILOVER_WAIT
from fastsocks.setup.stages import Stages

cdef enum:
    # Reads that may empty the receive queue of a connection before it is closed.
    LAST_READS = 16
    # ATYP.
    IPV4 = 1

cdef double _FAILOVER_WAIT = FAILOVER_WAIT


cdef class Connection(Ending):
    """One accepted connection, from accept until its relay begins."""

    cdef int begin(self) except -1:
        cdef AcceptorBase acceptor = self.acceptor
        if acceptor.opened is not None:
            acceptor.opened(self.observe())
        self.deadline = now() + acceptor.timeout
        self.hand_to(acceptor.inbounds.inbound(self))
        self.state = State.HANDSHAKE
        if not acceptor.inbounds.needs_no_byte:
            return self.read_handshake()
        # What has come is read once the request is known, or is not.
        self.client_unread = True
        try:
            request = self.inbound.begin(self)
        except (ProtocolError, LimitError) as error:
            return self.not_received(error)
        return self.received(request)

    def local(self):
        """Return the socket address of our end; see :class:`fastsocks.inbound.Accepted`."""
        # What is closed is -1, which would find some descriptor of its own.
        with socket.socket(fileno=os.dup(self.client)) as sock:
            return sock.getsockname()

    cpdef hand_to(self, inbound):
        """Let an Inbound go on with it; see :class:`fastsocks.inbound.Accepted`."""
        self.inbound = adapted_inbound(inbound)
        self.silent = self.inbound.silent
        if self.silent:
            self.deadline += self.acceptor.timeout * random.random()

    def rename(self, peer):
        """Let it be another client's; see :class:`fastsocks.inbound.Accepted`."""
        if not self.admission.move(peer[0]):
            raise LimitError(f"too many connections of {peer[0]}")
        self.peer = peer

    cdef int ready(self, int end, uint32_t events) except -1:
        # An arrival is told once: what is not read now is to be remembered.
        cdef bint last = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)
        if end == 1:
            return self.connected(True, last) if self.state == State.CONNECTING else 0
        if self.state == State.HANDSHAKE:
            self.client_unread = last
            return self.read_handshake()
        if self.state == State.PAYLOAD:
            self.client_unread = last
            return self.read_payload()
        if self.state == State.BOUND:
            self.client_unread = last
            return self.read_ahead(events)
        if self.state == State.DRAINING or self.state == State.ASSOCIATED:
            return self.read_waste(1)
        return self.not_read(events)

    cdef int not_read(self, uint32_t events) except -1:
        """Remember what is told of a client that has to wait; give up who has broken off.

        The end of its stream may be but the end of what it sends.
        """
        cdef int error = 0
        if events & (EPOLLERR | EPOLLHUP):
            error = pending_error(self.client)
        if error:
            return self.client_lost(-error)
        self.client_unread = True
        return 0

    cdef int expire(self) except -1:
        """Act on a deadline that has passed."""
        if self.state == State.HANDSHAKE or self.state == State.PENDING:
            self.cancel_task()
            error = HandshakeTimeoutError("no complete request in time")
            if not self.silent:
                return self.refuse(error)
            self.tell(error)
            self.close()
        elif self.state == State.CONNECTING:
            self.not_reached(dial_error(TimeoutError("connect timed out")))
        elif self.state == State.DRAINING:
            self.read_waste(LAST_READS)
            self.close()
        return 0

    cdef int read_handshake(self) except -1:
        cdef AcceptorBase acceptor = self.acceptor
        cdef Py_ssize_t size = receive(self.client, acceptor.buffer, READ_SIZE)
        if size == -EAGAIN:
            return self.await_client()
        if size == 0 and self.begun:
            return self.refuse(TruncatedError("the client left during its handshake"))
        if size <= 0:
            return self.client_lost(size)
        self.begun = True
        if size == READ_SIZE:
            self.client_unread = True
        try:
            request = self.inbound.receive(
                PyBytes_FromStringAndSize(<char*>acceptor.buffer, size)
            )
        except (ProtocolError, LimitError) as error:
            return self.not_received(error)
        return self.received(request)

    cdef int not_received(self, error) except -1:
        """End because of an error of the inbound."""
        if not isinstance(error, LimitError):
            return self.refuse(error)
        # Of which the limits have told.
        self.acceptor.failures[error.status] += 1
        return self.close()

    cdef int received(self, request) except -1:
        """Go on with what the inbound made of the client's bytes."""
        outgoing = self.inbound.take_outgoing()
        if outgoing and not self.send_client(outgoing):
            return 0
        if request is None:
            pending = self.inbound.awaited()
            if pending is not None:
                return self.await_pending(pending)
            return self.read_handshake() if self.client_unread else self.await_client()
        self.request = request
        self.command = request.command
        self.address = request.address
        self.user = request.user
        if self.acceptor.closed is not None:
            self.stages = Stages(self.since)
        self.admission.established()
        if self.command != UDP_ASSOCIATE:
            try:
                self.request = self.acceptor.outbound.canonical(request)
            except HostNameError as error:
                return self.refuse(error)
            self.address = self.request.address
        if self.acceptor.identified is not None:
            self.acceptor.identified(self.observe())
        if self.command == CONNECT:
            return self.dial()
        if not self.find_local_host():
            return 0
        # The outbound keeps to a time limit of its own.
        self.state = State.DIALING
        self.deadline = float("inf")
        return self.associate() if self.command == UDP_ASSOCIATE else self.bind()

    cdef int await_pending(self, pending) except -1:
        """Let the inbound wait for something else than its client, which is not read meanwhile."""
        self.state = State.PENDING
        self.task = asyncio.ensure_future(pending, loop=self.acceptor.loop)
        self.task.add_done_callback(self.no_longer_pending)
        return self.attend_client()

    def no_longer_pending(self, task):
        """Take note of the end of what the inbound waited for."""
        if self.state == State.PENDING:
            self.acceptor.run(self, NO_LONGER_PENDING)
        elif not task.cancelled():
            # An error of what nobody waits for any more is nobody's.
            task.exception()

    cdef int resume(self) except -1:
        task, self.task = self.task, None
        if task.cancelled():
            return self.close(reset=True)
        self.state = State.HANDSHAKE
        try:
            request = task.result()
        except FastsocksError as error:
            return self.not_received(error)
        return self.received(request)

    cdef bint find_local_host(self) except -1:
        """Find where the client reaches us; False if the connection is over."""
        cdef uint8_t wire[19]
        cdef int size = local_address(self.client, wire)
        if size < 0:
            self.client_lost(size)
            return False
        if wire[0] != IPV4 and wire[1] == 0xFE and wire[2] & 0xC0 == 0x80:
            # Link-local: its scope is no part of an address header.
            self.local_host = host_of(self.local())
        else:
            self.local_host = Address(PyBytes_FromStringAndSize(<char*>wire, size)).host
        return True

    cdef int associate(self) except -1:
        make = partial(self.acceptor.outbound.associate, self.request, self)
        return self.begin_task(make, self.take_association)

    def take_association(self, association):
        """Take the UDP association that the outbound made."""
        self.task = None
        if self.state != State.DIALING:
            association.close()
            return
        self.association = association
        association.ended = self.association_ended
        self.acceptor.run(self, ASSOCIATION_MADE)

    def association_ended(self):
        """End the connection whose association has ended by itself."""
        self.association = None
        self.close()

    cdef int associated(self) except -1:
        self.state = State.ASSOCIATED
        if self.send_client(self.inbound.connected(self.association.bound)):
            return self.watch_waste()
        return 0

    cdef int bind(self) except -1:
        self.to_target = self.request.early_data
        return self.begin_task(partial(_await_peer, self), self.take_peer)

    def listening(self, bound):
        """Tell the client where its peer is to connect; False if it has left."""
        if self.state != State.DIALING:
            return False
        self.state = State.BOUND
        if not self.send_client(self.inbound.connected(bound)):
            return False
        # What it did before is told again.
        self.acceptor.poller.watch_again(self.token, 0, self.client, ARRIVALS)
        return True

    cdef int read_ahead(self, uint32_t events) except -1:
        """Keep what the client has for a peer that is yet to come; it leaves by its end, too."""
        cdef AcceptorBase acceptor = self.acceptor
        cdef Py_ssize_t size
        while len(self.to_target) < READ_SIZE:
            size = receive(self.client, acceptor.buffer, READ_SIZE - len(self.to_target))
            if size == -EAGAIN:
                return self.await_client()
            if size <= 0:
                return self.client_lost(size)
            payload = self.payload_of(size)
            if payload is None:
                return 0
            self.to_target += payload
        if events & EPOLLRDHUP:
            return self.client_lost(-pending_error(self.client))
        self.client_unread = True
        return 0

    def take_peer(self, came):
        """Take the connection of the client's peer, if it came."""
        self.task = None
        if came is None:
            return
        sock, address = came
        if self.state != State.BOUND:
            sock.close()
            return
        self.target_family = sock.family
        self.target = sock.detach()
        self.address = address
        self.route = Route(address)
        self.early = len(self.to_target)
        self.acceptor.run(self, PEER_CAME)

    cdef int peer_came(self) except -1:
        if self.stages is not None:
            self.stages.connected()
        if self.send_client(self.inbound.connected(self.route.address)):
            return self.hand_over()
        return 0

    cdef int dial(self) except -1:
        cdef Outbound outbound = self.acceptor.outbound
        cdef Route route
        cdef bytes wire
        try:
            route = self.route = outbound.route(self.request, self)
            if route.open is not None:
                return self.open()
            address = self.address if route.address is None else route.address
            wire = address.wire
            self.begin_payload()
            if outbound.dials_at_once(address, wire, route.permit):
                return self.connect(wire)
            ready = outbound.dialer.literal(address, route.permit)
        except FastsocksError as error:
            return self.refuse(error)
        if ready is not None and address.is_name:
            known = Address.of(ready[1][0], address.port)
            # With a scope (fe80::1%eth0) it is no address that a header can hold.
            if known.is_name:
                ready = None
            else:
                self.named = address.host
                address = known
        if ready is None:
            self.state = State.DIALING
            # The dialer has a time limit of its own.
            self.deadline = float("inf")
            approach, client = outbound.dialer.approach, self.admission.client
            resolved = None if self.stages is None else self.stages.resolved
            if address.is_name:
                self.named = address.host
            make = partial(approach, address, client, route.permit, resolved)
            return self.begin_task(make, self.approached)
        wire = address.wire
        return self.connect(wire)

    cdef int open(self) except -1:
        self.state = State.DIALING
        # The way has a time limit of its own.
        self.deadline = float("inf")
        make = partial(self.route.open, self.acceptor.outbound.dialer, self.admission.client)
        return self.begin_task(make, self.opened)

    cdef int begin_task(self, make, take) except -1:
        """Go on with `take` and the result of what `make` gives to be awaited."""
        # Not by the loop's factory: an eager task could end the connection in here.
        self.task = asyncio.Task(_carry_out(self, make, take), loop=self.acceptor.loop)
        return self.attend_client()

    cdef int begin_payload(self) except -1:
        """Make the outbound's first bytes, if they need not wait for a payload."""
        codec, payload = self.route.codec, self.request.early_data
        self.early = len(payload)
        if codec is None:
            self.to_target = payload
        elif payload or not self.route.payload_wait:
            self.to_target = codec.request(self.request.address, payload)
        return 0

    cdef int connect(self, bytes wire) except -1:
        cdef AcceptorBase acceptor = self.acceptor
        cdef const uint8_t* address = <const uint8_t*>PyBytes_AS_STRING(wire)
        cdef int result
        self.target_family = AF_INET if address[0] == 1 else AF_INET6
        result = open_socket(self.target_family)
        if result >= 0:
            self.target = result
            result = connect_to(self.target, address)
        if result < 0 and result != -EINPROGRESS:
            return self.dial_failed(-result)
        self.state = State.CONNECTING
        self.deadline = now() + acceptor.timeout
        if self.route.retry is not None:
            self.deadline = min(self.deadline, now() + _FAILOVER_WAIT)
        return self.connected(result == 0, False)

    cdef int connected(self, bint settled, bint failing) except -1:
        """Go on if the target is connected.

        :param settled: whether the kernel says that connecting is over, one way or the other.
        :param failing: whether it says that this socket may have failed.
        """
        cdef Py_ssize_t sent
        cdef int error
        if self.to_target:
            # Sending tells whether the connection stands, and saves the question.
            sent = send(self.target, PyBytes_AS_STRING(self.to_target), len(self.to_target))
            if sent == -EAGAIN:
                if not settled:
                    return self.await_target()
                sent = 0
            if sent < 0:
                return self.dial_failed(<int>-sent)
            self.to_target = self.to_target[sent:]
        elif failing:
            error = pending_error(self.target)
            if error:
                return self.dial_failed(error)
        elif not settled:
            # What is near is connected by now, which nothing to send tells as well.
            sent = send(self.target, NULL, 0)
            if sent == -EAGAIN:
                return self.await_target()
            if sent < 0:
                return self.dial_failed(<int>-sent)
        if self.stages is not None:
            self.stages.connected()
        if not self.send_reply():
            return 0
        if self.to_target is not None:
            return self.hand_over()
        self.state = State.PAYLOAD
        self.deadline = float("inf")
        self.acceptor.await_payload(self, self.route.payload_wait)
        return self.read_payload() if self.client_unread else self.await_client()

    cdef bint send_reply(self) except -1:
        cdef uint8_t wire[19]
        cdef int size
        bound = None
        if self.inbound.tells_address and self.route.codec is None and self.route.open is None:
            size = local_address(self.target, wire)
            if size > 0 and not (self.inbound.short_replies and wire[0] != IPV4):
                bound = Address(PyBytes_FromStringAndSize(<char*>wire, size))
        reply = self.inbound.connected(bound)
        return not reply or self.send_client(reply)

    cdef int read_payload(self) except -1:
        cdef AcceptorBase acceptor = self.acceptor
        cdef Py_ssize_t size = receive(self.client, acceptor.buffer, READ_SIZE)
        if size == -EAGAIN:
            return self.await_client()
        if size < 0:
            return self.client_lost(size)
        if size == READ_SIZE or size == 0:
            # At the end of its stream the relay will meet that end again, and carry it on.
            self.client_unread = True
        payload = self.payload_of(size)
        return 0 if payload is None else self.send_request(payload)

    cdef bytes payload_of(self, Py_ssize_t size):
        """Return the payload in what the client sent; None if that ended the connection."""
        data = PyBytes_FromStringAndSize(<char*>self.acceptor.buffer, size)
        codec = self.inbound.relayed_by()
        if codec is None:
            return data
        try:
            return codec.open(data)
        except ProtocolError as error:
            self.refuse(error)
            return None

    cdef int send_request(self, bytes payload) except -1:
        """Send the outbound's first bytes, with `payload` in them, and relay."""
        cdef Py_ssize_t sent
        self.early = len(payload)
        self.to_target = self.route.codec.request(self.request.address, payload)
        sent = send(self.target, PyBytes_AS_STRING(self.to_target), len(self.to_target))
        if sent == -EAGAIN:
            sent = 0
        if sent < 0:
            self.tell(ResetError(os.strerror(<int>-sent)))
            return self.close(reset=True)
        self.to_target = self.to_target[sent:]
        return self.hand_over()

    cdef int hand_over(self) except -1:
        """Give both descriptors to the relay."""
        cdef AcceptorBase acceptor = self.acceptor
        cdef BareRelay relay
        cdef uint64_t token = self.token
        cdef int client = self.client, target = self.target
        cdef Codec client_codec = adapted(self.inbound.relayed_by()), target_codec = self.route.codec
        if not self.client_watched:
            acceptor.poller.watch(token, 0, client, ARRIVALS)
        elif self.client_unread:
            acceptor.poller.watch_again(token, 0, client, ARRIVALS)
        if not self.target_watched:
            acceptor.poller.watch(token, 1, target, ARRIVALS)
        else:
            # What it had to say before is told again, and room to send no more.
            acceptor.poller.watch_again(token, 1, target, ARRIVALS)
        to_target, self.to_target = self.to_target, None
        to_client, self.from_target = self.from_target or b"", None
        if to_client and client_codec is not None:
            to_client = self.inbound.relayed_by().seal(to_client)
        meter = None if acceptor.users is None else acceptor.users.of(self.user)
        if meter is not None and self.early:
            meter.spend(self.early, True)
        relay = acceptor.engine.relay(
            token,
            client,
            self.client_family,
            client_codec,
            target,
            self.target_family,
            target_codec,
            self,
            True,
            meter,
        )
        if target_codec is not None:
            self.server = self.route.address
            if not acceptor.answered:
                acceptor.answers.awaited(self.server, self.early)
        self.state = State.OVER
        acceptor.connections.pop(token, None)
        self.token = 0
        self.client = self.target = -1
        self.inbound = self.request = self.route = self.task = None
        try:
            if to_client or to_target:
                relay.send_first(to_client, to_target)
        except Exception as error:
            # It has both descriptors and the admission by now, and would go on without that.
            relay._fail(broken(error))
            raise
        return 0

    def __call__(self, relay):
        """The engine says that the relay has ended."""
        cdef AcceptorBase acceptor = self.acceptor
        cdef uint64_t up, down
        try:
            if relay.error is not None:
                self.tell(relay.error, relayed=True)
            up = self.early + <uint64_t>relay.bytes_up
            down = relay.bytes_down
            if self.server is not None:
                self.heard(up, down)
            self.gone(up, down, 0.0 if self.stages is None else relay.first_down)
        finally:
            acceptor.check_idle()

    def opened(self, way):
        """Take what the route has opened."""
        if self.state == State.DIALING:
            self.route = route_opened(self.route, way)
            self.from_target = way.early_data
            try:
                self.begin_payload()
            except Exception as fault:
                self.target = way.socket.detach()
                self.acceptor.fail(self, fault)
                return
        self.dialed(way.socket)

    def approached(self, found):
        """Take the socket of the dialer, or the one address that it has found."""
        if not isinstance(found, tuple):
            self.dialed(found)
            return
        self.task = None
        if self.state != State.DIALING:
            return
        try:
            self.connect(Address.of(*found[1][:2]).wire)
        except OSError as fault:
            self.client_lost(-(fault.errno or EIO))
        except Exception as fault:
            self.acceptor.fail(self, fault)

    def dialed(self, sock):
        """Take the socket of the dialer."""
        self.task = None
        if self.state != State.DIALING:
            sock.close()
            return
        self.target_family = sock.family
        self.target = sock.detach()
        self.state = State.CONNECTING
        self.acceptor.run(self, TARGET_READY, EPOLLERR)

    def not_dialed(self, error):
        """Take the failure of the dialer, a fault of ours among them."""
        self.task = None
        if self.state != State.DIALING and self.state != State.BOUND:
            return
        if isinstance(error, FastsocksError):
            try:
                self.not_reached(error)
                return
            except OSError as fault:
                self.client_lost(-(fault.errno or EIO))
                return
            except Exception as fault:
                error = fault
        self.acceptor.fail(self, error)

    cdef int dial_failed(self, int error) except -1:
        return self.not_reached(dial_error(OSError(error, os.strerror(error))))

    cdef int not_reached(self, object error) except -1:
        """Go another way, if the route has one, else give up."""
        route = None
        if self.named is not None:
            # A refusal of ours says nothing of the name.
            if isinstance(error, DialError):
                self.acceptor.outbound.dialer.not_there(self.named, error)
            self.named = None
        if self.route is not None and self.route.retry is not None:
            route = self.route.retry(error)
        if route is None:
            return self.refuse(error)
        if self.target >= 0:
            close(self.target)
            self.target = -1
            self.target_watched = False
        self.to_target = None
        self.route = route
        return self.open()


async def _carry_out(Connection connection, make, take):
    """Await what `make` gives, and go on with the result.

    It is made in here, because a task may be cancelled before its first step.
    """
    try:
        result = await make()
    except asyncio.CancelledError:
        connection.task = None
        connection.close(reset=True)
        raise
    except Exception as error:
        connection.not_dialed(error)
    else:
        take(result)


async def _await_peer(Connection connection):
    """Listen for the client's peer, and return its connection; None if the client has left."""
    listener = await connection.acceptor.outbound.bind(connection.request, connection)
    try:
        return await listener.accept() if connection.listening(listener.bound) else None
    finally:
        listener.close()
