"""What a user uses and may use, in Cython; the twin of ``_meter_py.py``.

Where that holds a lock, this adds to a word in one step, or begins anew if another was faster.
"""

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t, uint64_t

from fastsocks.shadowsocks._salts cimport fastsocks_load, fastsocks_swap

from fastsocks.relay.meter_cell import set_limit, set_quota

cdef enum:
    # See meter_cell.py.
    GENERATION = 0
    RELAYS = 1
    BYTES = 2
    FLAGS = 4
    LEFT = 5
    SPEED = 6
    BURST = 8
    STREAMS = 9
    DATAGRAMS = 11
    ACTIVE = 46

    HAS_QUOTA = 1
    UP_IS_FREE = 2

    PIECES_PER_SECOND = 50
    LEAST_PIECE = 1024

cdef double SECOND = 1e9


cdef class Meter:
    """Counts what one user, or everybody, uses, and says what they may use; see the twin."""

    def __cinit__(self, user, words, Py_ssize_t place, Py_ssize_t worker=0, lock=None):
        cdef Py_buffer buffer
        if not 0 <= place < len(words) - ACTIVE - worker:
            raise IndexError(f"no cell begins at word {place}")
        PyObject_GetBuffer(words, &buffer, PyBUF_WRITABLE)
        self._cell = <uint64_t*>buffer.buf + place
        # The view has the memory, too.
        PyBuffer_Release(&buffer)
        self.words = words
        self.place = place
        self.user = user
        self.worker = worker
        self._generation = self._cell[GENERATION]

    # The one that Cython would make copies the pointer.
    def __reduce__(self):
        raise TypeError("a meter can be neither copied nor pickled")

    cpdef bint spend(self, Py_ssize_t size, bint up) noexcept nogil:
        """Count payload; see the twin."""
        if self._has_quota(up):
            if <int64_t>fastsocks_add(self._cell + LEFT, -<uint64_t>size) <= 0:
                fastsocks_add(self._cell + LEFT, size)
                return False
        fastsocks_add(self._cell + BYTES + (not up), size)
        return True

    cpdef double pause(self, Py_ssize_t size, bint up, double now) noexcept nogil:
        """Have payload its turn under the speed limit; see the twin."""
        cdef int64_t time = <int64_t>(now * SECOND)
        cdef int64_t turn
        if not self._cell[SPEED + (not up)]:
            return 0.0
        turn = self._take_turn(STREAMS, size, up, time)
        return max(0.0, (turn - time) / SECOND)

    cpdef bint passes(self, Py_ssize_t size, bint up, double now) noexcept nogil:
        """Tell whether the speed limit lets a datagram pass; see the twin."""
        cdef int64_t time = <int64_t>(now * SECOND)
        if not self._cell[SPEED + (not up)]:
            return True
        if <int64_t>fastsocks_load(self._cell + DATAGRAMS + (not up)) > time:
            return False
        self._take_turn(DATAGRAMS, size, up, time)
        self._take_turn(STREAMS, size, up, time)
        return True

    cdef int64_t _take_turn(
        self, int kind, Py_ssize_t size, bint up, int64_t time
    ) noexcept nogil:
        cdef uint64_t* word = self._cell + kind + (not up)
        cdef uint64_t speed = self._cell[SPEED + (not up)]
        cdef uint64_t before = fastsocks_load(word)
        cdef int64_t earliest = time - <int64_t>self._cell[BURST], turn
        if not speed:
            return time
        while True:
            turn = max(<int64_t>before, earliest) + <int64_t>(size * SECOND / speed)
            if fastsocks_swap(word, &before, <uint64_t>turn):
                return turn

    cpdef Py_ssize_t piece(self, Py_ssize_t most, bint up) noexcept nogil:
        """Return how many bytes to read at a time; see the twin."""
        cdef uint64_t speed = self._cell[SPEED + (not up)]
        if speed:
            most = min(most, <Py_ssize_t>max(<uint64_t>LEAST_PIECE, speed // PIECES_PER_SECOND))
        if self._has_quota(up):
            most = min(most, max(<Py_ssize_t>LEAST_PIECE, <Py_ssize_t>self._cell[LEFT]))
        return most

    cdef inline bint _has_quota(self, bint up) noexcept nogil:
        cdef uint64_t flags = self._cell[FLAGS]
        return flags & HAS_QUOTA and not (up and flags & UP_IS_FREE)

    cpdef bint limited(self) noexcept nogil:
        """Tell whether there is a speed limit, either way."""
        return (self._cell[SPEED] | self._cell[SPEED + 1]) != 0

    cpdef bint begin(self) noexcept nogil:
        """Count a relay that begins; see the twin."""
        fastsocks_add(self._cell + ACTIVE + self.worker, 1)
        # Whoever removes the user changes this word before looking at that one.
        if fastsocks_load(self._cell + GENERATION) != self._generation:
            self.end()
            return False
        fastsocks_add(self._cell + RELAYS, 1)
        return True

    cpdef void end(self) noexcept nogil:
        """Take off a relay that has begun."""
        fastsocks_add(self._cell + ACTIVE + self.worker, -<uint64_t>1)

    @property
    def removed(self):
        """Whether the user was removed; see the twin."""
        return self._cell[GENERATION] != self._generation

    @property
    def quota(self):
        """Bytes that are left; see the twin."""
        if not self._cell[FLAGS] & HAS_QUOTA:
            return None
        return max(0, <int64_t>self._cell[LEFT])

    def exhausted(self, bint up):
        """Tell whether nothing is left for payload in that direction."""
        return self._has_quota(up) and <int64_t>self._cell[LEFT] <= 0

    def set_quota(self, size, *, bint up_is_free=False):
        """Let the user have so many bytes from now on; see the twin."""
        set_quota(self.words, self.place, size, up_is_free=up_is_free)

    def limit(self, up=None, down=None, double burst=0.25):
        """Limit the user's speed from now on; see the twin."""
        set_limit(self.words, self.place, up, down, burst)
