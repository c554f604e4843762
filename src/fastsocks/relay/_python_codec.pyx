# cython: boundscheck=False, wraparound=False
"""Codecs of Python for the relay, which wants them on raw pointers."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from fastsocks.shadowsocks._framing cimport Codec


cdef class _AdaptedCodec(Codec):
    """Hands every piece to a :class:`fastsocks.relay.codec.RelayCodec`."""

    cdef object _codec
    cdef object _seal
    cdef object _open

    cdef bint cut_now(self) noexcept:
        return self._codec.incomplete

    cdef Py_ssize_t bound(self, Py_ssize_t size) noexcept:
        return size + ADAPTED_ROOM

    cdef Py_ssize_t send(
        self, const uint8_t* source, Py_ssize_t size, uint8_t* target
    ) except -1:
        return _put(bytes(self._seal(PyBytes_FromStringAndSize(<char*>source, size))), size, target)

    cdef Py_ssize_t receive_raw(self, uint8_t* data, Py_ssize_t size, uint8_t* target) except -1:
        return _put(bytes(self._open(PyBytes_FromStringAndSize(<char*>data, size))), size, target)


cdef Py_ssize_t _put(bytes result, Py_ssize_t size, uint8_t* target) except -1:
    cdef Py_ssize_t room = size + ADAPTED_ROOM
    if len(result) > room:
        raise RuntimeError("a codec that returns more than there is room for")
    memcpy(target, PyBytes_AS_STRING(result), len(result))
    return len(result)


cdef Codec adapted(object codec):
    """Return a codec that the relay can use: `codec` itself, if it is compiled.

    Raises AttributeError for what is no codec at all.
    """
    cdef _AdaptedCodec adapted
    if codec is None or isinstance(codec, Codec):
        return codec
    adapted = _AdaptedCodec()
    adapted._codec = codec
    adapted._seal = codec.seal
    adapted._open = codec.open
    return adapted
