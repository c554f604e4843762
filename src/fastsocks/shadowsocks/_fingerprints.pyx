# cython: boundscheck=False, wraparound=False
"""Fingerprints of what is remembered, in Cython; the twin of ``_fingerprints_py.py``."""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.string cimport memcpy

cdef enum:
    # Of a method's name, of a key, and of a salt or session ID; in bytes.
    LARGEST_NAME = 64
    LARGEST_KEY = 32
    LARGEST_DATA = 32


cdef class Fingerprints:
    """Makes the fingerprints of one key's salts and session IDs; see the twin."""

    def __cinit__(self, KeyedHash hash not None, str method not None, bytes key not None):
        self._hash = hash
        self._method = method.encode() + b"\0"
        self._key = key
        if len(self._method) > LARGEST_NAME:
            raise ValueError(f"a method's name of more than {LARGEST_NAME - 1} bytes")

    def of(self, bytes data not None, bytes key=None):
        """Return the fingerprint of a salt or session ID; see the twin."""
        cdef uint64_t found = 0
        self.of_raw(<const uint8_t*>PyBytes_AS_STRING(data), len(data), key, &found)
        return found

    cdef int of_raw(
        self, const uint8_t* data, Py_ssize_t size, bytes key, uint64_t* out
    ) except -1:
        cdef uint8_t message[LARGEST_NAME + LARGEST_KEY + LARGEST_DATA]
        cdef Py_ssize_t start = len(self._method), key_size
        if key is None:
            key = self._key
        key_size = len(key)
        if key_size > LARGEST_KEY or size > LARGEST_DATA:
            raise ValueError("more than 32 bytes")
        memcpy(message, PyBytes_AS_STRING(self._method), start)
        memcpy(message + start, PyBytes_AS_STRING(key), key_size)
        memcpy(message + start + key_size, data, size)
        if self._hash.hash64_raw(message, start + key_size + size, out):
            raise MemoryError("libcrypto failed")
        return 0
