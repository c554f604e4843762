# cython: boundscheck=False, wraparound=False
"""What a connection in set-up holds, and how it ends (Linux).

The part of ``_connection.pyx`` that knows nothing of its steps.
"""

import os

from cpython.bytes cimport PyBytes_AS_STRING
from libc.errno cimport EAGAIN
from libc.stdint cimport uint32_t, uint64_t

from fastsocks.net._epoll cimport ARRIVALS, EPOLLIN, EPOLLOUT, SHUT_WR, close, shutdown
from fastsocks.net._sockets cimport now, receive, reset_on_close, send

from fastsocks.errors import ProtocolError, ResetError
from fastsocks.journal import observer
from fastsocks.setup.limits import LINGER


cdef class AcceptorBase:
    """What a connection needs of the Acceptor that took it."""

    cdef int await_payload(self, Ending connection, double seconds) except -1:
        """Send the request without payload if none comes within `seconds`."""
        raise NotImplementedError

    cdef int run(self, Ending connection, int cause, uint32_t events=0) except -1:
        """Move a connection on; see the Acceptor."""
        raise NotImplementedError

    cdef int fail(self, Ending connection, object error) except -1:
        """End a connection because of a fault of ours."""
        raise NotImplementedError

    cdef int report(self, object error, Ending connection, bint relayed) except -1:
        """Count a failure, and tell the observers."""
        raise NotImplementedError

    cdef str name_of(self, uint64_t number):
        """Return what names a connection in the log."""
        raise NotImplementedError

    cdef int check_idle(self) except -1:
        """Wake those who wait for the end of the last connection, if this was it."""
        raise NotImplementedError


cdef class Ending:
    """One accepted connection, as far as anything that happens to it may end it."""

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
            self.tell(ResetError(os.strerror(<int>-result)))
        return self.close(reset=result < 0)

    cdef object observe(self):
        """Return what observers are given, with all that is known by now."""
        connection = self.observed
        if connection is None:
            name = self.acceptor.name_of(self.number)
            connection = self.observed = observer.Connection(self.peer, name)
        connection.peer = self.peer
        connection.user, connection.target = self.user, self.address
        connection.command, connection.error = self.command, self.error
        connection.server = self.server
        return connection

    cdef object sum_up(self, uint64_t bytes_up, uint64_t bytes_down):
        """Return what observers are given, at the end."""
        connection = self.observe()
        connection.bytes_up, connection.bytes_down = bytes_up, bytes_down
        connection.seconds = now() - self.since
        return connection

    cdef int tell(self, object error, bint relayed=False) except -1:
        """Report why this connection ends."""
        self.error = error
        if self.user is None and self.inbound is not None:
            self.user = self.inbound.logged_in()
        return self.acceptor.report(error, self, relayed)

    cdef int gone(
        self, uint64_t bytes_up, uint64_t bytes_down, double first_byte=0.0
    ) except -1:
        """Give back what the connection took up, and tell observers.

        :param first_byte: when the first payload came from the target.
        """
        self.admission.leave()
        if self.acceptor.closed is not None:
            connection = self.sum_up(bytes_up, bytes_down)
            if self.stages is not None:
                connection.stages = self.stages.fields(first_byte)
            self.acceptor.closed(connection)
        return 0

    cdef int heard(self, uint64_t bytes_up, uint64_t bytes_down) except -1:
        """Take note of whether the server has answered."""
        cdef AcceptorBase acceptor = self.acceptor
        if bytes_down:
            if not acceptor.answered:
                acceptor.answered = True
                acceptor.answers.came()
        elif bytes_up:
            acceptor.answered = False
            acceptor.answers.missing(self.sum_up(bytes_up, bytes_down))
        return 0

    cdef int refuse(self, object error) except -1:
        """End because of `error`, as the inbound wants it."""
        self.tell(error)
        if not self.silent or (
            not isinstance(error, ProtocolError)
            and self.inbound.cuts_answers
        ):
            reply = self.inbound.failed(error)
            if reply:
                send(self.client, PyBytes_AS_STRING(reply), len(reply))
            shutdown(self.client, SHUT_WR)
            self.deadline = now() + LINGER
        elif not isinstance(error, ProtocolError):
            return self.close(reset=True)
        if self.target >= 0:
            # It may have got early data, which must not look complete.
            reset_on_close(self.target)
            close(self.target)
            self.target = -1
        # Closing with bytes unread would send a reset: that would take the reply with it,
        # and tell a prober that bytes were left.
        self.state = State.DRAINING
        return self.watch_waste()

    cdef int read_waste(self, int reads) except -1:
        cdef Py_ssize_t size
        for _ in range(reads):
            size = receive(self.client, self.acceptor.buffer, READ_SIZE)
            if size == -EAGAIN:
                return 0
            if size <= 0:
                return self.close()
        return 0

    cdef int await_client(self) except -1:
        """Go on when the client's next bytes are there."""
        self.client_unread = False
        return self.attend_client()

    cdef int attend_client(self) except -1:
        """Be told what the client does, a break included, also while it is not read."""
        if not self.client_watched:
            self.acceptor.poller.watch(self.token, 0, self.client, ARRIVALS)
            self.client_watched = True
        return 0

    cdef int await_target(self) except -1:
        """Go on when the target is connected, or cannot be."""
        self.attend_client()
        self.acceptor.poller.watch(self.token, 1, self.target, ARRIVALS | EPOLLOUT)
        self.target_watched = True
        return 0

    cdef int watch_waste(self) except -1:
        """Go on whenever the client has sent something, until it is read."""
        if self.client_watched:
            return self.acceptor.poller.watch_again(self.token, 0, self.client, EPOLLIN)
        self.acceptor.poller.watch(self.token, 0, self.client, EPOLLIN)
        self.client_watched = True
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
            # It may have got early data, which must not look complete.
            if reset:
                reset_on_close(self.target)
            close(self.target)
            self.target = -1
        association, self.association = self.association, None
        self.cancel_task()
        self.forget()
        if association is not None:
            association.close()
        self.gone(0, 0)
        return self.acceptor.check_idle()

    cdef int cancel_task(self) except -1:
        """Wait no longer for what a task was to bring."""
        task, self.task = self.task, None
        if task is not None:
            task.cancel()
        return 0

    cdef int forget(self) except -1:
        """Leave set-up."""
        self.state = State.OVER
        self.acceptor.connections.pop(self.token, None)
        self.acceptor.poller.remove(self.token)
        self.inbound = self.request = self.route = self.task = None
        return 0
