# cython: boundscheck=False, wraparound=False
"""Datagrams to and from a SOCKS5 server. The twin of ``_socks_packets_py.py``."""

from libc.stdint cimport uint8_t
from libc.string cimport memcpy, memset

from fastsocks.address._header cimport LARGEST_ADDRESS
from fastsocks.address._reader cimport Reader, reader_over
from fastsocks.shadowsocks._packets cimport (
    RAISED,
    TRUNCATED,
    Packet,
    PacketCodec,
    read_contents,
)

cdef enum:
    # RSV and FRAG (RFC 1928 section 7).
    _HEADER = 3


cdef class SocksPackets(PacketCodec):
    """The client's side of UDP ASSOCIATE; see the twin."""

    def __cinit__(self):
        self.overhead = _HEADER + LARGEST_ADDRESS

    cdef Py_ssize_t open_into(
        self, const uint8_t* wire, Py_ssize_t size, uint8_t* out, Packet* packet
    ) except? RAISED:
        cdef Reader reader
        if size <= _HEADER or wire[2] != 0:
            return TRUNCATED
        size -= _HEADER
        memcpy(out, wire + _HEADER, size)
        reader = reader_over(out, size)
        packet.session = NULL
        return read_contents(&reader, packet)

    cdef Py_ssize_t seal_behind(self, Packet* packet, uint8_t* out) except? RAISED:
        memset(out, 0, _HEADER)
        out += _HEADER
        memcpy(out, packet.address, packet.address_size)
        memcpy(out + packet.address_size, packet.payload, packet.payload_size)
        return _HEADER + packet.address_size + packet.payload_size
