cimport cython
from libc.stdint cimport int64_t, uint64_t

cdef extern from * nogil:
    """
    #define fastsocks_add(place, value) __atomic_fetch_add(place, value, __ATOMIC_SEQ_CST)
    """
    # Returns what was there before.
    uint64_t fastsocks_add(uint64_t* place, uint64_t value)


# What one user, or everybody, uses and may use; `up` is from the client.
@cython.final
cdef class Meter:
    cdef readonly object user
    # Which of the processes this is, from 0 on.
    cdef public Py_ssize_t worker
    # Of all cells; keeps their memory there.
    cdef readonly object words
    cdef readonly Py_ssize_t place
    # Those of this cell.
    cdef uint64_t* _cell
    cdef uint64_t _generation

    cpdef bint spend(self, Py_ssize_t size, bint up) noexcept nogil
    cpdef double pause(self, Py_ssize_t size, bint up, double now) noexcept nogil
    cpdef bint passes(self, Py_ssize_t size, bint up, double now) noexcept nogil
    cpdef Py_ssize_t piece(self, Py_ssize_t most, bint up) noexcept nogil
    cpdef bint limited(self) noexcept nogil
    cpdef bint begin(self) noexcept nogil
    cpdef void end(self) noexcept nogil
    cdef bint _has_quota(self, bint up) noexcept nogil
    cdef int64_t _take_turn(
        self, int kind, Py_ssize_t size, bint up, int64_t time
    ) noexcept nogil
