from libc.stdint cimport uint32_t, uint64_t

from fastsocks.net._poller cimport Poller
from fastsocks.relay._tcp cimport End, Relay

cdef enum:
    STOCK = 8

# Its reading and its writing end; -1 where there is none.
cdef struct Pipe:
    int ends[2]


# Empty pipes, to be taken for a while.
cdef class PipeStock:
    # Those that are not taken. Owner: this object.
    cdef Pipe _pipes[STOCK]
    cdef int _size
    # How many there are, the taken ones among them, and may be.
    cdef int _open
    cdef int _most

    # False where none can be had.
    cdef bint take(self, Pipe* pipe) noexcept
    cdef void give_back(self, Pipe* pipe) noexcept
    # Closes a pipe that was taken, if there is one.
    cdef void shut(self, Pipe* pipe) noexcept


cdef struct Flow:
    # This flow's as long as it holds bytes.
    Pipe pipe
    # Bytes in it.
    Py_ssize_t held
    # The sink takes no more for now.
    bint blocked


cdef class Splice:
    cdef PipeStock _stock
    cdef Poller _poller
    cdef uint64_t _token
    # Its owner, which ends it; the reference back is gone by then.
    cdef Relay _relay
    # From the client; from the target.
    cdef Flow _flows[2]

    cdef int ready(self, int end, uint32_t events) except -1
    cdef int close(self) except -1
    cdef int _pump(self, int end) except -1
    cdef bint _drain(self, Flow* flow, End sink) except -1
    cdef Py_ssize_t _fill(self, Flow* flow, End source, End sink) except? -1


# Goes on with a relay of plain bytes, whose descriptors `poller` watches under `token`.
cdef Splice begin_splice(PipeStock stock, Poller poller, Relay relay, uint64_t token)
