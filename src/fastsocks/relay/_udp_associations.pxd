from libc.stdint cimport uint8_t

from fastsocks.net._datagrams cimport Arrival, Name
from fastsocks.relay._udp_ports cimport AssociationBase, Port
from fastsocks.relay._udp_targets cimport Targets
from fastsocks.relay._udp_packet_way cimport CurrentWay
from fastsocks.shadowsocks._packets cimport Packet, PacketCodec, PacketSession


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
    # The target's side: a packet way, if there is to be one, and the direct way.
    cdef CurrentWay packet_way
    cdef Targets targets
    # What rules and guard say of targets, by their wire forms; of names only that is asked
    # where there is no packet way.
    cdef dict ways

    cdef int end(self) except -1
    cdef int forward(self, Packet* packet) except -1
    cdef bytes canonical(self, const uint8_t* wire, Py_ssize_t wire_size)
    cdef int decide_anew(self) except -1
