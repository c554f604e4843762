"""C interface of the packet codecs, for the UDP relay.

One codec serves all sockets of a key; no method of it runs without the GIL.
"""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memmove, memset

from fastsocks.address._header cimport INCOMPLETE, LARGEST_ADDRESS, UNKNOWN_TYPE, header_size
from fastsocks.address._reader cimport Reader, left, reader_over, take
from fastsocks.crypto._primitives cimport TAG_SIZE, Aead, StreamCipher, random_raw
from fastsocks.crypto._room cimport Room, certain

from ._fingerprints cimport Fingerprints
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
    NO_ROOM = -13
    CLOCK_SET_BACK = -14
    # An exception is set: no memory, or no random bytes.
    RAISED = -100

    LARGEST_PADDING = 900
    # Bytes that sealing may write in front of a payload: two IDs, the longest header, the most
    # padding and the longest address; a multiple of 16.
    SEAL_HEADROOM = 16 + 19 + LARGEST_PADDING + LARGEST_ADDRESS + 6


# What a packet carries: what open_into finds, and what seal_into is given.
cdef struct Packet:
    # Unix time in seconds, at which it is opened or sealed; the caller sets it for both.
    int64_t now
    # ATYP ADDR PORT as sent, 7 to 259 bytes. Not in one form, as `Address` is: it may be an
    # IPv4-mapped IPv6 address, or an IP literal in the place of a name.
    const uint8_t* address
    Py_ssize_t address_size
    uint8_t* payload
    Py_ssize_t payload_size
    # The caller's to set for both: what may be written, with the payload in it. To be sealed, it
    # has SEAL_HEADROOM bytes in front of that; there the address may already lie.
    Room room
    # Borrowed: a PacketSession, or NULL where there are none. What open_into finds is there until
    # the codec's next call; an answer to it has the same one.
    PyObject* session
    # Set by open_into with WRONG_TIME: the seconds by which the peer's clock is ahead of ours.
    int64_t skew
    # Set by seal_into, read by seal_behind.
    const uint8_t* padding
    Py_ssize_t padding_size


# A packet to seal, of no session yet.
cdef inline Packet packet_of(
    const uint8_t* address,
    Py_ssize_t address_size,
    uint8_t* payload,
    Py_ssize_t payload_size,
    Room room,
    int64_t now,
) noexcept nogil:
    cdef Packet packet
    memset(&packet, 0, sizeof(packet))
    packet.now = now
    packet.address = address
    packet.address_size = address_size
    packet.payload = payload
    packet.payload_size = payload_size
    packet.room = room
    return packet


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

    # Opens `size` bytes from the wire into `out`, which has room for as many and does not overlap
    # them. The addresses in `packet` point into `out`, and the payload lies right behind the
    # address. Returns the size of the payload, or a fault.
    cdef Py_ssize_t open_into(
        self, const uint8_t* wire, Py_ssize_t size, uint8_t* out, Packet* packet
    ) except? RAISED

    # Seals a packet into `out`, which has `overhead` bytes more than its payload and overlaps
    # nothing. Returns the size of what is to be sent. Raises BufferError where `out` or the
    # packet's own room is too small.
    cdef Py_ssize_t seal_into(self, Packet* packet, Room out) except? RAISED

    # The same, with `_salt_size` bytes of salt already in `out` and padding in `packet`.
    cdef Py_ssize_t seal_behind(self, Packet* packet, uint8_t* out) except? RAISED
    # Forgets a session before its time, if it has it: the client's next packet makes a new one.
    cpdef int forget(self, PacketSession session) except -1
    cdef int _choose_padding(self, Packet* packet) except -1
    # Most bytes of padding that suit this packet; none for most addresses.
    cdef Py_ssize_t padding_room(self, const Packet* packet) noexcept


cdef class PlainPackets(PacketCodec):
    pass


cdef class SaltedPackets(PacketCodec):
    cdef bytes _key
    # None where nothing is remembered.
    cdef SaltFilter _filter
    cdef Fingerprints _fingerprints


cdef class StreamPackets(SaltedPackets):
    # None for rc4-md5, where every IV makes another key.
    cdef StreamCipher _opener
    cdef StreamCipher _sealer


cdef class AeadPackets(SaltedPackets):
    # Gets another key for every packet.
    cdef Aead _aead
    cdef int _rekey(self, const uint8_t* salt) except -1


cdef inline int fill_randomly(uint8_t* target, Py_ssize_t size) except -1:
    if size and random_raw(target, size):
        raise OSError("the kernel gives no random bytes")
    return 0


# Copies what goes in front of `end`, which lies in `room`; returns where it begins.
cdef inline uint8_t* put_before(
    Room room, uint8_t* end, const uint8_t* source, Py_ssize_t size
) noexcept nogil:
    certain(room.start <= end <= room.end and size <= end - room.start)
    end -= size
    memmove(end, source, size)
    return end


# Sees to it that the payload has its address in front of it; returns where that begins.
cdef inline uint8_t* put_address(const Packet* packet) noexcept nogil:
    return put_before(packet.room, packet.payload, packet.address, packet.address_size)


# Opens all that is left into `out`, where the reader then goes on. Returns 0 or a fault.
cdef inline int open_rest(
    Reader* reader, Aead aead, const uint8_t* nonce, uint8_t* out
) noexcept:
    cdef Py_ssize_t size = left(reader)
    if size < TAG_SIZE:
        return TRUNCATED
    if aead.open_raw(nonce, reader.pos, size, out):
        return TAG_MISMATCH
    reader[0] = reader_over(out, size - TAG_SIZE)
    return 0


# Note what is left: an address and a payload. Returns the payload's size, or a fault.
cdef inline Py_ssize_t read_contents(Reader* reader, Packet* packet) noexcept nogil:
    cdef Py_ssize_t size = header_size(reader)
    if size <= 0:
        if size == INCOMPLETE:
            return PAST_THE_END
        return UNKNOWN_ADDRESS_TYPE if size == UNKNOWN_TYPE else WRONG_NAME
    packet.address_size = size
    packet.address = take(reader, size)
    packet.payload_size = left(reader)
    packet.payload = <uint8_t*>reader.pos
    return packet.payload_size
