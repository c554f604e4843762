from libc.stdint cimport uint8_t

from fastsocks.address._header cimport LARGEST_ADDRESS
from fastsocks.net._datagrams cimport Name
from fastsocks.relay._udp_ports cimport AssociationBase, OutgoingPort


# What the datagrams to a name are sent to.
cdef class Chosen:
    cdef bytes wire
    # The name is asked for again after that, by the clock of now().
    cdef double good_until


cdef class Targets:
    cdef AssociationBase association
    cdef OutgoingPort outgoing_v4
    cdef OutgoingPort outgoing_v6
    # The target of the last datagram, in its wire form and resolved; of a name, what was chosen.
    cdef uint8_t latest_wire[LARGEST_ADDRESS]
    cdef Py_ssize_t latest_size
    cdef Name latest_target
    cdef Chosen latest_chosen
    # Where the engine has a judge: its `targets`, of this association alone.
    cdef dict targets
    # Of names, by their wire forms; those used least recently come first.
    cdef dict chosen
    # What waits for names, by host: addresses and payloads.
    cdef dict waiting
    cdef set lookups

    cdef int send(
        self, const uint8_t* wire, Py_ssize_t wire_size, uint8_t* payload, Py_ssize_t size
    ) except -1
    cdef int close(self) except -1
    cdef int decide_anew(self) except -1
    cdef bint is_latest(self, const uint8_t* wire, Py_ssize_t wire_size) noexcept
    cdef int lead_to(self, bytes key, bytes resolved, Chosen chosen) except -1
    cdef int send_to_latest(self, uint8_t* payload, Py_ssize_t size) except -1
    cdef OutgoingPort open_outgoing(self, int family)
    cdef bint find(
        self, const uint8_t* wire, Py_ssize_t wire_size, const uint8_t* payload, Py_ssize_t size
    ) except -1
    cdef bint find_ip(self, bytes key, object address) except -1
    cdef Chosen recall(self, bytes key, object address)
    cdef bint choose(self, bytes key, object address, infos) except -1
    cdef int choose_again(self, object address, infos) except -1
    cdef int hold(self, object address, const uint8_t* payload, Py_ssize_t size) except -1
    cdef int look_up(self, object address, bytes payload) except -1
    cdef int looked_up(self, str host, infos, str reason) except -1
