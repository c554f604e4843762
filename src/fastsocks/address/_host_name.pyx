# cython: boundscheck=False, wraparound=False
"""The one form of a host name in Cython; the twin of ``_host_name_py.py``."""

from cpython.bytes cimport PyBytes_AS_STRING
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.string cimport memcmp

from fastsocks.address._fields cimport Fields

from fastsocks.address._address import Address as _Address
from fastsocks.address._mapping import mapped as _mapped

cdef object Address = _Address
cdef object mapped = _mapped

cdef enum:
    NAME = 3
    LONGEST_NAME = 253
    LONGEST_LABEL = 63


cdef bint is_plain(const unsigned char* name, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i, start = 0
    cdef unsigned char letter
    if size > LONGEST_NAME:
        return False
    for i in range(size):
        letter = name[i]
        if letter == c".":
            if not _is_label(name + start, i - start):
                return False
            start = i + 1
        elif not (
            c"a" <= letter <= c"z" or c"0" <= letter <= c"9" or letter == c"-" or letter == c"_"
        ):
            return False
    return _is_label(name + start, size - start) and not c"0" <= name[start] <= c"9"


cdef inline bint _is_label(const unsigned char* label, Py_ssize_t size) noexcept nogil:
    return 0 < size <= LONGEST_LABEL and not (size >= 4 and memcmp(label, b"xn--", 4) == 0)


cpdef str host_name(str host):
    """Bring a host name into its one form; see the twin."""
    cdef Py_ssize_t size = 0
    cdef const char* name
    if host.isascii():
        name = PyUnicode_AsUTF8AndSize(host, &size)
        if is_plain(<const unsigned char*>name, size):
            return host
    return mapped(host)


cpdef object canonical(object address):
    """Bring the host name of an address into its one form; see the twin."""
    cdef bytes wire = (<Fields?>address).wire
    cdef const unsigned char* start = <const unsigned char*>PyBytes_AS_STRING(wire)
    if start[0] != NAME or is_plain(start + 2, len(wire) - 4):
        return address
    host = address.host
    name = host_name(host)
    return address if name is host else Address.of(name, address.port)
