from libc.stdint cimport uint64_t

from fastsocks.relay._udp_ports cimport AssociationBase, Port
from fastsocks.shadowsocks._packets cimport Packet, PacketCodec


cdef class ServerPort(Port):
    cdef CurrentWay side
    cdef PacketCodec packets
    cdef object packet_way
    # Whether anything that opens has come by it.
    cdef bint answered


cdef class CurrentWay:
    cdef AssociationBase association
    # None until the way is known.
    cdef ServerPort port
    # What it took the place of, and may still be answered by.
    cdef ServerPort former
    # What the way lasts as long as, or None.
    cdef object control
    # Whether it looks for another way where this one is lost with its control.
    cdef bint finds
    # The task that looks for the way, and what waits for it: address headers and payloads.
    cdef object finding
    cdef list waiting
    # Not before then is another one looked for, by the clock of now().
    cdef double rests_until
    # Whether there ever was an answer; datagrams since the last one, when the first and the last
    # of them were sent, and for how long there was none so far where one came after all.
    cdef bint answered
    cdef uint64_t unanswered
    cdef double unanswered_since
    cdef double sent_at
    cdef double longest_gap
    # The task that renews the way; when it may be renewed, and its address looked at again.
    cdef object renewing
    cdef double renews_after
    cdef double rest
    cdef double looks_after

    cdef int lead(self, packet_way) except -1
    cdef int send(self, Packet* packet) except -1
    cdef int close(self) except -1
    cdef int count_unanswered(self) except -1
    cdef int hold(self, const Packet* packet) except -1
    cdef int found(self, packet_way) except -1
    cdef int failed(self) except -1
    cdef int heard(self, ServerPort port) except -1
    cdef int look_after(self, double time) except -1
    cdef int lose(self, str why) except -1
    cdef int renew(self, why) except -1
    cdef int renewed(self, packet_way) except -1


cdef CurrentWay new_current_way(AssociationBase association)
