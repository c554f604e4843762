from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastsocks.inbound._inbound cimport Inbound, Inbounds
from fastsocks.net._poller cimport Poller
from fastsocks.relay._bare cimport BareEngine
from fastsocks.setup._roles cimport Outbound, Route

cdef enum:
    READ_SIZE = 64 * 1024

ctypedef enum State:
    # Reading the client's request; PENDING waits for what the inbound waits for, DIALING for a
    # task, CONNECTING for the kernel.
    HANDSHAKE
    PENDING
    DIALING
    CONNECTING
    # Waiting for a first payload that is to travel with the outbound's first bytes.
    PAYLOAD
    # A UDP association lives as long as this connection.
    ASSOCIATED
    # Listening for the client's peer.
    BOUND
    DRAINING
    OVER

# What a connection needs of the Acceptor that took it.
cdef class AcceptorBase:
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

    cdef int await_payload(self, Ending connection, double seconds) except -1
    cdef int run(self, Ending connection, int cause, uint32_t events=*) except -1
    cdef int fail(self, Ending connection, object error) except -1
    cdef int report(self, object error, Ending connection, bint relayed) except -1
    cdef str name_of(self, uint64_t number)
    cdef int check_idle(self) except -1


cdef class Ending:
    cdef AcceptorBase acceptor
    # Of the poller, where it is a member until hand_over; 0 then.
    cdef uint64_t token
    # Descriptors; owned here until hand_over, -1 where there is none.
    cdef readonly int client
    cdef int target
    cdef int client_family
    cdef int target_family
    cdef bint client_watched
    cdef bint target_watched
    # Whether there may be something to be read of which the poller tells no more.
    cdef bint client_unread
    cdef State state
    cdef double deadline
    # Whether the client has sent anything at all.
    cdef bint begun
    cdef bint silent
    # What the target must get before the relay's bytes; None while the outbound's first
    # bytes wait for a payload.
    cdef bytes to_target
    # What the target said behind the answer of a server on the way.
    cdef bytes from_target
    cdef Inbound inbound
    # None again from hand_over on; what stays are command, address and user.
    cdef object request
    cdef int command
    cdef object address
    cdef object user
    cdef Route route
    # The name whose one address is being dialed, which is to be looked up again if it is not there.
    cdef str named
    cdef readonly object peer
    # Of BIND and UDP ASSOCIATE.
    cdef readonly str local_host
    cdef object task
    # What it takes up of the caps on connections.
    cdef object admission
    cdef object association
    # Why it is ending.
    cdef object error
    # When it was accepted, by the clock of now().
    cdef double since
    # Which one of those that its Acceptor took, from 1 on.
    cdef uint64_t number
    # The first Shadowsocks server on its way; None where there is none, or before hand_over.
    cdef object server
    # When it got how far; None where no observer asks.
    cdef object stages
    # What observers are given; None until there is something to tell them.
    cdef object observed
    # Payload in bytes that went to the target before the relay began.
    cdef uint64_t early

    cdef bint send_client(self, bytes data) except -1
    cdef int client_lost(self, Py_ssize_t result) except -1
    cdef int refuse(self, object error) except -1
    cdef object observe(self)
    cdef object sum_up(self, uint64_t bytes_up, uint64_t bytes_down)
    cdef int tell(self, object error, bint relayed=*) except -1
    cdef int gone(self, uint64_t bytes_up, uint64_t bytes_down, double first_byte=*) except -1
    cdef int heard(self, uint64_t bytes_up, uint64_t bytes_down) except -1
    cdef int read_waste(self, int reads) except -1
    cdef int await_client(self) except -1
    cdef int attend_client(self) except -1
    cdef int await_target(self) except -1
    cdef int watch_waste(self) except -1
    cdef int close(self, bint reset=*) except -1
    cdef int cancel_task(self) except -1
    cdef int forget(self) except -1
