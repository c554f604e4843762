"""SOCKS5 datagrams in Cython; the twin of ``_datagrams_py.py``, which documents them."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t

from fastsocks.address._header cimport take_address
from fastsocks.address._reader cimport Reader, reader_over

from fastsocks.errors import TruncatedError


def read_datagram(data):
    """Read RSV FRAG ATYP DST.ADDR DST.PORT DATA."""
    cdef Py_buffer view
    cdef DatagramInfo info
    cdef Reader reader
    cdef Py_ssize_t size
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        size = read_header(<const uint8_t*>view.buf, view.len, &info)
        if size < 0:
            if size != TRUNCATED:
                # Reading its address again says what is wrong with it.
                reader = reader_over(<const uint8_t*>view.buf + 3, view.len - 3)
                take_address(&reader)
            raise TruncatedError("a datagram shorter than its header")
        reader = reader_over(info.address, info.address_size)
        return info.fragment, take_address(&reader), info.payload[:size]
    finally:
        PyBuffer_Release(&view)
