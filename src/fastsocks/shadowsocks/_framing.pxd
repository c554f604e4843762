from libc.stdint cimport uint8_t, uint64_t

from fastsocks.crypto._primitives cimport Aead, StreamCipher

# Writable bytes that Codec.receive_raw needs in front of its data: the longest incomplete
# record (0xFFFF and its tag), or the longest incomplete header.
cdef enum:
    HEADROOM = 0x10000 + 64
    LARGEST_NONCE = 24


cdef class Sealer:
    cdef void stand_alone(self) noexcept
    cdef Py_ssize_t bound(self, Py_ssize_t size) noexcept
    cdef Py_ssize_t seal_into(
        self, const uint8_t* source, Py_ssize_t size, uint8_t* target
    ) except -1


cdef class RecordSealer(Sealer):
    cdef Aead _aead
    cdef Py_ssize_t _limit
    cdef uint64_t _counter
    cdef bytes _preamble
    cdef object _opening
    cdef int _seal_one(
        self, const uint8_t* source, Py_ssize_t size, uint8_t* target
    ) noexcept nogil
    cdef Py_ssize_t _seal_records(
        self, const uint8_t* source, Py_ssize_t size, uint8_t* target, bint bare
    ) noexcept nogil


cdef class StreamSealer(Sealer):
    cdef StreamCipher _cipher
    cdef bytes _preamble


cdef class Opener:
    cdef void stand_alone(self) noexcept
    cdef bint halfway(self) noexcept
    cdef Py_ssize_t wants(self) noexcept
    cdef Py_ssize_t open_into(
        self, const uint8_t* source, Py_ssize_t size, uint8_t* target, Py_ssize_t* used
    ) except -1


cdef class RecordOpener(Opener):
    cdef Aead _aead
    cdef Py_ssize_t _limit
    cdef uint64_t _counter
    cdef Py_ssize_t _length
    cdef int _empty_records
    cdef int _open_one(
        self, const uint8_t* source, Py_ssize_t size, uint8_t* target
    ) noexcept nogil
    cdef Py_ssize_t _open_records(
        self, const uint8_t* source, Py_ssize_t size, uint8_t* target, Py_ssize_t* used
    ) noexcept nogil


cdef class StreamOpener(Opener):
    cdef StreamCipher _cipher


cdef class Codec:
    cdef public Sealer sealer
    cdef public Opener opener
    cdef public bint transparent
    # An incomplete header or record; owned here, freed as soon as it is complete.
    cdef uint8_t* _kept
    cdef Py_ssize_t _kept_size
    cdef Py_ssize_t _kept_room

    # For a flow that lasts: works in contexts of libcrypto that are not others', too.
    cdef void stand_alone(self) noexcept
    cdef bytes open_bytes(self, const uint8_t* ciphertext, Py_ssize_t size)
    cdef bint cut_now(self) noexcept
    cdef Py_ssize_t bound(self, Py_ssize_t size) noexcept
    cdef Py_ssize_t send(
        self, const uint8_t* source, Py_ssize_t size, uint8_t* target
    ) except -1
    cdef Py_ssize_t receive_raw(
        self, uint8_t* data, Py_ssize_t size, uint8_t* target
    ) except -1
    cdef int _keep(self, const uint8_t* data, Py_ssize_t size) except -1
    cdef void _drop_kept(self) noexcept
