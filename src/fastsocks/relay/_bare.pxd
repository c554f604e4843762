from libc.stdint cimport uint64_t

from fastsocks.net._poller cimport Poller
from fastsocks.relay._meter cimport Meter
from fastsocks.relay._splice cimport PipeStock, Splice
from fastsocks.relay._tcp cimport End, Relay
from fastsocks.relay._tcp cimport Engine
from fastsocks.shadowsocks._framing cimport Codec


cdef class BareEngine(Engine):
    cdef Poller _poller
    # None where plain relays get transports, too.
    cdef PipeStock _pipes
    # Whether the loop takes descriptors without a socket object.
    cdef bint _bare

    # Relays between two connected descriptors, which the poller watches for ARRIVALS under
    # `token`: end 0 is the client, 1 the target. Descriptors and token are the relay's once
    # it is returned. `prompt`: the client's descriptor has TCP_NODELAY.
    cdef BareRelay relay(
        self,
        uint64_t token,
        int client,
        int client_family,
        Codec client_codec,
        int target,
        int target_family,
        Codec target_codec,
        object ended,
        bint prompt,
        Meter meter,
    )


cdef class BareRelay(Relay):
    cdef uint64_t _token
    cdef int _client_family
    cdef int _target_family
    # Not attached yet.
    cdef bint _bare
    # What carries it from when it is bare no more, if it is plain.
    cdef Splice _splice

    # Gives each end what it must get before all that comes; called at most once, at the start.
    cdef int send_first(self, bytes to_client, bytes to_target) except -1
    cdef int _ready(self, int end, unsigned int events) except -1
    cdef int _read(self, End end, unsigned int events) except -1
    cdef int _close(self, bint reset) except -1
