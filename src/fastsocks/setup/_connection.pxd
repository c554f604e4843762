from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastsocks.setup._ending cimport Ending

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


cdef class Connection(Ending):
    cdef int begin(self) except -1
    cpdef hand_to(self, inbound)
    cdef int ready(self, int end, uint32_t events) except -1
    cdef int not_read(self, uint32_t events) except -1
    cdef int expire(self) except -1
    cdef int read_handshake(self) except -1
    cdef int received(self, object request) except -1
    cdef int not_received(self, object error) except -1
    cdef int await_pending(self, object pending) except -1
    cdef int resume(self) except -1
    cdef int dial(self) except -1
    cdef bint find_local_host(self) except -1
    cdef int associate(self) except -1
    cdef int associated(self) except -1
    cdef int bind(self) except -1
    cdef int read_ahead(self, uint32_t events) except -1
    cdef int peer_came(self) except -1
    cdef int begin_payload(self) except -1
    cdef int open(self) except -1
    cdef int begin_task(self, object make, object take) except -1
    cdef int not_reached(self, object error) except -1
    cdef int connect(self, bytes wire) except -1
    cdef int connected(self, bint settled, bint failing) except -1
    cdef bint send_reply(self) except -1
    cdef int read_payload(self) except -1
    cdef bytes payload_of(self, Py_ssize_t size)
    cdef int send_request(self, bytes payload) except -1
    cdef int hand_over(self) except -1
    cdef int dial_failed(self, int error) except -1
