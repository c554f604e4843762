from fastsocks.crypto._primitives cimport Aead
from fastsocks.shadowsocks._framing cimport Codec
from fastsocks.shadowsocks._session cimport SessionCiphers


cdef class ClientCodec(Codec):
    cdef readonly object _key
    # None of a method that is no AEAD.
    cdef SessionCiphers _ciphers
    cdef readonly bytes _salt
    cdef bint _strict
    # None for the clock of the system.
    cdef object _clock

    cdef int prepare(self, object key) except -1
    cdef Aead _aead(self)
    cdef bytes _request_2022(self, bytes wire, bytes payload, object padding)
    cdef object _begin_2022(self, bytes head)


# The codec of one connection, of any method.
cdef ClientCodec client_codec(object key)
