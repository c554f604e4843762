# cython: boundscheck=False, wraparound=False
"""The salts of earlier connections and packets in Cython; the twin of ``_salts_py.py``.

Where that takes a lock this swaps one word, and begins anew if another process was faster.
"""

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer

from fastsocks.errors import ReplayError
from fastsocks.shadowsocks.salt_memory import (
    bucket_bits,
    clock_set_back,
    memory_size,
    take_memory,
)

cdef extern from * nogil:
    void prefetch "__builtin_prefetch"(const void* address)

cdef enum:
    HEADER_SIZE = 64
    SLOTS = 64
    # In bytes.
    CACHE_LINE = 64
    TIME_WRAPS = 1 << 15
    TIME_SLACK = 5

cdef uint64_t FINGERPRINT = (<uint64_t>1 << 48) - 1


cdef class SaltFilter:
    """Remembers the salts or IVs of the last while in bounded memory; see the twin."""

    def __cinit__(self, capacity, retention=None, *, memory=None, lock=None):
        if retention is not None and not 0 < retention <= 3600:
            raise ValueError(f"a retention of {retention} s, not of 1 to 3600")
        self._bits = bucket_bits(capacity)
        self._retention = -1 if retention is None else retention
        PyObject_GetBuffer(
            take_memory(memory_size(capacity), memory), &self._view, PyBUF_WRITABLE
        )
        self._latest = <uint64_t*>self._view.buf
        self._slots = <uint64_t*>(<uint8_t*>self._view.buf + HEADER_SIZE)

    def __dealloc__(self):
        PyBuffer_Release(&self._view)

    # The one that Cython would make copies the pointers.
    def __reduce__(self):
        raise TypeError("a filter can be neither copied nor pickled")

    def seen(self, uint64_t fingerprint, now=0):
        """Return whether a salt of that fingerprint is remembered; see the twin."""
        return self.holds(fingerprint, int(now))

    def add(self, uint64_t fingerprint, now=0):
        """Remember a salt; False if it is remembered already; see the twin."""
        return self.remember(fingerprint, int(now)) == 1

    cdef int expect(self, uint64_t fingerprint) noexcept:
        cdef uint64_t* bucket = self._bucket_of(fingerprint)
        cdef int i
        for i in range(0, SLOTS, CACHE_LINE // 8):
            prefetch(bucket + i)
        return 0

    cdef bint holds(self, uint64_t fingerprint, int64_t now) noexcept:
        return find(self._bucket_of(fingerprint), mark_of(fingerprint), self._retention, now)

    cdef int remember(self, uint64_t fingerprint, int64_t now) except -1:
        cdef uint64_t* bucket = self._bucket_of(fingerprint)
        cdef uint64_t first, oldest, slot, lap, stamp = 0
        cdef int i, place
        while True:
            first = oldest = fastsocks_load(bucket)
            place = 0
            for i in range(1, SLOTS):
                slot = fastsocks_load(bucket + i)
                if (slot ^ first) & 1:
                    place, oldest = i, slot
                    break
            if find(bucket, mark_of(fingerprint), self._retention, now):
                return 0
            # Else the others came round meanwhile, and `oldest` may be a new one.
            if fastsocks_load(bucket) != first:
                continue
            if self._retention >= 0:
                if not pass_time(self._latest, now):
                    raise clock_set_back(<int64_t>fastsocks_load(self._latest) - now)
                if is_full(bucket, self._retention + 2 * TIME_SLACK, now):
                    raise ReplayError(
                        "too many requests within a minute to remember the salt of one"
                    )
                stamp = <uint64_t>(now & TIME_WRAPS - 1) << 1
            lap = (first & 1) ^ (place == 0)
            # Whoever adds to this bucket changes this slot first: if it is as it was, so are all.
            if fastsocks_swap(bucket + place, &oldest, mark_of(fingerprint) << 16 | stamp | lap):
                return 1

    cdef uint64_t* _bucket_of(self, uint64_t fingerprint) noexcept:
        return self._slots + SLOTS * (fingerprint >> 1 >> 63 - self._bits)


def new_lock():
    """Make the lock of memory that processes share: none; see the twin."""
    return None


cdef inline uint64_t mark_of(uint64_t fingerprint) noexcept nogil:
    fingerprint &= FINGERPRINT
    return fingerprint if fingerprint else 1


cdef inline bint is_alive(uint64_t slot, int64_t retention, int64_t now) noexcept nogil:
    cdef int64_t age
    if retention < 0 or not slot:
        return slot != 0
    age = (now - <int64_t>(slot >> 1)) & (TIME_WRAPS - 1)
    return age <= retention or age >= TIME_WRAPS - TIME_SLACK


cdef inline bint find(
    const uint64_t* bucket, uint64_t mark, int64_t retention, int64_t now
) noexcept nogil:
    cdef uint64_t slot
    cdef int i
    for i in range(SLOTS):
        slot = fastsocks_load(bucket + i)
        if slot >> 16 == mark and is_alive(slot, retention, now):
            return True
    return False


cdef inline bint is_full(const uint64_t* bucket, int64_t retention, int64_t now) noexcept nogil:
    cdef int i
    for i in range(SLOTS):
        if not is_alive(fastsocks_load(bucket + i), retention, now):
            return False
    return True


cdef bint pass_time(uint64_t* latest, int64_t now) noexcept nogil:
    cdef uint64_t found = fastsocks_load(latest)
    if now < <int64_t>found - TIME_SLACK:
        return False
    while <int64_t>found < now and not fastsocks_swap(latest, &found, <uint64_t>now):
        pass
    return True
