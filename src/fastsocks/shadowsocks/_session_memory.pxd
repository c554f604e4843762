from cpython.buffer cimport Py_buffer
from libc.stdint cimport int64_t, uint64_t

from ._sessions cimport ServerSession


cdef class SessionMemory:
    # Held; keeps the memory there.
    cdef Py_buffer _view
    # The latest time, at the head of the memory.
    cdef uint64_t* _latest
    # The buckets, behind the header.
    cdef uint64_t* _words
    cdef int _bits

    # Notes a packet that opened and that the session's window lets pass. Returns 0 or a fault.
    cdef int admit(self, ServerSession session, uint64_t packet_id, int64_t now) noexcept
    cdef int _write(
        self, uint64_t* bucket, ServerSession session, uint64_t packet_id, int64_t now
    ) noexcept
