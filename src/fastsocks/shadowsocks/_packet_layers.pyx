# cython: boundscheck=False, wraparound=False
"""Packets within packets, for chains of servers. The twin of ``_packet_layers_py.py``."""

from cpython.bytes cimport PyBytes_AS_STRING
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport uint8_t
from libc.string cimport memcmp

from fastsocks.address._header cimport take_address
from fastsocks.address._reader cimport Reader, reader_over
from fastsocks.crypto._room cimport room_of
from fastsocks.shadowsocks._packets cimport (
    FOREIGN_SERVER,
    RAISED,
    SEAL_HEADROOM,
    TRUNCATED,
    Packet,
    PacketCodec,
    packet_of,
)


cdef class LayeredPackets(PacketCodec):
    """A client's packets for one server within those for another; see the twin."""

    cdef PacketCodec _outer
    cdef PacketCodec _inner
    cdef object _following
    cdef bytes _following_wire

    def __init__(self, PacketCodec outer not None, PacketCodec inner not None, following not None):
        self.overhead = outer.overhead + inner.overhead
        self._outer = outer
        self._inner = inner
        self._following = following
        self._following_wire = following.wire

    cdef Py_ssize_t open_into(
        self, const uint8_t* wire, Py_ssize_t size, uint8_t* out, Packet* packet
    ) except? RAISED:
        cdef Py_ssize_t opened
        cdef uint8_t* between = <uint8_t*>PyMem_Malloc(size)
        if between is NULL:
            raise MemoryError
        try:
            opened = self._outer.open_into(wire, size, between, packet)
            if opened < 0:
                return opened
            if not self._is_from_server(packet):
                return FOREIGN_SERVER
            if opened == 0:
                return TRUNCATED
            return self._inner.open_into(packet.payload, opened, out, packet)
        finally:
            PyMem_Free(between)

    cdef bint _is_from_server(self, const Packet* packet) except -1:
        cdef Reader reader
        if packet.address_size == len(self._following_wire) and memcmp(
            packet.address, PyBytes_AS_STRING(self._following_wire), packet.address_size
        ) == 0:
            return True
        reader = reader_over(packet.address, packet.address_size)
        source = take_address(&reader)
        server = self._following
        return source.port == server.port and (server.is_name or source.ip == server.ip)

    cdef Py_ssize_t seal_behind(self, Packet* packet, uint8_t* out) except? RAISED:
        cdef Packet layer
        cdef Py_ssize_t sealed
        cdef Py_ssize_t size = packet.payload_size + self._inner.overhead
        cdef uint8_t* between = <uint8_t*>PyMem_Malloc(SEAL_HEADROOM + size)
        if between is NULL:
            raise MemoryError
        try:
            sealed = self._inner.seal_into(packet, room_of(between + SEAL_HEADROOM, size))
            layer = packet_of(
                <const uint8_t*>PyBytes_AS_STRING(self._following_wire),
                len(self._following_wire),
                between + SEAL_HEADROOM,
                sealed,
                room_of(between, SEAL_HEADROOM + size),
                packet.now,
            )
            return self._outer.seal_into(&layer, room_of(out, sealed + self._outer.overhead))
        finally:
            PyMem_Free(between)
