# cython: boundscheck=False, wraparound=False
"""Shadowsocks packets on libcrypto: what all methods share, and those without sessions.

The twin of ``_packets_py.py``. The methods on raw pointers serve the relay, which hands in
its own buffers; `seal` and `open` serve everyone else.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport uint8_t, uint16_t, uint64_t
from libc.string cimport memcpy, memset

from fastsocks.address._header cimport LARGEST_ADDRESS, take_address
from fastsocks.address._reader cimport Reader, left, reader_over, take
from fastsocks.crypto._primitives cimport TAG_SIZE, Aead, StreamCipher, hkdf_sha1_raw
from fastsocks.crypto._room cimport Room, room_of

from ._fingerprints cimport Fingerprints
from ._salts cimport SaltFilter

from .packet_faults import packet_error

cdef enum:
    _LARGEST_SALT = 32

cdef bytes NO_PADDING = bytes(LARGEST_PADDING)


cdef class PacketSession:
    """A client's session, as the server knows it; only methods of the 2022 edition have any."""


cdef class PacketCodec:
    """Packets of one key in both directions; see the twin."""

    # A copy would use nonces a second time.
    def __reduce__(self):
        raise TypeError("a codec can be neither copied nor pickled")

    cdef Py_ssize_t open_into(
        self, const uint8_t* wire, Py_ssize_t size, uint8_t* out, Packet* packet
    ) except? RAISED:
        raise NotImplementedError

    cdef Py_ssize_t seal_into(self, Packet* packet, Room out) except? RAISED:
        check_rooms(packet, out, self.overhead)
        fill_randomly(out.start, self._salt_size)
        self._choose_padding(packet)
        return self.seal_behind(packet, out.start)

    cdef Py_ssize_t seal_behind(self, Packet* packet, uint8_t* out) except? RAISED:
        raise NotImplementedError

    cpdef int forget(self, PacketSession session) except -1:
        return 0

    cdef int _choose_padding(self, Packet* packet) except -1:
        cdef Py_ssize_t room = self.padding_room(packet)
        cdef uint16_t number = 0
        packet.padding = <const uint8_t*>PyBytes_AS_STRING(NO_PADDING)
        packet.padding_size = 0
        if room > 0:
            fill_randomly(<uint8_t*>&number, sizeof(number))
            packet.padding_size = 1 + (number * min(room, LARGEST_PADDING) >> 16)
        return 0

    cdef Py_ssize_t padding_room(self, const Packet* packet) noexcept:
        return 0

    def expire(self, now):
        """Forget what is no longer to be kept; returns how many sessions that were."""
        return 0

    def open(self, const uint8_t[::1] packet not None, now):
        """Open a packet; returns its session or None, its address and its payload."""
        cdef Py_ssize_t size = packet.shape[0], opened
        cdef Packet found
        cdef Reader reader
        cdef uint8_t* out
        if size == 0:
            raise packet_error(TRUNCATED)
        found.now = int(now)
        out = <uint8_t*>PyMem_Malloc(size)
        if out is NULL:
            raise MemoryError
        try:
            found.room = room_of(out, size)
            opened = self.open_into(&packet[0], size, out, &found)
            if opened < 0:
                raise packet_error(opened, found.skew if opened == WRONG_TIME else 0)
            session = None if found.session is NULL else <PacketSession>found.session
            reader = reader_over(found.address, found.address_size)
            return session, take_address(&reader), found.payload[:found.payload_size]
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
        cdef Py_ssize_t size = payload.shape[0], sealed
        cdef Packet packet
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
            packet = packet_of(
                <const uint8_t*>PyBytes_AS_STRING(wire), len(wire),
                work + SEAL_HEADROOM, size, room_of(work, SEAL_HEADROOM + size), int(now),
            )
            if session is not None:
                packet.session = <PyObject*>session
            if salt is None:
                fill_randomly(target, self._salt_size)
            else:
                memcpy(target, PyBytes_AS_STRING(salt), self._salt_size)
            if padding is None:
                self._choose_padding(&packet)
            else:
                packet.padding = <const uint8_t*>PyBytes_AS_STRING(padding)
                packet.padding_size = len(padding)
            sealed = self.seal_behind(&packet, target)
        finally:
            PyMem_Free(work)
        return out[:sealed]


cdef int check_rooms(const Packet* packet, Room out, Py_ssize_t overhead) except -1:
    """Whether sealing keeps within what it may write: `out`, and the packet's room."""
    if not (
        packet.payload - packet.room.start >= SEAL_HEADROOM
        and packet.room.end - packet.payload >= packet.payload_size
    ):
        raise BufferError("a packet to be sealed without room in front of its payload")
    if out.end - out.start < packet.payload_size + overhead:
        raise BufferError("a packet to be sealed into too little room")
    return 0


# `overhead` and SEAL_HEADROOM count on it.
cdef int check_arguments(
    bytes wire, bytes salt, Py_ssize_t salt_size, bytes padding
) except -1:
    if len(wire) > LARGEST_ADDRESS:
        raise ValueError(f"an address of {len(wire)} bytes, more than {LARGEST_ADDRESS}")
    if salt is not None and len(salt) != salt_size:
        raise ValueError(f"a salt of {len(salt)} bytes where {salt_size} belong")
    if padding is not None and len(padding) > LARGEST_PADDING:
        raise ValueError(f"{len(padding)} bytes of padding, more than {LARGEST_PADDING}")
    return 0


cdef StreamCipher rc4_md5(bytes key, bytes iv):
    import hashlib  # for this old method alone

    return StreamCipher("RC4", hashlib.md5(key + iv, usedforsecurity=False).digest(), b"", True)


cdef class PlainPackets(PacketCodec):
    """Method ``none``: the address header, then bytes as they are."""

    def __cinit__(self):
        self.overhead = LARGEST_ADDRESS

    cdef Py_ssize_t open_into(
        self, const uint8_t* wire, Py_ssize_t size, uint8_t* out, Packet* packet
    ) except? RAISED:
        cdef Reader reader = reader_over(out, size)
        memcpy(out, wire, size)
        packet.session = NULL
        return read_contents(&reader, packet)

    cdef Py_ssize_t seal_behind(self, Packet* packet, uint8_t* out) except? RAISED:
        memcpy(out, packet.address, packet.address_size)
        memcpy(out + packet.address_size, packet.payload, packet.payload_size)
        return packet.address_size + packet.payload_size


cdef class SaltedPackets(PacketCodec):
    """Packets that begin with a salt or IV of their own; see the twin for the parameters."""

    def __cinit__(
        self,
        method not None,
        bytes key not None,
        SaltFilter salts=None,
        Fingerprints fingerprints=None,
    ):
        self._key = key
        self._salt_size = method.salt_size
        self.overhead = self._salt_size + LARGEST_ADDRESS
        self._filter = salts
        self._fingerprints = fingerprints


cdef class StreamPackets(SaltedPackets):
    """The stream ciphers: an IV, then the encrypted address header and payload."""

    def __cinit__(self, method, bytes key, *_):
        if method.cipher != "RC4":
            self._opener = StreamCipher(method.cipher, key, bytes(self._salt_size), False)
            self._sealer = StreamCipher(method.cipher, key, bytes(self._salt_size), True)

    cdef Py_ssize_t open_into(
        self, const uint8_t* wire, Py_ssize_t size, uint8_t* out, Packet* packet
    ) except? RAISED:
        cdef Reader reader = reader_over(wire, size)
        cdef const uint8_t* iv = take(&reader, self._salt_size)
        cdef StreamCipher cipher = self._opener
        cdef Py_ssize_t opened
        cdef uint64_t fingerprint = 0
        packet.session = NULL
        if iv == NULL:
            return TRUNCATED
        if self._filter is not None:
            self._fingerprints.of_raw(iv, self._salt_size, None, &fingerprint)
            if self._filter.holds(fingerprint, 0):
                return REPLAYED
        if cipher is None:
            cipher = rc4_md5(self._key, iv[:self._salt_size])
        elif cipher.restart_raw(iv):
            raise MemoryError("libcrypto could not set an IV")
        size = left(&reader)
        if cipher.update_raw(reader.pos, size, out):
            raise MemoryError("libcrypto could not decrypt")
        reader = reader_over(out, size)
        opened = read_contents(&reader, packet)
        if opened >= 0 and self._filter is not None:
            self._filter.remember(fingerprint, 0)
        return opened

    cdef Py_ssize_t seal_behind(self, Packet* packet, uint8_t* out) except? RAISED:
        cdef StreamCipher cipher = self._sealer
        cdef Py_ssize_t size = packet.address_size + packet.payload_size
        cdef uint64_t fingerprint = 0
        if self._filter is not None:
            self._fingerprints.of_raw(out, self._salt_size, None, &fingerprint)
            self._filter.remember(fingerprint, 0)
        if cipher is None:
            cipher = rc4_md5(self._key, out[:self._salt_size])
        elif cipher.restart_raw(out):
            raise MemoryError("libcrypto could not set an IV")
        if cipher.update_raw(put_address(packet), size, out + self._salt_size):
            raise MemoryError("libcrypto could not encrypt")
        return self._salt_size + size


cdef class AeadPackets(SaltedPackets):
    """SIP004: a salt, then address header and payload, sealed under that salt's subkey."""

    def __cinit__(self, method, bytes key, *_):
        self.overhead += TAG_SIZE
        self._aead = Aead(method.cipher, key)

    cdef int _rekey(self, const uint8_t* salt) except -1:
        cdef uint8_t subkey[_LARGEST_SALT]
        cdef int result = hkdf_sha1_raw(
            <const uint8_t*>PyBytes_AS_STRING(self._key), self._salt_size,
            salt, self._salt_size, <const uint8_t*>b"ss-subkey", 9, subkey, self._salt_size,
        )
        if result == 0:
            result = self._aead.rekey_raw(subkey)
        if result:
            raise MemoryError("libcrypto could not derive a subkey")
        return 0

    cdef Py_ssize_t open_into(
        self, const uint8_t* wire, Py_ssize_t size, uint8_t* out, Packet* packet
    ) except? RAISED:
        cdef Reader reader = reader_over(wire, size)
        cdef const uint8_t* salt = take(&reader, self._salt_size)
        cdef uint8_t nonce[24]
        cdef uint64_t fingerprint = 0
        cdef int fault
        packet.session = NULL
        if salt == NULL or left(&reader) < TAG_SIZE:
            return TRUNCATED
        if self._filter is not None:
            self._fingerprints.of_raw(salt, self._salt_size, None, &fingerprint)
            self._filter.expect(fingerprint)
            if self._filter.holds(fingerprint, 0):
                return REPLAYED
        self._rekey(salt)
        memset(nonce, 0, sizeof(nonce))
        fault = open_rest(&reader, self._aead, nonce, out)
        if fault:
            return fault
        if self._filter is not None:
            self._filter.remember(fingerprint, 0)
        return read_contents(&reader, packet)

    cdef Py_ssize_t seal_behind(self, Packet* packet, uint8_t* out) except? RAISED:
        cdef Py_ssize_t size = packet.address_size + packet.payload_size
        cdef uint8_t nonce[24]
        cdef uint64_t fingerprint = 0
        if self._filter is not None:
            self._fingerprints.of_raw(out, self._salt_size, None, &fingerprint)
            self._filter.expect(fingerprint)
        self._rekey(out)
        memset(nonce, 0, sizeof(nonce))
        if self._aead.seal_raw(nonce, put_address(packet), size, out + self._salt_size):
            raise MemoryError("libcrypto could not seal a packet")
        if self._filter is not None:
            self._filter.remember(fingerprint, 0)
        return self._salt_size + size + TAG_SIZE
