# cython: boundscheck=False, wraparound=False
"""The sliding window over packet IDs in Cython; the twin of ``_window_py.py``.

The bitmap is a ring of words, cleared one by one as the window moves on (RFC 6479), so that
no packet ever costs a shift of the whole.
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport uint64_t
from libc.string cimport memset

cdef enum:
    _LARGEST_WINDOW = 1 << 20


cdef class SlidingWindow:
    """Which packet IDs of one sender were seen; see the twin."""

    def __cinit__(self, Py_ssize_t size):
        cdef uint64_t words = 1
        if not 1 <= size <= _LARGEST_WINDOW:
            raise ValueError(f"a window of {size} packet IDs: it has 1 to {_LARGEST_WINDOW}")
        # The word of the highest ID may hold no other ID yet.
        while 64 * words - 63 < <uint64_t>size:
            words *= 2
        self._words = <uint64_t*>PyMem_Calloc(words, sizeof(uint64_t))
        if self._words is NULL:
            raise MemoryError
        self._mask = words - 1
        self._size = size

    def __dealloc__(self):
        PyMem_Free(self._words)

    # The one that Cython would make copies the pointer.
    def __reduce__(self):
        raise TypeError("a window can be neither copied nor pickled")

    def allows(self, uint64_t packet_id):
        """Return whether `packet_id` is new and not too old; remembers nothing."""
        return self.is_new(packet_id)

    def add(self, uint64_t packet_id):
        """Remember `packet_id`; returns False, and changes nothing, where it is not allowed."""
        if not self.is_new(packet_id):
            return False
        self.mark(packet_id)
        return True

    cdef bint is_new(self, uint64_t packet_id) noexcept nogil:
        if packet_id > self._highest:
            return packet_id >= self._least
        if packet_id < self._least or self._highest - packet_id >= self._size:
            return False
        return not self._words[packet_id >> 6 & self._mask] >> (packet_id & 63) & 1

    cdef void forget_below(self, uint64_t packet_id) noexcept nogil:
        self._least = max(self._least, packet_id)

    cdef void mark(self, uint64_t packet_id) noexcept nogil:
        cdef uint64_t word = packet_id >> 6, cleared
        cdef uint64_t* cell
        if packet_id > self._highest:
            cleared = self._highest >> 6
            if word - cleared > self._mask:
                memset(self._words, 0, (self._mask + 1) * sizeof(uint64_t))
            else:
                while cleared < word:
                    cleared += 1
                    self._words[cleared & self._mask] = 0
            self._highest = packet_id
        cell = &self._words[word & self._mask]
        cell[0] |= <uint64_t>1 << (packet_id & 63)
