# cython: boundscheck=False, wraparound=False
"""The salts of earlier connections and packets in Cython; the twin of ``_salts_py.py``.

Where that takes a lock this swaps one word, and begins anew if another process was faster.
"""

import time

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING
from libc.string cimport memcpy

from fastsocks.crypto._primitives cimport random_raw

from fastsocks.errors import ReplayError
from fastsocks.shadowsocks.salt_memory import bucket_bits, take_memory

cdef extern from * nogil:
    """
    #define fastsocks_load(place) __atomic_load_n(place, __ATOMIC_SEQ_CST)
    #define fastsocks_swap(place, expected, value) \\
        __atomic_compare_exchange_n(place, expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
    """
    uint64_t fastsocks_load(const uint64_t* place)
    # Where `place` holds something else than `expected`, that is written to `expected`.
    bint fastsocks_swap(uint64_t* place, uint64_t* expected, uint64_t value)
    void prefetch "__builtin_prefetch"(const void* address)

cdef enum:
    HEADER_SIZE = 64
    SLOTS = 64
    # In bytes.
    CACHE_LINE = 64
    FINGERPRINT_SIZE = 8
    TIME_WRAPS = 1 << 15
    TIME_SLACK = 30

cdef uint64_t FINGERPRINT = (<uint64_t>1 << 48) - 1


cdef class SaltFilter:
    """Remembers the salts or IVs of the last while in bounded memory; see the twin."""

    def __cinit__(
        self, capacity, retention=None, *, memory=None, lock=None, clock=time.monotonic
    ):
        cdef uint64_t* multiplier
        cdef uint64_t chosen = 0, free = 0
        if retention is not None and not 0 < retention <= 3600:
            raise ValueError(f"a retention of {retention} s, not of 1 to 3600")
        self._bits = bucket_bits(capacity)
        self._retention = -1 if retention is None else retention
        self._clock = clock
        PyObject_GetBuffer(take_memory(capacity, memory), &self._view, PyBUF_WRITABLE)
        multiplier = <uint64_t*>self._view.buf
        self._slots = <uint64_t*>(<uint8_t*>self._view.buf + HEADER_SIZE)
        # Secret, so that nobody can choose salts that crowd together in a bucket.
        if random_raw(<uint8_t*>&chosen, sizeof(chosen)):
            raise OSError("the kernel gives no random bytes")
        self._multiplier = chosen | 1
        if not fastsocks_swap(multiplier, &free, self._multiplier):
            self._multiplier = free

    def __dealloc__(self):
        PyBuffer_Release(&self._view)

    # The one that Cython would make copies the pointers.
    def __reduce__(self):
        raise TypeError("a filter can be neither copied nor pickled")

    def seen(self, bytes salt not None):
        """Return whether `salt`, of 8 bytes or more, is remembered; see the twin."""
        check_size(salt)
        return self.holds(<const uint8_t*>PyBytes_AS_STRING(salt))

    def add(self, bytes salt not None):
        """Remember `salt`, of 8 bytes or more; False if it is remembered already; see the twin."""
        check_size(salt)
        return self.remember(<const uint8_t*>PyBytes_AS_STRING(salt)) == 1

    cdef int expect(self, const uint8_t* salt) noexcept:
        cdef uint64_t fingerprint = 0
        cdef uint64_t* bucket = self._bucket_of(salt, &fingerprint)
        cdef int i
        for i in range(0, SLOTS, CACHE_LINE // 8):
            prefetch(bucket + i)
        return 0

    cdef bint holds(self, const uint8_t* salt) except -1:
        cdef uint64_t fingerprint = 0
        cdef uint64_t* bucket = self._bucket_of(salt, &fingerprint)
        return find(bucket, fingerprint, self._retention, self._now())

    cdef int remember(self, const uint8_t* salt) except -1:
        cdef uint64_t fingerprint = 0, first, oldest, slot, lap
        cdef uint64_t* bucket = self._bucket_of(salt, &fingerprint)
        cdef int64_t now
        cdef int i, place
        while True:
            now = self._now()
            first = oldest = fastsocks_load(bucket)
            place = 0
            for i in range(1, SLOTS):
                slot = fastsocks_load(bucket + i)
                if (slot ^ first) & 1:
                    place, oldest = i, slot
                    break
            if find(bucket, fingerprint, self._retention, now):
                return 0
            # Else the others came round meanwhile, and `oldest` may be a new one.
            if fastsocks_load(bucket) != first:
                continue
            if self._retention >= 0 and is_full(bucket, self._retention, now):
                raise ReplayError("too many requests within a minute to remember the salt of one")
            lap = (first & 1) ^ (place == 0)
            # Whoever adds to this bucket changes this slot first: if it is as it was, so are all.
            if fastsocks_swap(
                bucket + place, &oldest, fingerprint << 16 | <uint64_t>(now % TIME_WRAPS) << 1 | lap
            ):
                return 1

    cdef uint64_t* _bucket_of(self, const uint8_t* salt, uint64_t* fingerprint) noexcept:
        cdef uint64_t product = 0
        memcpy(&product, salt, FINGERPRINT_SIZE)
        product *= self._multiplier
        fingerprint[0] = product & FINGERPRINT
        if not fingerprint[0]:
            fingerprint[0] = 1
        return self._slots + SLOTS * (product >> 1 >> 63 - self._bits)

    cdef int64_t _now(self) except -1:
        return 0 if self._retention < 0 else int(self._clock())


cdef inline bint is_alive(uint64_t slot, int64_t retention, int64_t now) noexcept nogil:
    cdef int64_t age
    if retention < 0 or not slot:
        return slot != 0
    age = (now - <int64_t>(slot >> 1)) & (TIME_WRAPS - 1)
    return age <= retention or age >= TIME_WRAPS - TIME_SLACK


cdef inline bint find(
    const uint64_t* bucket, uint64_t fingerprint, int64_t retention, int64_t now
) noexcept nogil:
    cdef uint64_t slot
    cdef int i
    for i in range(SLOTS):
        slot = fastsocks_load(bucket + i)
        if slot >> 16 == fingerprint and is_alive(slot, retention, now):
            return True
    return False


cdef inline bint is_full(const uint64_t* bucket, int64_t retention, int64_t now) noexcept nogil:
    cdef int i
    for i in range(SLOTS):
        if not is_alive(fastsocks_load(bucket + i), retention, now):
            return False
    return True


cdef int check_size(bytes salt) except -1:
    if len(salt) < FINGERPRINT_SIZE:
        raise ValueError(f"a salt of {len(salt)} bytes, too short to be told from others")
    return 0
