"""Counting connections as they come and go, in Cython; the twin of ``_admissions_py.py``."""

from fastsocks.policy.client_counts import CONNECTIONS, HANDSHAKES

cdef enum State:
    IN_HANDSHAKE
    ESTABLISHED
    GONE

NOWHERE = (0, 0)

cdef object _CONNECTIONS = CONNECTIONS
cdef object _HANDSHAKES = HANDSHAKES


cdef class Client:
    """What one client takes up; see the twin."""

    cdef readonly str name
    cdef readonly object places
    cdef readonly Py_ssize_t connections
    cdef readonly Py_ssize_t handshakes

    def __init__(self, str name not None, places=NOWHERE):
        self.name = name
        self.places = places


cdef class Admissions:
    """The counts of one process, and by client; see the twin."""

    cdef readonly Py_ssize_t connections
    cdef readonly Py_ssize_t handshakes
    cdef readonly dict known
    cdef readonly object counts
    cdef Py_ssize_t _cap
    cdef Py_ssize_t _cap_of_client
    cdef Py_ssize_t _handshake_cap
    cdef Py_ssize_t _handshake_cap_of_client

    def __init__(self, caps=(0, 0, 0, 0), counts=None):
        self.known = {}
        self.counts = counts
        self.set_caps(caps)

    def set_caps(self, caps):
        """Let these hold from now on; see the twin."""
        (
            self._cap,
            self._cap_of_client,
            self._handshake_cap,
            self._handshake_cap_of_client,
        ) = caps

    def admit(self, str host not None):
        """Take in a connection that was just accepted; see the twin."""
        cdef Client client
        if self.counts is None and ":" not in host:
            client = self.known.get(host)
            if client is None:
                client = Client(host)
            if (
                self.connections < self._cap
                and client.connections < self._cap_of_client
                and self.handshakes < self._handshake_cap
                and client.handshakes < self._handshake_cap_of_client
            ):
                return self.take_in(client)
        return self.look_closely(host)

    def look_closely(self, host):
        """Decide on a connection that may be one too many; see :meth:`admit`."""
        return None

    def other_client(self, host, present):
        """Decide on a client that a connection is found to be of; see the twin."""
        return None

    cpdef Admission take_in(self, Client client):
        """Count a connection of `client`; see the twin."""
        cdef Admission admission = Admission.__new__(Admission)
        if not client.connections:
            self.known[client.name] = client
        client.connections += 1
        client.handshakes += 1
        self.connections += 1
        self.handshakes += 1
        admission._admissions = self
        admission._client = client
        if self.counts is not None:
            admission._count(_CONNECTIONS, 1)
            admission._count(_HANDSHAKES, 1)
        return admission


cdef class Admission:
    """What one connection takes up; see the twin."""

    cdef Admissions _admissions
    cdef Client _client
    cdef State _state

    @property
    def client(self):
        """What counts as one client: an IPv4 address, or an IPv6 /64."""
        return self._client.name

    def established(self):
        """Note that the handshake is finished: the request is known."""
        if self._state == State.IN_HANDSHAKE:
            self._end_handshake()
            self._state = State.ESTABLISHED

    def move(self, str host not None):
        """Let another client have the connection; see the twin."""
        cdef Client client = self._admissions.other_client(host, self._client)
        cdef bint in_handshake = self._state == State.IN_HANDSHAKE
        if client is None or self._state == State.GONE:
            return False
        self._change(in_handshake, -1)
        self._client = client
        self._change(in_handshake, 1)
        return True

    def leave(self):
        """Give back all that the connection takes up, once; it is closed."""
        cdef State state = self._state
        if state == State.GONE:
            return
        self._state = State.GONE
        if state == State.IN_HANDSHAKE:
            self._end_handshake()
        self._admissions.connections -= 1
        self._change(False, -1)

    cdef int _change(self, bint in_handshake, int change) except -1:
        """Count the connection for its client, or no longer."""
        cdef Client client = self._client
        if in_handshake:
            client.handshakes += change
            self._count(_HANDSHAKES, change)
        if not client.connections:
            self._admissions.known[client.name] = client
        client.connections += change
        self._count(_CONNECTIONS, change)
        if not client.connections:
            del self._admissions.known[client.name]
        return 0

    cdef int _end_handshake(self) except -1:
        self._admissions.handshakes -= 1
        self._client.handshakes -= 1
        return self._count(_HANDSHAKES, -1)

    cdef int _count(self, object kind, int change) except -1:
        counts = self._admissions.counts
        if counts is not None:
            counts.add(self._client.places, kind, change)
        return 0
