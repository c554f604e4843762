# cython: boundscheck=False, wraparound=False
"""Shadowsocks packets on libcrypto: what all methods share, and those without sessions.

The twin of ``_packets_py.py``. The methods on raw pointers serve the relay, which hands in
its own buffers; `seal` and `open` serve everyone else.
"""


from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport int64_t, uint8_t, uint16_t
from libc.string cimport memcpy, memmove, memset

from fastsocks.address._header cimport take_address
from fastsocks.address._reader cimport Reader, left, reader_over, take
from fastsocks.crypto._primitives cimport Aead, StreamCipher, hkdf_sha1_raw, random_raw

from ._salts cimport SaltFilter

from ..crypto._primitives import random_bytes
from .packet_faults import packet_error

cdef enum:
    _TAG_SIZE = 16
    _LARGEST_SALT = 32
    _LARGEST_ADDRESS = 259
    # IVs shorter than this repeat by chance too soon to be remembered (in bytes).
    _SHORTEST_SALT = 8
    _LARGEST_PADDING = 900

cdef bytes NO_PADDING = bytes(_LARGEST_PADDING)


cdef class PacketSession:
    """A client's session, as the server knows it; only methods of the 2022 edition have any."""


cdef class PacketCodec:
    """Packets of one key in both directions; see the twin."""

    # A copy would use nonces a second time.
    def __reduce__(self):
        raise TypeError("a codec can be neither copied nor pickled")

    cdef Py_ssize_t open_into(
        self,
        const uint8_t* packet,
        Py_ssize_t size,
        int64_t now,
        uint8_t* out,
        PacketInfo* info,
    ) except? RAISED:
        raise NotImplementedError

    cdef Py_ssize_t seal_into(
        self,
        PacketSession session,
        const uint8_t* address,
        Py_ssize_t address_size,
        uint8_t* payload,
        Py_ssize_t payload_size,
        int64_t now,
        uint8_t* out,
    ) except? RAISED:
        if self._salt_size and random_raw(out, self._salt_size):
            raise OSError("the kernel gives no random bytes")
        return self.seal_behind(
            session,
            address,
            address_size,
            payload,
            payload_size,
            now,
            out,
            <const uint8_t*>PyBytes_AS_STRING(NO_PADDING),
            self._choose_padding(address, address_size, payload_size),
        )

    cdef Py_ssize_t _choose_padding(
        self, const uint8_t* address, Py_ssize_t address_size, Py_ssize_t payload_size
    ) except -1:
        cdef Py_ssize_t room = self.padding_room(address, address_size, payload_size)
        cdef uint16_t number = 0
        if room <= 0:
            return 0
        if random_raw(<uint8_t*>&number, sizeof(number)):
            raise OSError("the kernel gives no random bytes")
        return 1 + (number * min(room, _LARGEST_PADDING) >> 16)

    cdef Py_ssize_t padding_room(
        self, const uint8_t* address, Py_ssize_t address_size, Py_ssize_t payload_size
    ) noexcept:
        return 0

    cdef Py_ssize_t seal_behind(
        self,
        PacketSession session,
        const uint8_t* address,
        Py_ssize_t address_size,
        uint8_t* payload,
        Py_ssize_t payload_size,
        int64_t now,
        uint8_t* out,
        const uint8_t* padding,
        Py_ssize_t padding_size,
    ) except? RAISED:
        raise NotImplementedError

    def expire(self, now):
        """Forget what is no longer to be kept; returns how many sessions that were."""
        return 0

    def open(self, const uint8_t[::1] packet not None, now):
        """Open a packet; returns its session or None, its address and its payload."""
        cdef Py_ssize_t size = packet.shape[0], opened
        cdef PacketInfo info
        cdef Reader reader
        cdef uint8_t* out
        if size == 0:
            raise packet_error(TRUNCATED)
        out = <uint8_t*>PyMem_Malloc(size)
        if out is NULL:
            raise MemoryError
        try:
            opened = self.open_into(&packet[0], size, int(now), out, &info)
            if opened < 0:
                raise packet_error(opened, info.skew if opened == WRONG_TIME else 0)
            session = None if info.session is NULL else <PacketSession>info.session
            reader = reader_over(info.address, info.address_size)
            return session, take_address(&reader), info.payload[:info.payload_size]
        finally:
            PyMem_Free(out)

    def seal(
        self,
        address not None,
        const uint8_t[::1] payload not None,
        now,
        PacketSession session=None,
        *,
        bytes salt=None,
        bytes padding=None,
    ):
        """Seal a payload; returns the packet."""
        cdef bytes wire = address.wire, out
        cdef const uint8_t* source = <const uint8_t*>PyBytes_AS_STRING(wire)
        cdef Py_ssize_t size = payload.shape[0], sealed
        cdef uint8_t* work
        cdef uint8_t* target
        check_arguments(wire, salt, self._salt_size, padding)
        out = PyBytes_FromStringAndSize(NULL, size + self.overhead)
        target = <uint8_t*>PyBytes_AS_STRING(out)
        work = <uint8_t*>PyMem_Malloc(SEAL_HEADROOM + size)
        if work is NULL:
            raise MemoryError
        try:
            if size:
                memcpy(work + SEAL_HEADROOM, &payload[0], size)
            if salt is None and padding is None:
                sealed = self.seal_into(
                    session, source, len(wire), work + SEAL_HEADROOM, size, int(now), target
                )
            else:
                if salt is None:
                    salt = random_bytes(self._salt_size)
                memcpy(target, PyBytes_AS_STRING(salt), self._salt_size)
                if padding is None:
                    padding = bytes(self._choose_padding(source, len(wire), size))
                sealed = self.seal_behind(
                    session, source, len(wire), work + SEAL_HEADROOM, size, int(now), target,
                    <const uint8_t*>PyBytes_AS_STRING(padding), len(padding),
                )
        finally:
            PyMem_Free(work)
        return out[:sealed]


# `overhead` and SEAL_HEADROOM count on it.
cdef int check_arguments(
    bytes wire, bytes salt, Py_ssize_t salt_size, bytes padding
) except -1:
    if len(wire) > _LARGEST_ADDRESS:
        raise ValueError(f"an address of {len(wire)} bytes, more than {_LARGEST_ADDRESS}")
    if salt is not None and len(salt) != salt_size:
        raise ValueError(f"a salt of {len(salt)} bytes where {salt_size} belong")
    if padding is not None and len(padding) > _LARGEST_PADDING:
        raise ValueError(f"{len(padding)} bytes of padding, more than {_LARGEST_PADDING}")
    return 0


cdef SaltFilter salt_filter(Py_ssize_t salt_size, Py_ssize_t capacity):
    return SaltFilter(capacity) if capacity and salt_size >= _SHORTEST_SALT else None


cdef StreamCipher rc4_md5(bytes key, bytes iv):
    import hashlib  # for this old method alone

    return StreamCipher("RC4", hashlib.md5(key + iv, usedforsecurity=False).digest(), b"", True)


cdef class PlainPackets(PacketCodec):
    """Method ``none``: the address header, then bytes as they are."""

    def __cinit__(self):
        self.overhead = _LARGEST_ADDRESS

    cdef Py_ssize_t open_into(
        self,
        const uint8_t* packet,
        Py_ssize_t size,
        int64_t now,
        uint8_t* out,
        PacketInfo* info,
    ) except? RAISED:
        cdef Reader reader = reader_over(out, size)
        memcpy(out, packet, size)
        info.session = NULL
        return read_contents(&reader, info)

    cdef Py_ssize_t seal_behind(
        self,
        PacketSession session,
        const uint8_t* address,
        Py_ssize_t address_size,
        uint8_t* payload,
        Py_ssize_t payload_size,
        int64_t now,
        uint8_t* out,
        const uint8_t* padding,
        Py_ssize_t padding_size,
    ) except? RAISED:
        memcpy(out, address, address_size)
        memcpy(out + address_size, payload, payload_size)
        return address_size + payload_size


cdef class StreamPackets(PacketCodec):
    """The stream ciphers: an IV, then the encrypted address header and payload.

    The parameters are those of the twin in ``_packets_py.py``.
    """

    def __cinit__(self, method not None, bytes key not None, Py_ssize_t salt_capacity=0):
        self._key = key
        self._salt_size = method.salt_size
        self.overhead = self._salt_size + _LARGEST_ADDRESS
        self._filter = salt_filter(self._salt_size, salt_capacity)
        if method.cipher != "RC4":
            self._opener = StreamCipher(method.cipher, key, bytes(self._salt_size), False)
            self._sealer = StreamCipher(method.cipher, key, bytes(self._salt_size), True)

    cdef Py_ssize_t open_into(
        self,
        const uint8_t* packet,
        Py_ssize_t size,
        int64_t now,
        uint8_t* out,
        PacketInfo* info,
    ) except? RAISED:
        cdef Reader reader = reader_over(packet, size)
        cdef const uint8_t* iv = take(&reader, self._salt_size)
        cdef StreamCipher cipher = self._opener
        cdef Py_ssize_t opened
        info.session = NULL
        if iv == NULL:
            return TRUNCATED
        if self._filter is not None and self._filter.holds(iv):
            return REPLAYED
        if cipher is None:
            cipher = rc4_md5(self._key, iv[:self._salt_size])
        elif cipher.restart_raw(iv):
            raise MemoryError("libcrypto could not set an IV")
        size = left(&reader)
        if cipher.update_raw(reader.pos, size, out):
            raise MemoryError("libcrypto could not decrypt")
        reader = reader_over(out, size)
        opened = read_contents(&reader, info)
        if opened >= 0 and self._filter is not None:
            self._filter.remember(iv)
        return opened

    cdef Py_ssize_t seal_behind(
        self,
        PacketSession session,
        const uint8_t* address,
        Py_ssize_t address_size,
        uint8_t* payload,
        Py_ssize_t payload_size,
        int64_t now,
        uint8_t* out,
        const uint8_t* padding,
        Py_ssize_t padding_size,
    ) except? RAISED:
        cdef StreamCipher cipher = self._sealer
        cdef Py_ssize_t size = address_size + payload_size
        if self._filter is not None:
            self._filter.remember(out)
        if cipher is None:
            cipher = rc4_md5(self._key, out[:self._salt_size])
        elif cipher.restart_raw(out):
            raise MemoryError("libcrypto could not set an IV")
        payload -= address_size
        memmove(payload, address, address_size)
        if cipher.update_raw(payload, size, out + self._salt_size):
            raise MemoryError("libcrypto could not encrypt")
        return self._salt_size + size


cdef class AeadPackets(PacketCodec):
    """SIP004: a salt, then address header and payload, sealed under that salt's subkey.

    The parameters are those of the twin in ``_packets_py.py``.
    """

    def __cinit__(self, method not None, bytes key not None, Py_ssize_t salt_capacity=0):
        self._key = key
        self._salt_size = method.salt_size
        self.overhead = self._salt_size + _LARGEST_ADDRESS + _TAG_SIZE
        self._opener = Aead(method.cipher, key)
        self._sealer = Aead(method.cipher, key)
        self._filter = salt_filter(self._salt_size, salt_capacity)

    cdef int _rekey(self, Aead aead, const uint8_t* salt) except -1:
        cdef uint8_t subkey[_LARGEST_SALT]
        cdef int result = hkdf_sha1_raw(
            <const uint8_t*>PyBytes_AS_STRING(self._key), self._salt_size,
            salt, self._salt_size, <const uint8_t*>b"ss-subkey", 9, subkey, self._salt_size,
        )
        if result == 0:
            result = aead.rekey_raw(subkey)
        if result:
            raise MemoryError("libcrypto could not derive a subkey")
        return 0

    cdef Py_ssize_t open_into(
        self,
        const uint8_t* packet,
        Py_ssize_t size,
        int64_t now,
        uint8_t* out,
        PacketInfo* info,
    ) except? RAISED:
        cdef Reader reader = reader_over(packet, size)
        cdef const uint8_t* salt = take(&reader, self._salt_size)
        cdef uint8_t nonce[24]
        info.session = NULL
        size = left(&reader)
        if salt == NULL or size < _TAG_SIZE:
            return TRUNCATED
        if self._filter is not None:
            self._filter.expect(salt)
            if self._filter.holds(salt):
                return REPLAYED
        self._rekey(self._opener, salt)
        memset(nonce, 0, sizeof(nonce))
        if self._opener.open_raw(nonce, reader.pos, size, out):
            return TAG_MISMATCH
        if self._filter is not None:
            self._filter.remember(salt)
        reader = reader_over(out, size - _TAG_SIZE)
        return read_contents(&reader, info)

    cdef Py_ssize_t seal_behind(
        self,
        PacketSession session,
        const uint8_t* address,
        Py_ssize_t address_size,
        uint8_t* payload,
        Py_ssize_t payload_size,
        int64_t now,
        uint8_t* out,
        const uint8_t* padding,
        Py_ssize_t padding_size,
    ) except? RAISED:
        cdef Py_ssize_t size = address_size + payload_size
        cdef uint8_t nonce[24]
        if self._filter is not None:
            self._filter.expect(out)
        self._rekey(self._sealer, out)
        memset(nonce, 0, sizeof(nonce))
        payload -= address_size
        memmove(payload, address, address_size)
        if self._sealer.seal_raw(nonce, payload, size, out + self._salt_size):
            raise MemoryError("libcrypto could not seal a packet")
        if self._filter is not None:
            self._filter.remember(out)
        return self._salt_size + size + _TAG_SIZE
