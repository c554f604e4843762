from cpython.buffer cimport Py_buffer
from libc.stdint cimport int64_t, uint8_t, uint64_t


cdef class SaltFilter:
    # Held; keeps the memory there.
    cdef Py_buffer _view
    # The latest time, at the head of the memory.
    cdef uint64_t* _latest
    # The buckets, behind the header.
    cdef uint64_t* _slots
    cdef int _bits
    # In seconds; -1 for none.
    cdef int64_t _retention

    # `now` is Unix time in seconds, of no account where there is no retention.
    # Lets the processor fetch what the others will look at.
    cdef int expect(self, uint64_t fingerprint) noexcept
    cdef bint holds(self, uint64_t fingerprint, int64_t now) noexcept
    # Returns 1, or 0 where it is remembered already.
    cdef int remember(self, uint64_t fingerprint, int64_t now) except -1
    cdef uint64_t* _bucket_of(self, uint64_t fingerprint) noexcept


# Notes `now` as the latest time; returns False where that lies too far back.
cdef bint pass_time(uint64_t* latest, int64_t now) noexcept nogil

cdef extern from * nogil:
    """
    #define fastsocks_load(place) __atomic_load_n(place, __ATOMIC_SEQ_CST)
    #define fastsocks_store(place, value) __atomic_store_n(place, value, __ATOMIC_SEQ_CST)
    #define fastsocks_swap(place, expected, value) \\
        __atomic_compare_exchange_n(place, expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
    """
    uint64_t fastsocks_load(const uint64_t* place)
    void fastsocks_store(uint64_t* place, uint64_t value)
    # Where `place` holds something else than `expected`, that is written to `expected`.
    bint fastsocks_swap(uint64_t* place, uint64_t* expected, uint64_t value)
