# cython: boundscheck=False, wraparound=False
"""Connection set-up, from accept to relay: on bare descriptors (Linux).

The twin of ``_setup_py.py``. A connection that needs no look-up is accepted, read,
parsed, dialed and sent its first bytes by callbacks alone: no task, no future, and no
transport. Who has to wait waits in a poller that the relays share.
"""

import logging
import os
from collections import Counter, deque

from libc.errno cimport EAGAIN, ECONNABORTED, EIO
from libc.stdint cimport uint32_t, uint64_t

from fastsocks.net._epoll cimport HOST_SIZE, Peer, accept_peer, close, same_host, write_host
from fastsocks.net._poller cimport Poller
from fastsocks.net._sockets cimport now
from fastsocks.relay._bare cimport BareEngine
from fastsocks.setup._connection cimport (
    ACCEPTED,
    ASSOCIATION_MADE,
    DEADLINE_PASSED,
    NO_LONGER_PENDING,
    NO_PAYLOAD_CAME,
    PEER_CAME,
    Connection,
)
from fastsocks.inbound._inbound cimport adapted as adapted_inbounds
from fastsocks.setup._ending cimport AcceptorBase, Ending, State
from fastsocks.setup._roles cimport adapted as adapted_outbound

from fastsocks.setup.answers import Answers
from fastsocks.setup.limits import ACCEPT_PAUSE
from fastsocks.journal.lines import connection_names

# Connections taken before the loop's other work gets its turn.
cdef enum:
    ACCEPT_BATCH = 64
    # Full batches that have a larger one tried.
    PATIENCE = 8

cdef object _log = logging.getLogger("fastsocks")

# The slack of a coarse clock, in seconds.
cdef double CLOCK_SLACK = 0.005


cdef int _connection_ready(object owner, int end, uint32_t events) except -1:
    cdef Connection connection = <Connection>owner
    return connection.acceptor.run(connection, end, events)


cdef class Acceptor(AcceptorBase):
    """Accepts connections, has others decide on them, and relays.

    The parameters are those of the twin in ``_setup_py.py``.
    """

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
    # (due, connection) in the order in which they are due.
    cdef object _payload_waits
    cdef object _payload_timer
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
        self.inbounds = adapted_inbounds(inbounds)
        self.outbound = adapted_outbound(outbound)
        self.observer = observer
        self.opened = observer.opened
        self.identified = observer.identified
        self.closed = observer.closed
        self.users = users
        self._limits = limits
        self._admit = limits.admit
        self._is_front = self.inbounds.is_front
        self.timeout = timeout
        self._interval = min(1.0, timeout / 4)
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
        self._payload_waits = deque()
        self._waiting_for_idle = []

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
                self._rest(listener, -descriptor)
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
        return self.run(connection, ACCEPTED)

    cdef object _host_of(self, const Peer* peer):
        cdef char text[HOST_SIZE]
        if self._host is None or not same_host(peer, &self._peer):
            write_host(peer, text)
            self._host = text.decode("ascii")
            self._peer = peer[0]
        return self._host

    cdef int _rest(self, int listener, int error) except -1:
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
            self._rest(listener, error.errno)

    cdef int run(self, Ending ending, int cause, uint32_t events=0) except -1:
        """Move a connection on; a fault of ours must end this connection only."""
        cdef Connection connection = <Connection>ending
        try:
            if cause == ACCEPTED:
                connection.begin()
            elif cause == DEADLINE_PASSED:
                connection.expire()
            elif cause == NO_PAYLOAD_CAME:
                connection.send_request(b"")
            elif cause == ASSOCIATION_MADE:
                connection.associated()
            elif cause == PEER_CAME:
                connection.peer_came()
            elif cause == NO_LONGER_PENDING:
                connection.resume()
            else:
                connection.ready(cause, events)
        except OSError as error:
            connection.client_lost(-(error.errno or EIO))
        except Exception as error:
            self.fail(connection, error)
        if self._sweeping is None and self.connections:
            self._sweeping = self.loop.call_later(self._interval, self._sweep)
        return 0

    cdef int fail(self, Ending connection, object error) except -1:
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
            if time > connection.deadline and connection.state != State.OVER:
                self.run(connection, DEADLINE_PASSED)
        self._sweeping = None
        if self.connections:
            self._sweeping = self.loop.call_later(self._interval, self._sweep)

    cdef int await_payload(self, Ending connection, double seconds) except -1:
        self._payload_waits.append((now() + seconds, connection))
        if self._payload_timer is None:
            self._payload_timer = self.loop.call_later(seconds, self._payloads_due)
        return 0

    def _payloads_due(self):
        cdef double time = now() + CLOCK_SLACK
        cdef Connection connection
        waits = self._payload_waits
        self._payload_timer = None
        while waits:
            due, connection = waits[0]
            if connection.state == State.PAYLOAD:
                if due > time:
                    self._payload_timer = self.loop.call_later(
                        max(due - time, 0.001), self._payloads_due
                    )
                    return
                waits.popleft()
                self.run(connection, NO_PAYLOAD_CAME)
            else:
                waits.popleft()

    cdef str name_of(self, uint64_t number):
        return self._names(number)

    cdef int report(self, object error, Ending connection, bint relayed) except -1:
        self.failures[error.status] += 1
        event = self.observer.failed if relayed else self.observer.refused
        if event is not None:
            event(connection.observe())
        return 0
