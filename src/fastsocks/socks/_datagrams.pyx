"""SOCKS5 datagrams in Cython; the twin of ``_datagrams_py.py``, which documents them."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t

from fastsocks.address._header cimport take_address
from fastsocks.address._reader cimport Reader, reader_over

from fastsocks.errors import AddressError, AddressTypeError, TruncatedError


def read_datagram(data):
    """Read RSV FRAG ATYP DST.ADDR DST.PORT DATA."""
    cdef Py_buffer view
    cdef DatagramInfo info
    cdef Reader reader
    cdef Py_ssize_t size
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        size = read_header(<const uint8_t*>view.buf, view.len, &info)
        if size == TRUNCATED:
            raise TruncatedError("a datagram shorter than its header")
        if size == UNKNOWN_ADDRESS_TYPE:
            raise AddressTypeError("a datagram with an unknown address type")
        if size < 0:
            raise AddressError("a datagram to a host name that is empty or contains NUL")
        reader = reader_over(info.address, info.address_size)
        return info.fragment, take_address(&reader), info.payload[:size]
    finally:
        PyBuffer_Release(&view)
