# cython: boundscheck=False, wraparound=False
"""Codecs within codecs, for the relay. The twin of ``_layers_py.py``."""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from fastsocks.shadowsocks._framing cimport HEADROOM, Codec


cdef class LayeredCodec(Codec):
    """One Shadowsocks connection within another; see the twin."""

    cdef Codec _outer
    cdef Codec _inner
    cdef object _following

    def __init__(self, Codec outer not None, Codec inner=None, following=None):
        super().__init__()
        self._outer = outer
        self._inner = inner
        self._following = following

    def request(self, address, payload=b""):
        """Build the first write towards the target; see the twin."""
        if self._inner is not None:
            payload = self._inner.request(address, payload)
        if self._following is not None:
            return self._outer.request(self._following, payload)
        return self._outer.seal(payload)

    def seal(self, plaintext not None):
        """Turn `plaintext`, of any size, into what goes on the wire."""
        if self._inner is not None:
            plaintext = self._inner.seal(plaintext)
        return self._outer.seal(plaintext)

    def open(self, ciphertext not None):
        """Turn bytes from the wire into plaintext; see the twin."""
        opened = self._outer.open(ciphertext)
        return opened if self._inner is None else self._inner.open(opened)

    cdef void stand_alone(self) noexcept:
        self._outer.stand_alone()
        if self._inner is not None:
            self._inner.stand_alone()

    cdef bint cut_now(self) noexcept:
        return self._outer.cut_now() or (self._inner is not None and self._inner.cut_now())

    cdef Py_ssize_t bound(self, Py_ssize_t size) noexcept:
        if self._inner is not None:
            size = self._inner.bound(size)
        return self._outer.bound(size)

    cdef Py_ssize_t send(
        self, const uint8_t* source, Py_ssize_t size, uint8_t* target
    ) except -1:
        cdef uint8_t* between
        if self._inner is None:
            return _send(self._outer, source, size, target)
        between = <uint8_t*>PyMem_Malloc(self._inner.bound(size))
        if between is NULL:
            raise MemoryError
        try:
            size = _send(self._inner, source, size, between)
            return _send(self._outer, between, size, target)
        finally:
            PyMem_Free(between)

    cdef Py_ssize_t receive_raw(self, uint8_t* data, Py_ssize_t size, uint8_t* target) except -1:
        cdef uint8_t* between
        if self._inner is None:
            return _receive(self._outer, data, size, target)
        # In front what the inner codec needs there, behind it what the outer one has kept;
        # and each layer that it may consist of.
        between = <uint8_t*>PyMem_Malloc(HEADROOM + size + _kept_in(self._outer))
        if between is NULL:
            raise MemoryError
        try:
            size = _receive(self._outer, data, size, between + HEADROOM)
            return _receive(self._inner, between + HEADROOM, size, target)
        finally:
            PyMem_Free(between)


cdef Py_ssize_t _kept_in(Codec codec) noexcept:
    """Return how much more than it is given a codec may open."""
    cdef LayeredCodec layered
    if not isinstance(codec, LayeredCodec):
        return HEADROOM
    layered = <LayeredCodec>codec
    return _kept_in(layered._outer) + (0 if layered._inner is None else HEADROOM)


cdef Py_ssize_t _send(
    Codec codec, const uint8_t* source, Py_ssize_t size, uint8_t* target
) except -1:
    if codec.transparent:
        memcpy(target, source, size)
        return size
    return codec.send(source, size, target)


cdef Py_ssize_t _receive(
    Codec codec, uint8_t* data, Py_ssize_t size, uint8_t* target
) except -1:
    if codec.transparent:
        memcpy(target, data, size)
        return size
    return 0 if size == 0 else codec.receive_raw(data, size, target)
