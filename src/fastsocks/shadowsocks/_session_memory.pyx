# cython: boundscheck=False, wraparound=False
"""The highest packet of every session of the last minute, in Cython; the twin of
``_session_memory_py.py``.

Where that takes a lock of the whole this has one for each bucket, held for a few nanoseconds by a
process that is named in it: from one that has died it is taken.
"""

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t

from ._packets cimport CLOCK_SET_BACK, NO_ROOM, REPLAYED
from ._salts cimport fastsocks_load, fastsocks_store, fastsocks_swap, pass_time

from fastsocks.shadowsocks.salt_memory import take_memory
from fastsocks.shadowsocks.session_memory import bucket_bits, memory_size

cdef extern from *:
    """
    #include <errno.h>
    #include <pthread.h>
    #include <signal.h>
    #include <unistd.h>

    /* The process; to ask the kernel for each packet costs more than all the rest. */
    static unsigned long long fastsocks_process;

    static void fastsocks_forked(void)
    {
        fastsocks_process = (unsigned long long)getpid();
    }

    static void fastsocks_watch_forks(void)
    {
        fastsocks_forked();
        pthread_atfork(NULL, NULL, fastsocks_forked);
    }

    static int fastsocks_is_dead(unsigned long long process)
    {
        return kill((pid_t)process, 0) < 0 && errno == ESRCH;
    }
    """
    const uint64_t fastsocks_process
    void fastsocks_watch_forks()
    bint fastsocks_is_dead(uint64_t process) noexcept nogil

cdef enum:
    HEADER_SIZE = 64
    COLUMNS = 64
    # Rows of a bucket, by where they begin.
    HIGHEST = COLUMNS
    OWNER = 2 * COLUMNS
    TIME = 3 * COLUMNS
    # Words of a bucket.
    BUCKET = 4 * COLUMNS
    RETENTION = 62
    TIME_SLACK = 5
    # Looks at a lock, some microseconds, before whoever has it is taken for stopped.
    PATIENCE = 2000

fastsocks_watch_forks()


cdef class SessionMemory:
    """Remembers the sessions of the last minute in bounded memory; see the twin."""

    def __cinit__(self, capacity, *, memory=None, lock=None):
        self._bits = bucket_bits(capacity)
        PyObject_GetBuffer(
            take_memory(memory_size(capacity), memory), &self._view, PyBUF_WRITABLE
        )
        self._latest = <uint64_t*>self._view.buf
        self._words = <uint64_t*>(<uint8_t*>self._view.buf + HEADER_SIZE)

    def __dealloc__(self):
        PyBuffer_Release(&self._view)

    # The one that Cython would make copies the pointers.
    def __reduce__(self):
        raise TypeError("a memory of sessions can be neither copied nor pickled")

    cdef int admit(self, ServerSession session, uint64_t packet_id, int64_t now) noexcept:
        cdef uint64_t* bucket = self._words + BUCKET * (
            session.fingerprint >> 1 >> 63 - self._bits
        )
        cdef int fault
        if not lock_bucket(bucket):
            return NO_ROOM
        fault = self._write(bucket, session, packet_id, now)
        fastsocks_store(bucket, 0)
        return fault

    cdef int _write(
        self, uint64_t* bucket, ServerSession session, uint64_t packet_id, int64_t now
    ) noexcept:
        cdef uint64_t mark = session.fingerprint if session.fingerprint else 1
        cdef int column = session.column
        if bucket[column] != mark or not column:
            column = find(bucket, mark)
        if not column:
            if not pass_time(self._latest, now):
                return CLOCK_SET_BACK
            column = find_free(bucket, now)
            if not column:
                return NO_ROOM
            # A process can die between any two of these: the mark comes last.
            bucket[column] = 0
            bucket[HIGHEST + column] = packet_id
            bucket[OWNER + column] = session.token
            bucket[TIME + column] = <uint64_t>now
            fastsocks_store(bucket + column, mark)
        elif bucket[OWNER + column] != session.token:
            if packet_id <= bucket[HIGHEST + column]:
                return REPLAYED
            session.window.forget_below(bucket[HIGHEST + column] + 1)
            bucket[HIGHEST + column] = packet_id
            fastsocks_store(bucket + OWNER + column, session.token)
        bucket[HIGHEST + column] = max(bucket[HIGHEST + column], packet_id)
        bucket[TIME + column] = max(bucket[TIME + column], <uint64_t>now)
        session.column = column
        return 0


cdef inline bint lock_bucket(uint64_t* lock) noexcept nogil:
    cdef uint64_t found = 0
    cdef int looks = 0
    while looks < PATIENCE:
        found = 0
        if fastsocks_swap(lock, &found, fastsocks_process):
            return True
        looks += 1
    return (
        found != fastsocks_process
        and fastsocks_is_dead(found)
        and fastsocks_swap(lock, &found, fastsocks_process)
    )


cdef inline int find(const uint64_t* bucket, uint64_t mark) noexcept nogil:
    cdef int column
    for column in range(1, COLUMNS):
        if bucket[column] == mark:
            return column
    return 0


cdef inline int find_free(const uint64_t* bucket, int64_t now) noexcept nogil:
    cdef int column
    for column in range(1, COLUMNS):
        if not bucket[column]:
            return column
        if now - <int64_t>bucket[TIME + column] > RETENTION + TIME_SLACK:
            return column
    return 0
