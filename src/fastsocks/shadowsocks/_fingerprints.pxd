from libc.stdint cimport uint8_t, uint64_t

from fastsocks.crypto._primitives cimport KeyedHash


cdef class Fingerprints:
    cdef KeyedHash _hash
    # The method's name and a NUL.
    cdef bytes _method
    cdef bytes _key

    # Of `size` bytes, 32 at most, under `key`, or that of this object where it is None.
    cdef int of_raw(
        self, const uint8_t* data, Py_ssize_t size, bytes key, uint64_t* out
    ) except -1
