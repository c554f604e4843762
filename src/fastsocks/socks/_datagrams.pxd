"""C interface of the UDP request header, for the UDP relay."""

from libc.stdint cimport uint8_t

from fastsocks.address._header cimport INCOMPLETE, UNKNOWN_TYPE, header_size
from fastsocks.address._reader cimport Reader, left, reader_over, take

cdef enum:
    # What read_header returns instead of a size.
    TRUNCATED = -1
    UNKNOWN_ADDRESS_TYPE = -2
    WRONG_NAME = -3

    # RSV and FRAG, which stand in front of the address.
    PREFIX_SIZE = 3


# What a datagram says; the pointers point into it, and the payload lies right behind the
# address.
cdef struct DatagramInfo:
    # FRAG: 0 for a whole datagram, otherwise for Reassembler.
    int fragment
    # ATYP ADDR PORT as sent, 7 to 259 bytes; not in one form, as `Address` is.
    const uint8_t* address
    Py_ssize_t address_size
    const uint8_t* payload
    Py_ssize_t payload_size


# Take a datagram apart. Returns the size of the payload, or one of the above.
cdef inline Py_ssize_t read_header(
    const uint8_t* datagram, Py_ssize_t size, DatagramInfo* info
) noexcept nogil:
    cdef Reader reader = reader_over(datagram, size)
    cdef const uint8_t* prefix = take(&reader, PREFIX_SIZE)
    if prefix == NULL:
        return TRUNCATED
    size = header_size(&reader)
    if size <= 0:
        if size == INCOMPLETE:
            return TRUNCATED
        return UNKNOWN_ADDRESS_TYPE if size == UNKNOWN_TYPE else WRONG_NAME
    info.fragment = prefix[2]
    info.address_size = size
    info.address = take(&reader, size)
    info.payload_size = left(&reader)
    info.payload = reader.pos
    return info.payload_size


# Write RSV and FRAG 0 into the PREFIX_SIZE bytes in front of an address that its payload
# follows; returns where the datagram begins. That is all it takes to build one.
cdef inline uint8_t* write_prefix(uint8_t* address) noexcept nogil:
    address -= PREFIX_SIZE
    address[0] = address[1] = address[2] = 0
    return address
