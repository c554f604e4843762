"""What set-up and the protocols of clients speak of, in Cython; the twin of ``_inbound_py.py``.

A protocol that is written in Python derives from nothing: :func:`adapted` brings it here.
"""


cdef class Inbound:
    """One accepted connection, until its request is known; see the twin."""

    cpdef object begin(self, object accepted):
        """Begin; see the twin."""
        return None

    cpdef object receive(self, object data):
        """Take in what the client sent; see the twin."""
        raise NotImplementedError

    cpdef bytes take_outgoing(self):
        """Return what to send to the client now, and forget it."""
        return b""

    cpdef bytes connected(self, object bound):
        """Return what to send to the client once the dial stands."""
        return b""

    cpdef bytes failed(self, object error):
        """Return what to send to the client before closing because of `error`."""
        return b""

    cdef object awaited(self):
        return None

    cdef object relayed_by(self):
        return None

    cdef object logged_in(self):
        return None

    @property
    def pending(self):
        """What the handshake waits for, other than the client."""
        return self.awaited()

    @property
    def codec(self):
        """The relay's codec for this end; None for plain bytes."""
        return self.relayed_by()

    @property
    def user(self):
        """Who has logged in, for observers of a request that cannot be read."""
        return self.logged_in()


cdef class Inbounds:
    """Makes the Inbound of each connection; see the twin."""

    cpdef Inbound inbound(self, object accepted):
        """Make the Inbound of a connection that was just accepted."""
        raise NotImplementedError


cdef class _PythonInbound(Inbound):
    """Hands every call to an object of Python."""

    cdef object _role

    cpdef object begin(self, object accepted):
        begin = getattr(self._role, "begin", None)
        return None if begin is None else begin(accepted)

    cpdef object receive(self, object data):
        return self._role.receive(data)

    cpdef bytes take_outgoing(self):
        return self._role.take_outgoing()

    cpdef bytes connected(self, object bound):
        return self._role.connected(bound)

    cpdef bytes failed(self, object error):
        return self._role.failed(error)

    cdef object awaited(self):
        return self._role.pending

    cdef object relayed_by(self):
        return self._role.codec

    cdef object logged_in(self):
        return getattr(self._role, "user", None)


cdef class _PythonInbounds(Inbounds):
    """Hands every call to an object of Python."""

    cdef object _role

    cpdef Inbound inbound(self, object accepted):
        return adapted_inbound(self._role.inbound(accepted))


cdef Inbound adapted_inbound(object role):
    cdef _PythonInbound found
    if isinstance(role, Inbound):
        return role
    found = _PythonInbound.__new__(_PythonInbound)
    found._role = role
    found.silent = role.silent
    found.cuts_answers = getattr(role, "cuts_answers", False)
    found.tells_address = getattr(role, "tells_address", True)
    found.short_replies = getattr(role, "short_replies", False)
    return found


cdef Inbounds adapted(object role):
    cdef _PythonInbounds found
    if isinstance(role, Inbounds):
        return role
    found = _PythonInbounds.__new__(_PythonInbounds)
    found._role = role
    found.needs_no_byte = getattr(role, "needs_no_byte", False)
    found.is_front = getattr(role, "is_front", None)
    return found
