from libc.stdint cimport uint8_t, uint64_t


cdef class SaltFilter:
    cdef Py_ssize_t _half
    # Slots of one generation: a power of two, at least twice `_half`.
    cdef uint64_t _slots
    cdef int _shift
    cdef uint64_t _multiplier
    # Owned; made with the first salt. A slot is free where it is 0.
    cdef uint64_t* _current
    cdef uint64_t* _previous
    cdef Py_ssize_t _current_count
    cdef Py_ssize_t _previous_count

    # Of a salt the first 8 bytes count; both read no more than these.
    cdef bint holds(self, const uint8_t* salt) noexcept
    cdef int remember(self, const uint8_t* salt) except -1
    cdef int _turn(self) except -1
    cdef uint64_t* _place(self, uint64_t* generation, uint64_t fingerprint) noexcept
