from libc.stdint cimport uint8_t, uint64_t

from fastsocks.relay._meter cimport Meter
from fastsocks.shadowsocks._framing cimport Codec

cdef enum:
    # One read of 256 KiB takes a 16 KiB record's worth of Python calls from sixteen
    # records at once.
    READ_SIZE = 256 * 1024


# What goes through an engine.
cdef class Counters:
    cdef readonly uint64_t relays
    cdef readonly uint64_t active
    cdef readonly uint64_t bytes_up
    cdef readonly uint64_t bytes_down


# One end of a relay.
cdef class End:
    cdef Relay relay
    cdef End peer
    cdef Codec codec
    # None before it is attached, and after it is lost.
    cdef object transport
    # The coroutine that attaches it; later the timer of what came from it too fast for its user.
    cdef object awaited
    # What its transport has to send first.
    cdef bytes first
    # -1 once it is closed, or about to be by the loop.
    cdef int fd
    # What its transport and the kernel had left to send at the last sweep, in bytes.
    cdef size_t backlog
    # Its side has finished sending.
    cdef bint ended
    # The transport holds bytes that the kernel did not take yet.
    cdef bint holding
    cdef bint paused
    cdef bint closed
    # When it began to hold bytes, and whether it was rid of them soon.
    cdef double held_since
    cdef bint drains_fast
    # Bytes to be read next, at most.
    cdef Py_ssize_t read_size
    # Bytes read in a row that each filled what they were read into.
    cdef Py_ssize_t at_one_go
    # What is sent goes at once (TCP_NODELAY).
    cdef bint prompt
    # It is told of no break but by an end, which no prober can tell from that of other servers.
    cdef bint quiet

    cdef int finish_attaching(self) except -1
    cdef int received(self, Py_ssize_t size) except -1
    cdef int received_of_user(self, const uint8_t* data, Py_ssize_t size) except -1
    cdef int deliver(self, const uint8_t* data, Py_ssize_t size) except -1
    cdef int finish_sending(self) except -1
    cdef int pause(self) except -1
    cdef int resume(self) except -1
    cdef Py_ssize_t room(self) noexcept
    cdef int yield_turn(self) except -1
    cdef int plan_read(self, Py_ssize_t size) except -1
    cdef void limit_send_buffer(self) noexcept
    cdef int reset(self) except -1
    # Close because the relay failed; `cut` where the answer may be cut short.
    cdef int leave(self, bint cut) except -1
    # What it has to be sent for that, if it is quiet.
    cdef bytes last_words(self, bint cut)
    cdef bint draining(self) except -1
    cdef int lost(self, object error) except -1


cdef class Engine:
    cdef readonly Counters counters
    cdef object _loop
    cdef double _half_open_timeout
    cdef double _idle_timeout
    cdef double _interval
    cdef object _sweeping
    cdef Relay _first

    # Shared by every relay of the loop: filled and used up within one callback of the
    # loop. Owner: this object.
    cdef uint8_t* _memory
    cdef uint8_t* read_at
    cdef uint8_t* plaintext
    cdef uint8_t* wire
    cdef object read_view

    # Puts a new relay on the books.
    cdef int _begin(
        self,
        Relay relay,
        int client,
        Codec client_codec,
        int target,
        Codec target_codec,
        object ended,
        Meter meter,
    ) except -1
    # Gives both ends transports.
    cdef int _attach(self, Relay relay, object client, object target) except -1
    cdef int _attach_one(self, End end, object sock) except -1
    cdef void _link(self, Relay relay) noexcept
    cdef void _unlink(self, Relay relay) noexcept


cdef class Relay:
    cdef readonly uint64_t bytes_up
    cdef readonly uint64_t bytes_down
    cdef readonly object error
    # When the first payload came from the target, by the clock of now(); 0 before.
    cdef readonly double first_down
    cdef Engine _engine
    cdef End client
    cdef End target
    # Of the user; None where users are not told apart.
    cdef Meter meter
    cdef object _ended
    cdef Relay _next
    cdef Relay _previous
    cdef double _touched
    cdef bint _kept_alive
    cdef bint _over

    # Takes note of payload that came from an end.
    cdef void count(self, End end, Py_ssize_t size) noexcept
    # Gives both ends transports, where they have none yet.
    cdef int _attach(self) except -1
    cdef int _end_of_stream(self, End end) except -1
    # `cut` says whether the answer is cut short by it.
    cdef int _fail(self, object error, bint cut=*) except -1
    cdef int _finish(self) except -1
    cdef int _lost(self) except -1
    cdef int _check_idle(self, double time, double half_open, double idle) except -1


# A FastsocksError for whatever broke an end.
cdef object broken(object error)
