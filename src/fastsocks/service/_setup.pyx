# cython: boundscheck=False, wraparound=False
"""Connection set-up, from accept to relay: on bare descriptors (Linux).

The twin of ``_setup_py.py``. A connection that needs no look-up is accepted, read,
parsed, dialed and sent its first bytes by callbacks alone: no task, no future, and no
transport until the relay takes over. Who has to wait waits in an epoll set of our own,
which the event loop watches as one descriptor.
"""

import logging
import os
import random
import socket
from collections import Counter, deque

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.errno cimport EAGAIN, ECONNABORTED, EINPROGRESS
from libc.stdint cimport uint8_t, uint64_t

from fastsocks.net._epoll cimport (
    AF_INET,
    AF_INET6,
    EPOLL_CLOEXEC,
    EPOLL_CTL_ADD,
    EPOLL_CTL_MOD,
    EPOLLIN,
    EPOLLONESHOT,
    EPOLLOUT,
    SHUT_WR,
    Peer,
    accept_peer,
    close,
    connect_to,
    epoll_create1,
    epoll_event,
    epoll_wait,
    local_address,
    open_socket,
    pending_error,
    setsockopt,
    shutdown,
    watch,
)
from fastsocks.net._sockets cimport now, receive, reset_on_close, send

from fastsocks.address import Address
from fastsocks.errors import (
    FastsocksError,
    HandshakeTimeoutError,
    ProtocolError,
    ResetError,
    TruncatedError,
    dial_error,
)
from fastsocks.net import SOCKET_OPTIONS
from fastsocks.relay import Engine

from fastsocks.service.limits import ACCEPT_PAUSE, LINGER

cdef enum:
    READ_SIZE = 64 * 1024
    # Connections taken, or events handled, before the loop's other work gets its turn.
    ACCEPT_BATCH = 64
    EVENT_BATCH = 256
    # Reads that may empty the receive queue of a connection before it is closed.
    LAST_READS = 16
    MOST_OPTIONS = 8

ctypedef enum State:
    # Reading the client's request; DIALING waits for a task, CONNECTING for the kernel.
    HANDSHAKE
    DIALING
    CONNECTING
    # Waiting for a first payload that is to travel with the outbound's first bytes.
    PAYLOAD
    DRAINING
    OVER

cdef struct SocketOption:
    int level
    int name
    int value

cdef object _log = logging.getLogger("fastsocks")
cdef int _NON_BLOCKING_STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK

# The slack of a coarse clock, in seconds.
cdef double CLOCK_SLACK = 0.005


cdef class _Connection


cdef class Acceptor:
    """Accepts connections, has a service decide on them, and relays.

    The parameters are those of the twin in ``_setup_py.py``.
    """

    cdef readonly uint64_t accepted
    cdef readonly object failures
    cdef readonly object relayed
    cdef object _loop
    cdef object _service
    cdef object _dialer
    cdef object _engine
    cdef double _timeout
    cdef double _interval
    cdef object _sweeping
    cdef object _waiting_for_idle
    cdef dict _listening
    # By serial number rather than descriptor: an event may outlive its descriptor.
    cdef dict _connections
    cdef uint64_t _serial
    # (due, connection) in the order in which they are due.
    cdef object _payload_waits
    cdef object _payload_timer
    cdef int _epoll
    cdef SocketOption _options[MOST_OPTIONS]
    cdef int _option_count
    # Filled and used up within one callback. Owner: this object.
    cdef uint8_t _buffer[READ_SIZE]

    def __cinit__(self):
        self._epoll = -1

    def __init__(
        self,
        loop,
        service,
        *,
        dialer,
        double timeout,
        double half_open_timeout=300.0,
        double idle_timeout=86400.0,
    ):
        self._loop = loop
        self._service = service
        self._dialer = dialer
        self._timeout = timeout
        self._interval = min(1.0, timeout / 4)
        self._engine = Engine(
            loop, half_open_timeout=half_open_timeout, idle_timeout=idle_timeout
        )
        self.relayed = self._engine.counters
        self.failures = Counter()
        self._listening = {}
        self._connections = {}
        self._payload_waits = deque()
        self._waiting_for_idle = []
        for level, name, value in SOCKET_OPTIONS[:MOST_OPTIONS]:
            self._options[self._option_count] = SocketOption(level, name, value)
            self._option_count += 1

    def __dealloc__(self):
        if self._epoll >= 0:
            close(self._epoll)

    @property
    def active(self):
        """Connections in set-up, draining or relayed now."""
        return len(self._connections) + self.relayed.active

    def listen(self, sock):
        """Accept from now on; see the twin."""
        if self._epoll < 0:
            self._epoll = epoll_create1(EPOLL_CLOEXEC)
            if self._epoll < 0:
                raise OSError(None, "no epoll descriptor can be had")
            self._loop.add_reader(self._epoll, self._poll)
        self._listening[sock.fileno()] = sock
        self._loop.add_reader(sock.fileno(), self._accept, sock.fileno())

    def stop_listening(self):
        """Close the listening sockets; connections go on."""
        for descriptor, sock in self._listening.items():
            self._loop.remove_reader(descriptor)
            sock.close()
        self._listening.clear()
        self._check_idle()

    async def wait_idle(self):
        """Return when no connection is left, in set-up or relayed."""
        while self.active:
            future = self._loop.create_future()
            self._waiting_for_idle.append(future)
            await future

    def abort(self):
        """End every connection at once."""
        cdef _Connection connection
        for connection in list(self._connections.values()):
            if connection.task is not None:
                connection.task.cancel()
            connection.close(reset=True)
        self._engine.abort()

    cdef int _check_idle(self) except -1:
        if self.active:
            return 0
        if self._epoll >= 0 and not self._listening:
            self._loop.remove_reader(self._epoll)
            close(self._epoll)
            self._epoll = -1
        for future in self._waiting_for_idle:
            if not future.done():
                future.set_result(None)
        self._waiting_for_idle.clear()
        return 0

    def _accept(self, int listener):
        cdef Peer peer
        cdef int descriptor
        cdef _Connection connection
        for _ in range(ACCEPT_BATCH):
            descriptor = accept_peer(listener, &peer)
            if descriptor == -EAGAIN:
                return
            if descriptor == -ECONNABORTED:
                continue
            if descriptor < 0:
                self._rest(listener, -descriptor)
                return
            self.accepted += 1
            self._serial += 1
            connection = _Connection.__new__(_Connection)
            connection.acceptor = self
            connection.serial = self._serial
            connection.client = descriptor
            connection.client_family = peer.family
            connection.target = -1
            connection.peer = (peer.host.decode("ascii"), peer.port)
            self._connections[connection.serial] = connection
            self._run(connection, -1)

    cdef int _rest(self, int listener, int error) except -1:
        """Stop accepting for a moment: the listener stays readable, and would spin."""
        _log.error(
            "cannot accept: %s; accepting rests for %g s (see ulimit -n)",
            os.strerror(error),
            ACCEPT_PAUSE,
        )
        self._loop.remove_reader(listener)
        self._loop.call_later(ACCEPT_PAUSE, self._go_on, listener)
        return 0

    def _go_on(self, int listener):
        if listener in self._listening:
            self._loop.add_reader(listener, self._accept, listener)

    def _poll(self):
        cdef epoll_event events[EVENT_BATCH]
        cdef int count = epoll_wait(self._epoll, events, EVENT_BATCH, 0)
        cdef int i
        cdef uint64_t token
        cdef object connection
        for i in range(count):
            token = events[i].data.u64
            connection = self._connections.get(token >> 1)
            if connection is not None:
                self._run(<_Connection>connection, token & 1)

    cdef int _run(self, _Connection connection, int end) except -1:
        """Move a connection on: -1 at its start, else the end (0 client, 1 target) that is ready.

        A fault of ours must end this connection only.
        """
        try:
            if end < 0:
                connection.begin()
            else:
                connection.ready(end)
        except Exception as error:
            self._loop.call_exception_handler(
                {"message": "connection set-up failed", "exception": error}
            )
            connection.close(reset=True)
        if self._sweeping is None and self._connections:
            self._sweeping = self._loop.call_later(self._interval, self._sweep)
        return 0

    def _sweep(self):
        cdef double time = now()
        cdef _Connection connection
        self._sweeping = None
        for connection in list(self._connections.values()):
            if time > connection.deadline and connection.state != State.OVER:
                connection.expire()
        if self._connections:
            self._sweeping = self._loop.call_later(self._interval, self._sweep)

    cdef int _await_payload(self, _Connection connection, double seconds) except -1:
        self._payload_waits.append((now() + seconds, connection))
        if self._payload_timer is None:
            self._payload_timer = self._loop.call_later(seconds, self._payloads_due)
        return 0

    def _payloads_due(self):
        cdef double time = now() + CLOCK_SLACK
        cdef _Connection connection
        waits = self._payload_waits
        self._payload_timer = None
        while waits:
            due, connection = waits[0]
            if connection.state == State.PAYLOAD:
                if due > time:
                    self._payload_timer = self._loop.call_later(
                        max(due - time, 0.001), self._payloads_due
                    )
                    return
                connection.send_request(b"")
            waits.popleft()

    cdef int _report(self, object error, object peer, object target) except -1:
        self.failures[error.status] += 1
        self._service.report(error, peer, target)
        return 0


cdef class _Connection:
    """One accepted connection, from accept until its relay begins."""

    cdef Acceptor acceptor
    cdef uint64_t serial
    # Descriptors; owned here until hand_over, -1 where there is none.
    cdef int client
    cdef int target
    cdef int client_family
    cdef int target_family
    cdef bint client_watched
    cdef State state
    cdef double deadline
    # Whether the client has sent anything at all.
    cdef bint begun
    cdef bint silent
    # What the target must get before the relay's bytes; None while the outbound's first
    # bytes wait for a payload.
    cdef bytes to_target
    cdef object inbound
    cdef object request
    cdef object route
    cdef object peer
    cdef object task

    cdef int begin(self) except -1:
        cdef Acceptor acceptor = self.acceptor
        cdef double seconds = acceptor._timeout
        self.inbound = acceptor._service.inbound(self.peer)
        self.silent = self.inbound.silent
        if self.silent:
            seconds *= 1 + random.random()
        self.deadline = now() + seconds
        self.state = State.HANDSHAKE
        return self.read_handshake()

    cdef int ready(self, int end) except -1:
        if self.state == State.CONNECTING:
            return self.connected(True) if end == 1 else 0
        if end == 1:
            return 0
        if self.state == State.HANDSHAKE:
            return self.read_handshake()
        if self.state == State.PAYLOAD:
            return self.read_payload()
        if self.state == State.DRAINING:
            return self.read_waste(1)
        return 0

    cdef int expire(self) except -1:
        """Act on a deadline that has passed."""
        if self.state == State.HANDSHAKE:
            error = HandshakeTimeoutError("no complete request in time")
            self.acceptor._report(error, self.peer, None)
            self.close()
        elif self.state == State.CONNECTING:
            self.refuse(dial_error(TimeoutError("connect timed out")))
        elif self.state == State.DRAINING:
            self.read_waste(LAST_READS)
            self.close()
        return 0

    cdef int read_handshake(self) except -1:
        cdef Acceptor acceptor = self.acceptor
        cdef Py_ssize_t size = receive(self.client, acceptor._buffer, READ_SIZE)
        if size == -EAGAIN:
            return self.watch_client(EPOLLONESHOT)
        if size == 0 and self.begun:
            return self.refuse(TruncatedError("the client left during its handshake"))
        if size <= 0:
            return self.client_lost(size)
        self.begun = True
        try:
            request = self.inbound.receive(
                PyBytes_FromStringAndSize(<char*>acceptor._buffer, size)
            )
        except ProtocolError as error:
            return self.refuse(error)
        outgoing = self.inbound.take_outgoing()
        if outgoing and not self.send_client(outgoing):
            return 0
        if request is None:
            return self.watch_client(EPOLLONESHOT)
        self.request = request
        return self.dial()

    cdef int dial(self) except -1:
        cdef bytes wire
        try:
            self.route = self.acceptor._service.route(self.request, self.peer)
            address, codec = self.route.address, self.route.codec
            payload = self.request.early_data
            if codec is None:
                self.to_target = payload
            elif payload or not self.route.payload_wait:
                self.to_target = codec.request(self.request.address, payload)
            ready = self.acceptor._dialer.literal(address)
        except FastsocksError as error:
            return self.refuse(error)
        if ready is None:
            self.state = State.DIALING
            # The dialer has a time limit of its own.
            self.deadline = float("inf")
            self.task = self.acceptor._loop.create_task(_dial(self, address))
            return 0
        if address.is_name:
            address = Address.of(ready[1][0], address.port)
        wire = address.wire
        return self.connect(wire)

    cdef int connect(self, bytes wire) except -1:
        cdef Acceptor acceptor = self.acceptor
        cdef const uint8_t* address = <const uint8_t*>PyBytes_AS_STRING(wire)
        cdef int result, i
        self.target_family = AF_INET if address[0] == 1 else AF_INET6
        result = open_socket(self.target_family)
        if result >= 0:
            self.target = result
            for i in range(acceptor._option_count):
                setsockopt(
                    self.target,
                    acceptor._options[i].level,
                    acceptor._options[i].name,
                    &acceptor._options[i].value,
                    sizeof(int),
                )
            result = connect_to(self.target, address)
        if result < 0 and result != -EINPROGRESS:
            return self.dial_failed(-result)
        self.state = State.CONNECTING
        self.deadline = now() + acceptor._timeout
        return self.connected(result == 0)

    cdef int connected(self, bint settled) except -1:
        """Go on if the target is connected.

        :param settled: whether the kernel says that connecting is over, one way or the other.
        """
        cdef Py_ssize_t sent
        cdef int error
        if self.to_target:
            # Sending tells whether the connection stands, and saves the question.
            sent = send(self.target, PyBytes_AS_STRING(self.to_target), len(self.to_target))
            if sent == -EAGAIN:
                if not settled:
                    return self.watch_target()
                sent = 0
            if sent < 0:
                return self.dial_failed(<int>-sent)
            self.to_target = self.to_target[sent:]
        elif not settled:
            return self.watch_target()
        else:
            error = pending_error(self.target)
            if error:
                return self.dial_failed(error)
        if not self.send_reply():
            return 0
        if self.to_target is not None:
            return self.hand_over()
        self.state = State.PAYLOAD
        self.deadline = float("inf")
        self.acceptor._await_payload(self, self.route.payload_wait)
        return self.watch_client(EPOLLONESHOT)

    cdef bint send_reply(self) except -1:
        cdef uint8_t wire[19]
        cdef int size
        bound = None
        if self.route.codec is None and not self.silent:
            size = local_address(self.target, wire)
            if size > 0:
                bound = Address(PyBytes_FromStringAndSize(<char*>wire, size))
        reply = self.inbound.connected(bound)
        return not reply or self.send_client(reply)

    cdef int read_payload(self) except -1:
        cdef Acceptor acceptor = self.acceptor
        cdef Py_ssize_t size = receive(self.client, acceptor._buffer, READ_SIZE)
        if size == -EAGAIN:
            return self.watch_client(EPOLLONESHOT)
        if size < 0:
            return self.client_lost(size)
        # At the end of its stream the relay will meet that end again, and carry it on.
        return self.send_request(PyBytes_FromStringAndSize(<char*>acceptor._buffer, size))

    cdef int send_request(self, bytes payload) except -1:
        """Send the outbound's first bytes, with `payload` in them, and relay."""
        cdef Py_ssize_t sent
        self.to_target = self.route.codec.request(self.request.address, payload)
        sent = send(self.target, PyBytes_AS_STRING(self.to_target), len(self.to_target))
        if sent == -EAGAIN:
            sent = 0
        if sent < 0:
            error = ResetError(os.strerror(<int>-sent))
            self.acceptor._report(error, self.peer, self.request.address)
            return self.close(reset=True)
        self.to_target = self.to_target[sent:]
        return self.hand_over()

    cdef int hand_over(self) except -1:
        """Give both sockets to the relay."""
        cdef Acceptor acceptor = self.acceptor
        client = socket.socket(
            self.client_family, _NON_BLOCKING_STREAM, socket.IPPROTO_TCP, self.client
        )
        self.client = -1
        target = socket.socket(
            self.target_family, _NON_BLOCKING_STREAM, socket.IPPROTO_TCP, self.target
        )
        self.target = -1
        client_codec, target_codec = self.inbound.codec, self.route.codec
        to_target, self.to_target = self.to_target, None
        self.forget()
        acceptor._engine.start(
            client, client_codec, target, target_codec, self.relay_ended, to_target=to_target
        )
        return 0

    def relay_ended(self, relay):
        if relay.error is not None:
            self.acceptor._report(relay.error, self.peer, self.request.address)
        self.acceptor._check_idle()

    def dialed(self, sock):
        """Take the socket of the dialer."""
        self.task = None
        if self.state != State.DIALING:
            sock.close()
            return
        self.target_family = sock.family
        self.target = sock.detach()
        self.state = State.CONNECTING
        self.acceptor._run(self, 1)

    def not_dialed(self, error):
        """Take the failure of the dialer."""
        self.task = None
        if self.state == State.DIALING:
            self.refuse(error)

    cdef int dial_failed(self, int error) except -1:
        return self.refuse(dial_error(OSError(error, os.strerror(error))))

    cdef bint send_client(self, bytes data) except -1:
        """Send some bytes; False if the connection is over because they do not fit."""
        cdef Py_ssize_t sent = send(self.client, PyBytes_AS_STRING(data), len(data))
        if sent == len(data):
            return True
        # A receive window that has no room for a reply is not an honest client's.
        self.client_lost(sent if sent < 0 else -EAGAIN)
        return False

    cdef int client_lost(self, Py_ssize_t result) except -1:
        """Close because of what receive or send returned: 0 for an end, or -errno."""
        if result < 0:
            target = self.request.address if self.request is not None else None
            self.acceptor._report(ResetError(os.strerror(<int>-result)), self.peer, target)
        return self.close(reset=result < 0)

    cdef int refuse(self, object error) except -1:
        """End because of `error`, as the inbound wants it."""
        target = self.request.address if self.request is not None else None
        self.acceptor._report(error, self.peer, target)
        if not self.silent:
            reply = self.inbound.failed(error)
            if reply:
                send(self.client, PyBytes_AS_STRING(reply), len(reply))
            shutdown(self.client, SHUT_WR)
            self.deadline = now() + LINGER
        elif not isinstance(error, ProtocolError):
            return self.close(reset=True)
        if self.target >= 0:
            close(self.target)
            self.target = -1
        # Closing with bytes unread would send a reset: that would take the reply with it,
        # and tell a prober that bytes were left.
        self.state = State.DRAINING
        return self.watch_client(0)

    cdef int read_waste(self, int reads) except -1:
        cdef Py_ssize_t size
        for _ in range(reads):
            size = receive(self.client, self.acceptor._buffer, READ_SIZE)
            if size == -EAGAIN:
                return 0
            if size <= 0:
                return self.close()
        return 0

    cdef int watch_client(self, unsigned int flags) except -1:
        cdef int operation = EPOLL_CTL_MOD if self.client_watched else EPOLL_CTL_ADD
        self.client_watched = True
        return self.watched(
            watch(
                self.acceptor._epoll, operation, self.client, EPOLLIN | flags, self.serial << 1
            )
        )

    cdef int watch_target(self) except -1:
        return self.watched(
            watch(
                self.acceptor._epoll,
                EPOLL_CTL_ADD,
                self.target,
                EPOLLOUT | EPOLLONESHOT,
                (self.serial << 1) | 1,
            )
        )

    cdef int watched(self, int result) except -1:
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        return 0

    cdef int close(self, bint reset=False) except -1:
        """Close what this object still owns."""
        if self.state == State.OVER:
            return 0
        if self.client >= 0:
            if reset:
                reset_on_close(self.client)
            close(self.client)
            self.client = -1
        if self.target >= 0:
            close(self.target)
            self.target = -1
        self.forget()
        return self.acceptor._check_idle()

    cdef int forget(self) except -1:
        """Leave set-up; what the relay's end will be reported with stays."""
        self.state = State.OVER
        self.acceptor._connections.pop(self.serial, None)
        self.inbound = self.route = self.task = None
        if self.request is not None and self.request.early_data:
            self.request = self.request._replace(early_data=b"")
        return 0


async def _dial(_Connection connection, address):
    try:
        sock = await connection.acceptor._dialer.dial(address)
    except FastsocksError as error:
        connection.not_dialed(error)
    else:
        connection.dialed(sock)
