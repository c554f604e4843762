from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastsocks.net._poller cimport Poller
from fastsocks.relay._brief cimport Engine

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

# What a connection is to be moved on by; the ends of a connection that are ready count too.
cdef enum:
    CLIENT_READY = 0
    TARGET_READY = 1
    ACCEPTED
    DEADLINE_PASSED
    NO_PAYLOAD_CAME
    ASSOCIATION_MADE
    PEER_CAME
    NO_LONGER_PENDING

# What a connection needs of the Acceptor that took it.
cdef class AcceptorBase:
    cdef object loop
    cdef object service
    cdef object dialer
    # Of the dialer and the service; see there.
    cdef bint plain
    cdef bint straight
    cdef object may_dial
    cdef Engine engine
    # Of the service; None where users are not told apart.
    cdef object users
    cdef bint access_log
    cdef double timeout
    # By token.
    cdef dict connections
    cdef Poller poller
    # Filled and used up within one callback. Owner: this object.
    cdef uint8_t buffer[READ_SIZE]

    cdef int await_payload(self, Connection connection, double seconds) except -1
    cdef int run(self, Connection connection, int cause, uint32_t events=*) except -1
    cdef int fail(self, Connection connection, object error) except -1
    cdef int report(self, object error, object peer, object target) except -1
    cdef int check_idle(self) except -1


cdef class Connection:
    cdef AcceptorBase acceptor
    # Of the poller, where it is a member until hand_over; 0 then.
    cdef uint64_t token
    # Descriptors; owned here until hand_over, -1 where there is none.
    cdef int client
    cdef int target
    cdef int client_family
    cdef int target_family
    cdef bint client_watched
    cdef bint target_watched
    # Whether the poller has told of something that is still to be read.
    cdef bint client_unread
    cdef bint target_unread
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
    cdef object inbound
    # None again from hand_over on; what stays are command, address and user.
    cdef object request
    cdef int command
    cdef object address
    cdef object user
    cdef object route
    cdef object peer
    cdef object task
    # What it takes up of the caps on connections.
    cdef object admission
    cdef object association
    # Why it is ending.
    cdef object error
    # When it was accepted, by the clock of now().
    cdef double since
    # Payload in bytes that went to the target before the relay began.
    cdef uint64_t early

    cdef int begin(self) except -1
    cdef int ready(self, int end, uint32_t events) except -1
    cdef int expire(self) except -1
    cdef int read_handshake(self) except -1
    cdef int received(self, object request) except -1
    cdef int await_pending(self, object pending) except -1
    cdef int resume(self) except -1
    cdef int dial(self) except -1
    cdef object local_host(self)
    cdef int associate(self, object local_host) except -1
    cdef int associated(self) except -1
    cdef int bind(self, object local_host) except -1
    cdef int read_ahead(self) except -1
    cdef int peer_came(self) except -1
    cdef bint dials_at_once(self, object address, bytes wire, object permit) except -1
    cdef int begin_payload(self) except -1
    cdef int open(self) except -1
    cdef int not_reached(self, object error) except -1
    cdef int connect(self, bytes wire) except -1
    cdef int connected(self, bint settled) except -1
    cdef bint send_reply(self) except -1
    cdef int read_payload(self) except -1
    cdef bytes payload_of(self, Py_ssize_t size)
    cdef int send_request(self, bytes payload) except -1
    cdef int hand_over(self) except -1
    cdef int dial_failed(self, int error) except -1
    cdef bint send_client(self, bytes data) except -1
    cdef int client_lost(self, Py_ssize_t result) except -1
    cdef int refuse(self, object error) except -1
    cdef int tell(self, object error) except -1
    cdef int gone(self, uint64_t bytes_up, uint64_t bytes_down) except -1
    cdef int read_waste(self, int reads) except -1
    cdef int await_client(self) except -1
    cdef int await_target(self) except -1
    cdef int watch_waste(self) except -1
    cdef int close(self, bint reset=*) except -1
    cdef int forget(self) except -1
