# cython: boundscheck=False, wraparound=False
"""AEAD, stream cipher, block cipher and HKDF on libcrypto's EVP interface.

The twin of ``_primitives_py.py``; see there for parameters, sizes and errors. One extension
module of several files, since a libcrypto that is linked statically must not be there twice.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdlib cimport calloc, free
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from ._room cimport certain, will_read, will_write
from .libcrypto cimport *

from ..errors import MethodError, TagError
from ._messages import TAG_MISMATCH, missing, wrong_size


cdef int check_size(str what, Py_ssize_t found, Py_ssize_t wanted) except -1:
    if found != wanted:
        raise ValueError(wrong_size(what, found, wanted))
    return 0


include "_library.pxi"
include "_random.pxi"
include "_hkdf.pxi"
include "_keyed_hash.pxi"
include "_xchacha20.pxi"
include "_aead.pxi"
include "_stream.pxi"
include "_block.pxi"


def require(str cipher not None):
    """Return if this libcrypto has `cipher`; raises MethodError, which names the cure."""
    kind = AEADS.get(cipher) or STREAMS.get(cipher)
    if kind is None:
        raise MethodError(missing(cipher))
    fetch(cipher, kind[0])


def supports(str cipher not None):
    """Return whether this libcrypto has `cipher`."""
    try:
        require(cipher)
    except MethodError:
        return False
    return True
