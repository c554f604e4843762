# cython: boundscheck=False, wraparound=False
"""Connection set-up, from accept to relay: on bare descriptors (Linux).

The twin of ``_setup_py.py``. A connection that needs no look-up is accepted, read, parsed, dialed and
sent its first bytes by callbacks alone: no task, no future, and no transport. Who has to wait waits in
a poller that the relays share. ``states.py`` has the picture of a connection's states, and the table.

An :class:`Acceptor` takes connections, and tells each when to go on (:class:`Cause`); its parts are

    _connection.pxi  a Connection from accept until its relay begins: the client's end, and the ends
    _dialing.pxi     how it gets to its target
    _commands.pxi    UDP ASSOCIATE and BIND
    _observing.pxi   what others are told of it
"""

import asyncio
import logging
import os
import random
import socket
from collections import Counter
from functools import partial
from heapq import heappop, heappush

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.errno cimport EAGAIN, ECONNABORTED, EINPROGRESS, EIO
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastsocks.inbound._inbound cimport Inbound, Inbounds, adapted_inbound
from fastsocks.inbound._inbound cimport adapted as adapted_inbounds
from fastsocks.net._epoll cimport (
    AF_INET,
    AF_INET6,
    ARRIVALS,
    EPOLLERR,
    EPOLLHUP,
    EPOLLIN,
    EPOLLOUT,
    EPOLLRDHUP,
    HOST_SIZE,
    SHUT_WR,
    Peer,
    accept_peer,
    close,
    connect_to,
    local_address,
    open_socket,
    pending_error,
    same_host,
    shutdown,
    write_host,
)
from fastsocks.net._poller cimport Poller
from fastsocks.net._sockets cimport now, receive, reset_on_close, send
from fastsocks.relay._bare cimport BareEngine, BareRelay
from fastsocks.relay._python_codec cimport adapted
from fastsocks.relay._tcp cimport broken
from fastsocks.setup._roles cimport Outbound, Route, route_opened
from fastsocks.setup._roles cimport adapted as adapted_outbound
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
from fastsocks.journal import observer
from fastsocks.journal.lines import connection_names
from fastsocks.net.scopes import host_of
from fastsocks.request import CONNECT, UDP_ASSOCIATE
from fastsocks.setup.answers import Answers
from fastsocks.setup.limits import ACCEPT_PAUSE, FAILOVER_WAIT, LINGER
from fastsocks.setup.stages import Stages
from fastsocks.setup.states import check

cdef extern from *:
    """
    #if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    #define FASTSOCKS_CHECKS_STATES 1
    #else
    #define FASTSOCKS_CHECKS_STATES 0
    #endif
    """
    const bint CHECKS_STATES "FASTSOCKS_CHECKS_STATES"

cdef enum:
    READ_SIZE = 64 * 1024
    # Connections taken before the loop's other work gets its turn.
    ACCEPT_BATCH = 64
    # Full batches that have a larger one tried.
    PATIENCE = 8
    # Reads that may empty the receive queue of a connection before it is closed.
    LAST_READS = 16
    # ATYP.
    IPV4 = 1

# See states.py.
cpdef enum State:
    ACCEPTED
    HANDSHAKE
    PENDING
    DIALING
    CONNECTING
    PAYLOAD
    ASSOCIATED
    BOUND
    DRAINING
    RELAYED
    OVER

# What a connection is to be moved on by; the ends of a connection that are ready count too.
cdef enum Cause:
    CLIENT_READY = 0
    TARGET_READY = 1
    TAKEN
    DEADLINE_PASSED
    NO_PAYLOAD_CAME
    NO_LONGER_PENDING
    # With what a task has brought.
    TARGET_FOUND
    WAY_OPENED
    ASSOCIATION_MADE
    PEER_CAME
    TASK_FAILED

cdef double _FAILOVER_WAIT = FAILOVER_WAIT

# The slack of a coarse clock, in seconds.
cdef double CLOCK_SLACK = 0.005

cdef object _log = logging.getLogger("fastsocks")

# Is told of each transition, if it is there.
cdef object _watcher = check if CHECKS_STATES else None


def watch_states(watcher):
    """Have `watcher` called with the state before and after each transition; None ends that."""
    global _watcher
    _watcher = watcher


cdef class Acceptor


include "_connection.pxi"
include "_dialing.pxi"
include "_commands.pxi"
include "_observing.pxi"


cdef int _connection_ready(object owner, int end, uint32_t events) except -1:
    cdef Connection connection = <Connection>owner
    return connection.acceptor.run(connection, end, events)


@cython.final
cdef class Acceptor:
    """Accepts connections, has others decide on them, and relays.

    The parameters are those of the twin in ``_setup_py.py``.
    """

    cdef object loop
    cdef Inbounds inbounds
    cdef Outbound outbound
    cdef object observer
    cdef BareEngine engine
    # None where users are not told apart.
    cdef object users
    # Of its observers; None where none has a use for it.
    cdef object opened
    cdef object identified
    cdef object closed
    # By the errors' status.
    cdef readonly object failures
    # See answers.py; `answered` while the last connection through a server got one.
    cdef object answers
    cdef bint answered
    cdef double timeout
    # By token.
    cdef dict connections
    cdef Poller poller
    # Filled and used up within one callback. Owner: this object.
    cdef uint8_t buffer[READ_SIZE]
    cdef readonly uint64_t accepted
    cdef readonly object relayed
    cdef object _limits
    # Both of the limits, and of the maker of Inbounds.
    cdef object _admit
    cdef object _is_front
    # Who was accepted last: many come more than once.
    cdef Peer _peer
    cdef object _host
    cdef double _interval
    cdef object _sweeping
    cdef object _waiting_for_idle
    cdef dict _listening
    # How many connections to accept at a time.
    cdef int _batch
    # In a row.
    cdef int _full_batches
    # (due, number, connection), a heap.
    cdef list _payload_waits
    cdef object _payload_timer
    cdef double _payload_due
    cdef object _names

    def __cinit__(self):
        self._batch = 1

    def __init__(
        self,
        loop,
        *,
        inbounds,
        outbound,
        observer,
        limits,
        users=None,
        double timeout,
        double half_open_timeout=300.0,
        double idle_timeout=86400.0,
    ):
        self.loop = loop
        self._limits = limits
        self._admit = limits.admit
        self.change(
            inbounds=inbounds, outbound=outbound, observer=observer, users=users, timeout=timeout
        )
        self.poller = Poller(loop)
        self.engine = BareEngine(
            loop,
            half_open_timeout=half_open_timeout,
            idle_timeout=idle_timeout,
            poller=self.poller,
        )
        self.relayed = self.engine.counters
        self.failures = Counter()
        self._names = connection_names()
        self.answers = Answers(
            loop,
            self.relayed,
            timeout=timeout,
            unanswered=observer.unanswered,
            silent=observer.server_silent,
        )
        self._listening = {}
        self.connections = {}
        self._payload_waits = []
        self._waiting_for_idle = []

    def change(self, *, inbounds, outbound, observer, users, double timeout):
        """Have others decide from now on; see the twin."""
        self.inbounds = adapted_inbounds(inbounds)
        self.outbound = adapted_outbound(outbound)
        self.observer = observer
        self.opened = observer.opened
        self.identified = observer.identified
        self.closed = observer.closed
        self.users = users
        self._is_front = self.inbounds.is_front
        self.timeout = timeout
        self._interval = min(1.0, timeout / 4)

    @property
    def active(self):
        """Connections in set-up, draining or relayed now."""
        return len(self.connections) + self.engine.counters.active

    def listen(self, sock):
        """Accept from now on; see the twin."""
        self.poller.hold()
        self.loop.add_reader(sock.fileno(), self._accept, sock.fileno())
        self._listening[sock.fileno()] = sock

    def stop_listening(self):
        """Close the listening sockets; connections go on."""
        for descriptor, sock in self._listening.items():
            self.loop.remove_reader(descriptor)
            sock.close()
        self._listening.clear()
        self.check_idle()

    async def wait_idle(self):
        """Return when no connection is left, in set-up or relayed."""
        while self.active:
            future = self.loop.create_future()
            self._waiting_for_idle.append(future)
            await future

    def abort(self):
        """End every connection at once."""
        cdef Connection connection
        for connection in list(self.connections.values()):
            connection.close(reset=True)
        self.engine.abort()
        self.answers.close()

    cdef int check_idle(self) except -1:
        if self.connections or self.engine.counters.active:
            return 0
        if not self._listening:
            self.poller.release()
        for future in self._waiting_for_idle:
            if not future.done():
                future.set_result(None)
        self._waiting_for_idle.clear()
        return 0

    def _accept(self, int listener):
        cdef Peer peer
        cdef int descriptor, i
        # One where they come one by one: asking for more costs a system call each time.
        cdef int batch = self._batch
        for i in range(batch):
            descriptor = accept_peer(listener, &peer)
            if descriptor == -EAGAIN:
                self._batch = max(1, i)
                self._full_batches = 0
                return
            if descriptor == -ECONNABORTED:
                continue
            if descriptor < 0:
                self._pause(listener, -descriptor)
                return
            self.accepted += 1
            self._take(descriptor, &peer)
        self._full_batches += 1
        if self._full_batches >= PATIENCE:
            self._batch = min(2 * batch, ACCEPT_BATCH)

    cdef int _take(self, int descriptor, const Peer* peer) except -1:
        """Begin a connection, if the limits admit it; its descriptor is closed otherwise."""
        cdef Connection connection = Connection.__new__(Connection)
        admission = None
        try:
            host = self._host_of(peer)
            if self._is_front is not None and self._is_front(host):
                admission = self._limits.admit_front(host)
            else:
                admission = self._admit(host)
            if admission is None:
                close(descriptor)
                self.failures["limit"] += 1
                return 0
            connection.acceptor = self
            connection.token = self.poller.add(connection, _connection_ready)
        except BaseException:
            close(descriptor)
            if admission is not None:
                admission.leave()
            raise
        connection.client = descriptor
        connection.local_host = ""
        connection.client_family = peer.family
        connection.target = -1
        connection.peer = (host, peer.port)
        connection.admission = admission
        connection.since = now()
        connection.number = self.accepted
        self.connections[connection.token] = connection
        return self.run(connection, Cause.TAKEN)

    cdef object _host_of(self, const Peer* peer):
        cdef char text[HOST_SIZE]
        if self._host is None or not same_host(peer, &self._peer):
            write_host(peer, text)
            self._host = text.decode("ascii")
            self._peer = peer[0]
        return self._host

    cdef int _pause(self, int listener, int error) except -1:
        """Stop accepting for a moment: the listener stays readable, and would spin."""
        _log.error(
            "cannot accept: %s; accepting rests for %g s (see ulimit -n)",
            os.strerror(error),
            ACCEPT_PAUSE,
        )
        self.loop.remove_reader(listener)
        self.loop.call_later(ACCEPT_PAUSE, self._go_on, listener)
        return 0

    def _go_on(self, int listener):
        if listener not in self._listening:
            return
        try:
            self.loop.add_reader(listener, self._accept, listener)
        except OSError as error:
            self._pause(listener, error.errno)

    cdef int run(
        self, Connection connection, int cause, uint32_t events=0, object result=None
    ) except -1:
        """Move a connection on; a fault of ours must end this connection only."""
        try:
            if cause <= Cause.TARGET_READY:
                connection.ready(cause, events)
            elif cause == Cause.TAKEN:
                connection.begin()
            elif cause == Cause.DEADLINE_PASSED:
                connection.expire()
            elif cause == Cause.NO_PAYLOAD_CAME:
                connection.send_request(b"")
            elif cause == Cause.NO_LONGER_PENDING:
                connection.resume()
            elif cause == Cause.TARGET_FOUND:
                target_found(connection, result)
            elif cause == Cause.WAY_OPENED:
                way_opened(connection, result)
            elif cause == Cause.ASSOCIATION_MADE:
                association_made(connection, result)
            elif cause == Cause.PEER_CAME:
                peer_came(connection, result)
            else:
                task_failed(connection, result)
        except OSError as error:
            connection.client_lost(-(error.errno or EIO))
        except Exception as error:
            self.fail(connection, error)
        if self._sweeping is None and self.connections:
            self._sweeping = self.loop.call_later(self._interval, self._sweep)
        return 0

    cdef int fail(self, Connection connection, object error) except -1:
        """End a connection because of a fault of ours."""
        self.loop.call_exception_handler(
            {"message": "connection set-up failed", "exception": error}
        )
        connection.close(reset=True)
        # It may have been over already, on its way to the relay.
        return self.check_idle()

    def _sweep(self):
        cdef double time = now()
        cdef Connection connection
        for connection in list(self.connections.values()):
            if time > connection.deadline and connection.state < State.RELAYED:
                self.run(connection, Cause.DEADLINE_PASSED)
        self._sweeping = None
        if self.connections:
            self._sweeping = self.loop.call_later(self._interval, self._sweep)

    cdef int await_payload(self, Connection connection, double seconds) except -1:
        """Send the request without payload if none comes within `seconds`."""
        cdef double due = now() + seconds
        heappush(self._payload_waits, (due, connection.number, connection))
        if self._payload_timer is not None:
            if due >= self._payload_due:
                return 0
            self._payload_timer.cancel()
        self._await_due(due, seconds)
        return 0

    cdef int _await_due(self, double due, double seconds) except -1:
        self._payload_due = due
        self._payload_timer = self.loop.call_later(seconds, self._payloads_due)
        return 0

    def _payloads_due(self):
        cdef double time = now() + CLOCK_SLACK, due
        cdef Connection connection
        waits = self._payload_waits
        self._payload_timer = None
        while waits:
            due, _, connection = waits[0]
            if connection.state == State.PAYLOAD:
                if due > time:
                    self._await_due(due, max(due - time, 0.001))
                    return
                heappop(waits)
                self.run(connection, Cause.NO_PAYLOAD_CAME)
            else:
                heappop(waits)
