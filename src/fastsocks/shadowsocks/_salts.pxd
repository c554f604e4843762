from cpython.buffer cimport Py_buffer
from libc.stdint cimport int64_t, uint8_t, uint64_t


cdef class SaltFilter:
    # Held; keeps the memory there.
    cdef Py_buffer _view
    # The buckets, behind the header.
    cdef uint64_t* _slots
    cdef uint64_t _multiplier
    cdef int _bits
    # In seconds; -1 for none.
    cdef int64_t _retention
    cdef object _clock

    # Of a salt the first 8 bytes count; all read no more than these.
    # Lets the processor fetch what the others will look at.
    cdef int expect(self, const uint8_t* salt) noexcept
    cdef bint holds(self, const uint8_t* salt) except -1
    # Returns 1, or 0 where the salt is remembered already.
    cdef int remember(self, const uint8_t* salt) except -1
    cdef uint64_t* _bucket_of(self, const uint8_t* salt, uint64_t* fingerprint) noexcept
    cdef int64_t _now(self) except -1
