"""C interface of the packet codecs, for the UDP relay.

One codec serves all sockets of a key; no method of it runs without the GIL.
"""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t

from fastsocks.address._header cimport INCOMPLETE, UNKNOWN_TYPE, header_size
from fastsocks.address._reader cimport Reader, left, take
from fastsocks.crypto._primitives cimport Aead, StreamCipher

from ._salts cimport SaltFilter

cdef enum:
    # What open_into returns instead of a size; the codes of packet_faults.py.
    TRUNCATED = -1
    TAG_MISMATCH = -2
    WRONG_TYPE = -3
    WRONG_TIME = -4
    UNKNOWN_USER = -5
    REPLAYED = -6
    PAST_THE_END = -7
    FOREIGN_SESSION = -8
    NEW_SESSION_TOO_SOON = -9
    UNKNOWN_ADDRESS_TYPE = -10
    WRONG_NAME = -11
    FOREIGN_SERVER = -12
    # An exception is set: no memory, or no random bytes.
    RAISED = -100

    # Writable bytes that seal_into needs in front of a payload: two IDs, the longest header,
    # the most padding and the longest address.
    SEAL_HEADROOM = 16 + 19 + 900 + 259 + 6


# What open_into found. All pointers but `session` point into its `out`, and the payload lies
# right behind the address.
cdef struct PacketInfo:
    # ATYP ADDR PORT as sent, 7 to 259 bytes. Not in one form, as `Address` is: it may be an
    # IPv4-mapped IPv6 address, or an IP literal in the place of a name.
    const uint8_t* address
    Py_ssize_t address_size
    const uint8_t* payload
    Py_ssize_t payload_size
    # Borrowed, until the codec's next call: a PacketSession, or NULL where there are none.
    PyObject* session
    # With WRONG_TIME, the seconds by which the peer's clock is ahead of ours.
    int64_t skew


cdef class PacketSession:
    # The user's name, or None without users.
    cdef readonly object user
    # Of the relay, to find its own state by; the codec never looks at it.
    cdef public object association
    # Unix time of the last packet in seconds.
    cdef readonly int64_t last_used


cdef class PacketCodec:
    # Most bytes by which a packet is longer than its payload.
    cdef readonly Py_ssize_t overhead
    # Whether sessions tell associations apart; else source addresses do.
    cdef readonly bint has_sessions
    # Size in bytes of the salt, IV or nonce that a packet begins with.
    cdef Py_ssize_t _salt_size

    # Opens a packet into `out`, which has room for `size` bytes and does not overlap it.
    # `now` is Unix time in seconds. Returns the size of the payload, or a fault.
    cdef Py_ssize_t open_into(
        self,
        const uint8_t* packet,
        Py_ssize_t size,
        int64_t now,
        uint8_t* out,
        PacketInfo* info,
    ) except? RAISED

    # Seals a payload into `out`, which has room for `overhead` bytes more and overlaps nothing.
    # SEAL_HEADROOM bytes in front of `payload` are this method's to write; the address may
    # already lie there. `session` is what the server's open_into gave, otherwise None.
    # Returns the size of the packet.
    cdef Py_ssize_t seal_into(
        self,
        PacketSession session,
        const uint8_t* address,
        Py_ssize_t address_size,
        uint8_t* payload,
        Py_ssize_t payload_size,
        int64_t now,
        uint8_t* out,
    ) except? RAISED

    cdef Py_ssize_t _choose_padding(
        self, const uint8_t* address, Py_ssize_t address_size, Py_ssize_t payload_size
    ) except -1
    # Most bytes of padding that suit this payload; none for most addresses.
    cdef Py_ssize_t padding_room(
        self, const uint8_t* address, Py_ssize_t address_size, Py_ssize_t payload_size
    ) noexcept
    # As seal_into, with `_salt_size` bytes of salt already in `out` and that much padding.
    cdef Py_ssize_t seal_behind(
        self,
        PacketSession session,
        const uint8_t* address,
        Py_ssize_t address_size,
        uint8_t* payload,
        Py_ssize_t payload_size,
        int64_t now,
        uint8_t* out,
        const uint8_t* padding,
        Py_ssize_t padding_size,
    ) except? RAISED


cdef class PlainPackets(PacketCodec):
    pass


cdef class StreamPackets(PacketCodec):
    cdef bytes _key
    # None for rc4-md5, where every IV makes another key.
    cdef StreamCipher _opener
    cdef StreamCipher _sealer
    # None where nothing is remembered.
    cdef SaltFilter _filter


cdef class AeadPackets(PacketCodec):
    cdef bytes _key
    # Two, so that either keeps only one context; both get another key for every packet.
    cdef Aead _opener
    cdef Aead _sealer
    cdef SaltFilter _filter
    cdef int _rekey(self, Aead aead, const uint8_t* salt) except -1


# Note what is left: an address and a payload. Returns the payload's size, or a fault.
cdef inline Py_ssize_t read_contents(Reader* reader, PacketInfo* info) noexcept nogil:
    cdef Py_ssize_t size = header_size(reader)
    if size <= 0:
        if size == INCOMPLETE:
            return PAST_THE_END
        return UNKNOWN_ADDRESS_TYPE if size == UNKNOWN_TYPE else WRONG_NAME
    info.address_size = size
    info.address = take(reader, size)
    info.payload_size = left(reader)
    info.payload = reader.pos
    return info.payload_size
