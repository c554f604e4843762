from libc.stdint cimport uint64_t


cdef class SlidingWindow:
    cdef uint64_t _size
    # All that was added is `_highest` or below. 0 and an empty bitmap: nothing was.
    cdef uint64_t _highest
    # What is below counts as seen.
    cdef uint64_t _least
    # Owned. A ring of words, a power of two of them: the bit of an ID is its lowest six bits,
    # its word the bits above, as many as `_mask` has.
    cdef uint64_t* _words
    cdef uint64_t _mask

    cdef bint is_new(self, uint64_t packet_id) noexcept nogil
    # Count all below `packet_id` as seen.
    cdef void forget_below(self, uint64_t packet_id) noexcept nogil
    # Only for an ID that is_new lets pass.
    cdef void mark(self, uint64_t packet_id) noexcept nogil
