from libc.stdint cimport uint8_t, uint64_t

from fastsocks.net._datagrams cimport Arrival, Name
from fastsocks.relay._udp_ports cimport AssociationBase, OutgoingPort, Port, TunnelPort
from fastsocks.shadowsocks._packets cimport PacketCodec, PacketSession


cdef class ServingPort(Port):
    cdef PacketCodec packets
    cdef dict by_source
    cdef Name latest_source
    cdef Association latest

    cdef Association find(self, const Name* source)
    cdef Association begin(self, const Name* source, PacketSession session)


cdef class ClientPort(Port):
    cdef Association association
    # Where datagrams are accepted from; with port 0 the first one decides.
    cdef Name expected
    cdef bint learned
    cdef object reassembler

    cdef bint comes_from_client(self, const Name* source) noexcept
    cdef int learn(self, const Name* source) except -1
    cdef int take_fragment(self, const Name* source, const uint8_t* data, Py_ssize_t size) except -1


cdef class Association(AssociationBase):
    #: Called once if it ends by itself, and not by :meth:`close`.
    cdef public object ended
    # The client's side: one of both.
    cdef ServingPort serving
    # Where its last datagram came to.
    cdef Arrival arrival
    cdef ClientPort client_port
    cdef PacketSession session
    cdef bytes source_key
    # The target's side: a tunnel, if there is to be one, and sockets that are opened when they
    # are needed.
    cdef TunnelPort tunnel
    cdef OutgoingPort outgoing_v4
    cdef OutgoingPort outgoing_v6
    # The target of the last datagram, in its wire form and resolved.
    cdef uint8_t latest_wire[19]
    cdef Py_ssize_t latest_size
    cdef Name latest_target
    # Where the engine has a judge: its `targets` and `names`, of this association alone.
    cdef dict targets
    cdef dict names
    # Where it has a tunnel: the ways of targets, by their wire forms.
    cdef dict ways
    # Datagrams that wait for a name.
    cdef int waiting

    cdef int end(self) except -1
    cdef int forward(
        self, const uint8_t* address, Py_ssize_t address_size, uint8_t* payload, Py_ssize_t size
    ) except -1
    cdef bytes canonical(self, const uint8_t* wire, Py_ssize_t wire_size)
    cdef int way_to(self, const uint8_t* wire, Py_ssize_t wire_size) except -1
    cdef int send_to_latest(self, uint8_t* payload, Py_ssize_t size) except -1
    cdef OutgoingPort open_outgoing(self, int family)
    cdef bint find_target(
        self, const uint8_t* wire, Py_ssize_t wire_size, const uint8_t* payload, Py_ssize_t size
    ) except -1
    cdef int resolve(self, object address, bytes payload) except -1
    cdef int resolved(self, address, list infos, bytes payload) except -1


cdef TunnelPort new_tunnel_port(AssociationBase association)
