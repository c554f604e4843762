# cython: boundscheck=False, wraparound=False
"""Datagrams to and from a SOCKS5 server. The twin of ``_socks_packets_py.py``."""

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy, memset

from fastsocks.address._reader cimport Reader, reader_over
from fastsocks.shadowsocks._packets cimport (
    RAISED,
    TRUNCATED,
    PacketCodec,
    PacketInfo,
    PacketSession,
    read_contents,
)

cdef enum:
    # RSV and FRAG (RFC 1928 section 7), and the longest address.
    _HEADER = 3
    _LARGEST_ADDRESS = 259


cdef class SocksPackets(PacketCodec):
    """The client's side of UDP ASSOCIATE; see the twin."""

    def __cinit__(self):
        self.overhead = _HEADER + _LARGEST_ADDRESS

    cdef Py_ssize_t open_into(
        self,
        const uint8_t* packet,
        Py_ssize_t size,
        int64_t now,
        uint8_t* out,
        PacketInfo* info,
    ) except? RAISED:
        cdef Reader reader
        if size <= _HEADER or packet[2] != 0:
            return TRUNCATED
        size -= _HEADER
        memcpy(out, packet + _HEADER, size)
        reader = reader_over(out, size)
        info.session = NULL
        return read_contents(&reader, info)

    cdef Py_ssize_t seal_into(
        self,
        PacketSession session,
        const uint8_t* address,
        Py_ssize_t address_size,
        uint8_t* payload,
        Py_ssize_t payload_size,
        int64_t now,
        uint8_t* out,
    ) except? RAISED:
        memset(out, 0, _HEADER)
        memcpy(out + _HEADER, address, address_size)
        memcpy(out + _HEADER + address_size, payload, payload_size)
        return _HEADER + address_size + payload_size
