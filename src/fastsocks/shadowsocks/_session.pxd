from libc.stdint cimport int64_t, uint8_t, uint64_t

from fastsocks.crypto._primitives cimport Aead
from fastsocks.shadowsocks._framing cimport RecordOpener, RecordSealer


cdef class SessionCiphers:
    cdef readonly object method
    # The master key or PSK.
    cdef readonly bytes key
    cdef readonly bint timed
    # In bytes.
    cdef readonly Py_ssize_t salt_size
    cdef Py_ssize_t _key_size
    cdef Py_ssize_t limit
    cdef int _empty_records
    # Gives others its cipher and the context they work in; is never used itself.
    cdef Aead _model

    # Keys the direction that a salt opens; `key` is None or that of a user.
    cdef Aead aead(self, const uint8_t* salt, bytes key)
    cdef RecordOpener opener(self, Aead aead, uint64_t counter, Py_ssize_t length)
    cdef RecordSealer sealer(self, Aead aead, uint64_t counter, bytes preamble)
    # A salt at random, or `chosen`.
    cdef bytes salt(self, bytes chosen)


# Those of a ClientKey or ServerKey, made once; None of a method that is no AEAD.
cdef SessionCiphers session_ciphers(object key)

# A salt or IV of `size` bytes at random, or `chosen`.
cdef bytes new_salt(object method, Py_ssize_t size, bytes chosen)

# Unix time in seconds, by `clock` or, where that is None, by the system's.
cdef int64_t unix_now(object clock) except? -1
