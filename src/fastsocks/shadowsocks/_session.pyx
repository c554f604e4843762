# cython: boundscheck=False, wraparound=False
"""The ciphers of one direction of one connection, keyed for it, in Cython.

What ``session_ciphers.py`` does for AEAD and the 2022 edition, without a Python frame.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.time cimport time as unix_time

from fastsocks.crypto._primitives cimport hkdf_sha1_raw, random_raw

from fastsocks.crypto.blake import blake3_derive
from fastsocks.shadowsocks.session_ciphers import AEAD_INFO
from fastsocks.shadowsocks.framing import EMPTY_RECORDS
from fastsocks.shadowsocks.headers import SESSION_CONTEXT

cdef enum:
    LARGEST_KEY = 32

cdef bytes _INFO = AEAD_INFO
cdef str _CONTEXT = SESSION_CONTEXT


cdef class SessionCiphers:
    """Makes the ciphers of the sessions of one key."""

    cdef Aead aead(self, const uint8_t* salt, bytes key):
        cdef uint8_t subkey[LARGEST_KEY]
        cdef bytes derived
        if key is None:
            key = self.key
        if self.timed:
            derived = blake3_derive(
                _CONTEXT,
                key + PyBytes_FromStringAndSize(<const char*>salt, self.salt_size),
                self._key_size,
            )
            return self._model.with_key(<const uint8_t*>PyBytes_AS_STRING(derived))
        if hkdf_sha1_raw(
            <const uint8_t*>PyBytes_AS_STRING(key),
            len(key),
            salt,
            self.salt_size,
            <const uint8_t*>PyBytes_AS_STRING(_INFO),
            len(_INFO),
            subkey,
            self._key_size,
        ):
            raise MemoryError("libcrypto failed")
        return self._model.with_key(subkey)

    cdef RecordOpener opener(self, Aead aead, uint64_t counter, Py_ssize_t length):
        cdef RecordOpener opener = RecordOpener.__new__(RecordOpener)
        opener._aead = aead
        opener._limit = self.limit
        opener._counter = counter
        opener._length = length
        opener._empty_records = self._empty_records
        return opener

    cdef RecordSealer sealer(self, Aead aead, uint64_t counter, bytes preamble):
        cdef RecordSealer sealer = RecordSealer.__new__(RecordSealer)
        sealer._aead = aead
        sealer._limit = self.limit
        sealer._counter = counter
        sealer._preamble = preamble
        return sealer

    cdef bytes salt(self, bytes chosen):
        return new_salt(self.method, self.salt_size, chosen)


cdef bytes new_salt(object method, Py_ssize_t size, bytes chosen):
    if chosen is not None:
        if len(chosen) != size:
            raise ValueError(f"a salt of {len(chosen)} bytes for {method.name}")
        return chosen
    chosen = PyBytes_FromStringAndSize(NULL, size)
    if random_raw(<uint8_t*>PyBytes_AS_STRING(chosen), size):
        raise OSError("the kernel gives no random bytes")
    return chosen


cdef SessionCiphers session_ciphers(object key):
    cdef SessionCiphers ciphers = key.ciphers
    if ciphers is not None:
        return ciphers
    method = key.method
    if not method.family.record_limit:
        return None
    ciphers = SessionCiphers.__new__(SessionCiphers)
    ciphers.method = method
    ciphers.key = key.key
    ciphers.timed = method.family.timed
    ciphers.salt_size = method.salt_size
    ciphers._key_size = method.key_size
    ciphers.limit = method.family.record_limit
    ciphers._empty_records = EMPTY_RECORDS if method.family.empty_records else 0
    ciphers._model = Aead(method.cipher, key.key)
    key.ciphers = ciphers
    return ciphers


cdef int64_t unix_now(object clock) except? -1:
    return unix_time(NULL) if clock is None else int(clock())
