# cython: boundscheck=False, wraparound=False
"""The salts of the last packets in Cython; the twin of ``_salts_py.py``.

A salt is random, so its first 8 bytes tell it from all others: with 100,000 remembered, one
honest packet in 10**14 is refused by accident. That makes 8 bytes a salt where Python's sets
take 107, and no object for a packet.
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy, memset

from fastsocks.crypto._primitives cimport random_raw

cdef enum:
    _FINGERPRINT_SIZE = 8


cdef inline uint64_t fingerprint_of(const uint8_t* salt) noexcept:
    cdef uint64_t fingerprint = 0
    memcpy(&fingerprint, salt, _FINGERPRINT_SIZE)
    # 0 marks a free slot; so there is one pair of salts that count as the same.
    return fingerprint if fingerprint else 1


cdef class SaltFilter:
    """The last salts or IVs in bounded memory; see the twin.

    Memory: 2.1 MB at the default capacity, from the first salt on.
    """

    def __cinit__(self, Py_ssize_t capacity=100_000):
        if capacity < 2:
            raise ValueError("a filter holds at least 2 salts")
        if capacity > 1 << 32:
            raise ValueError("a filter holds at most 4294967296 salts")
        self._half = capacity // 2
        self._slots = 2
        self._shift = 63
        while self._slots < 2 * <uint64_t>self._half:
            self._slots *= 2
            self._shift -= 1
        # Secret, so that nobody can choose salts that crowd together in the table.
        if random_raw(<uint8_t*>&self._multiplier, sizeof(self._multiplier)):
            raise OSError("the kernel gives no random bytes")
        self._multiplier |= 1

    def __dealloc__(self):
        PyMem_Free(self._current)
        PyMem_Free(self._previous)

    # The one that Cython would make copies the pointers.
    def __reduce__(self):
        raise TypeError("a filter can be neither copied nor pickled")

    def __len__(self):
        """How many salts are remembered."""
        return self._current_count + self._previous_count

    def seen(self, const uint8_t[::1] salt not None):
        """Return whether `salt`, of 8 bytes or more, is remembered."""
        check_size(salt)
        return self.holds(&salt[0])

    def add(self, const uint8_t[::1] salt not None):
        """Remember `salt`, of 8 bytes or more."""
        check_size(salt)
        self.remember(&salt[0])

    cdef bint holds(self, const uint8_t* salt) noexcept:
        cdef uint64_t fingerprint = fingerprint_of(salt)
        if self._current_count and self._place(self._current, fingerprint)[0]:
            return True
        return self._previous_count > 0 and self._place(self._previous, fingerprint)[0] != 0

    cdef int remember(self, const uint8_t* salt) except -1:
        cdef uint64_t fingerprint = fingerprint_of(salt)
        cdef uint64_t* place
        if self._current is NULL:
            self._current = <uint64_t*>PyMem_Calloc(self._slots, sizeof(uint64_t))
            if self._current is NULL:
                raise MemoryError
        elif self._current_count >= self._half:
            self._turn()
        place = self._place(self._current, fingerprint)
        if place[0] == 0:
            place[0] = fingerprint
            self._current_count += 1
        return 0

    cdef int _turn(self) except -1:
        """Begin a new generation."""
        if self._previous is NULL:
            self._previous = <uint64_t*>PyMem_Calloc(self._slots, sizeof(uint64_t))
            if self._previous is NULL:
                raise MemoryError
        else:
            memset(self._previous, 0, self._slots * sizeof(uint64_t))
        self._current, self._previous = self._previous, self._current
        self._previous_count = self._current_count
        self._current_count = 0
        return 0

    # Where `fingerprint` is, or the free slot where it would go. At most half of a generation
    # is taken, so there is one.
    cdef uint64_t* _place(self, uint64_t* generation, uint64_t fingerprint) noexcept:
        cdef uint64_t slot = fingerprint * self._multiplier >> self._shift
        while generation[slot] and generation[slot] != fingerprint:
            slot = slot + 1 & self._slots - 1
        return generation + slot


cdef int check_size(const uint8_t[::1] salt) except -1:
    if salt.shape[0] < _FINGERPRINT_SIZE:
        raise ValueError(f"a salt of {salt.shape[0]} bytes, too short to be told from others")
    return 0
