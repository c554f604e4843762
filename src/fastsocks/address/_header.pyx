"""The ATYP ADDR PORT header in Cython; the twin of ``_header_py.py``."""

from cpython.buffer cimport (
    PyBUF_SIMPLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from libc.string cimport memchr, memcmp

from ._reader cimport Reader, left, peek, reader_over, take

from fastsocks.errors import AddressError, AddressTypeError

from ._address import Address as _Address
from ._address import literal_wire as _literal_wire

cdef object Address = _Address
cdef object literal_wire = _literal_wire

# ATYP and the 96 bits before the IPv4 part of an IPv4-mapped IPv6 address.
cdef const unsigned char* MAPPED = b"\x04\0\0\0\0\0\0\0\0\0\0\xff\xff"


cdef Py_ssize_t header_size(const Reader* reader) noexcept nogil:
    cdef Reader ahead = reader[0]
    cdef int kind = peek(reader, 0)
    cdef int length
    cdef Py_ssize_t size
    if kind == 0x01:
        size = 7
    elif kind == 0x03:
        length = peek(reader, 1)
        if length < 0:
            return INCOMPLETE
        size = 4 + length
    elif kind == 0x04:
        size = 19
    elif kind < 0:
        return INCOMPLETE
    else:
        return UNKNOWN_TYPE
    if left(reader) < size:
        return INCOMPLETE
    if size == 4:
        return EMPTY_NAME
    if kind == 0x03:
        take(&ahead, 2)
        if memchr(take(&ahead, size - 4), 0, size - 4) != NULL:
            return NUL_IN_NAME
    return size


cdef object take_address(Reader* reader):
    cdef Py_ssize_t size = header_size(reader)
    cdef const unsigned char* header
    cdef bytes wire
    if size == INCOMPLETE:
        return None
    if size < 0:
        raise _fault(reader, size)
    header = take(reader, size)
    if header[0] == 0x04 and memcmp(header, MAPPED, 13) == 0:
        return Address(b"\x01" + header[13:19])
    wire = header[:size]
    # literal_wire begins with these two tests, and for most names they settle it. (A ":"
    # in length or port only costs the call.)
    if wire[0] == 0x03 and (c"0" <= wire[size - 3] <= c"9" or b":" in wire):
        literal = literal_wire(wire[2:-2])
        if literal is not None:
            wire = literal + wire[-2:]
    return Address(wire)


cdef object _fault(const Reader* reader, Py_ssize_t size):
    if size == UNKNOWN_TYPE:
        return AddressTypeError(f"unknown address type {peek(reader, 0):#04x}")
    if size == EMPTY_NAME:
        return AddressError("the host name is empty")
    return AddressError("the host name contains NUL")


def read_address(data, Py_ssize_t start=0):
    """Read one ATYP ADDR PORT header; see ``_header_py.read_address``."""
    cdef Py_buffer view
    cdef Reader reader
    if start < 0:
        raise ValueError("start is negative")
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        reader = reader_over(<const unsigned char*> view.buf, view.len)
        if take(&reader, start) == NULL:
            return None
        address = take_address(&reader)
        if address is None:
            return None
        return address, view.len - left(&reader)
    finally:
        PyBuffer_Release(&view)
