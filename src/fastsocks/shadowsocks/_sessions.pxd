from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint64_t

from fastsocks.crypto._primitives cimport Aead, BlockCipher

from ._packets cimport PacketSession
from ._window cimport SlidingWindow

cdef enum:
    ID_SIZE = 8
    WINDOW_SIZE = 1985


cdef class ServerSession(PacketSession):
    cdef uint8_t client_id[ID_SIZE]
    # Of our answers; there are none while `sealer` and `header_cipher` are None.
    cdef uint8_t server_id[ID_SIZE]
    # Of the next answer.
    cdef uint64_t next_id
    # The PSK, with users the uPSK.
    cdef bytes key
    # The 16-byte hash of the uPSK; None without users.
    cdef bytes identity
    # All three None for XChaCha20, which has neither subkeys nor separate headers.
    cdef Aead opener
    cdef Aead sealer
    cdef BlockCipher header_cipher
    cdef bint begun
    cdef SlidingWindow window
    # By which all codecs know it, and this one who has the window.
    cdef uint64_t fingerprint
    cdef uint64_t token
    # Where it was last in the memory of sessions; 0 before.
    cdef int column
    # Borrowed, of the table: the next one in its bucket, and its neighbours by last use.
    cdef PyObject* _next
    cdef PyObject* _older
    cdef PyObject* _newer


cdef class SessionTable:
    # Owns the sessions, so that the garbage collector sees them.
    cdef set _sessions
    cdef Py_ssize_t _limit
    cdef int64_t _retention
    # Owned array of chains of sessions.
    cdef PyObject** _buckets
    cdef uint64_t _bucket_count
    cdef int _shift
    cdef uint64_t _multiplier
    cdef PyObject* _oldest
    cdef PyObject* _newest

    # Borrowed; NULL where there is none.
    cdef PyObject* find(self, const uint8_t* client_id) noexcept
    # Whose client_id must not be there yet.
    cdef int add(self, ServerSession session, int64_t now) except -1
    # Note a packet.
    cdef void touch(self, PyObject* session, int64_t now) noexcept
    cdef Py_ssize_t expire(self, int64_t now) except -1
    cdef int forget(self, ServerSession session) except -1
    cdef int _remove(self, PyObject* session) except -1
    cdef int _grow(self) except -1
    cdef void _insert(self, PyObject* session) noexcept
    cdef void _append(self, PyObject* session) noexcept
    cdef void _unlink(self, PyObject* session) noexcept
    cdef uint64_t _bucket_of(self, const uint8_t* client_id) noexcept
