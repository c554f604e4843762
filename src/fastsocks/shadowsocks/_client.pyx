# cython: boundscheck=False, wraparound=False
"""The client's end of a Shadowsocks connection over TCP, in Cython.

The twin of ``_client_py.py``, which says what it does.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy, memset

from fastsocks.crypto._primitives cimport TAG_SIZE, Aead
from fastsocks.shadowsocks._framing cimport LARGEST_NONCE, Codec
from fastsocks.shadowsocks._session cimport SessionCiphers, new_salt, session_ciphers, unix_now

from fastsocks.crypto._messages import TAG_MISMATCH
from fastsocks.errors import HeaderError, ReplayError, TagError
from fastsocks.shadowsocks import headers
from fastsocks.shadowsocks.session_ciphers import stream_opener, stream_sealer

cdef enum:
    FIXED_HEADER_SIZE = 11
    LARGEST_SALT = 32
    LARGEST_HEADER = 0xFFFF


cdef class ClientCodec(Codec):
    """What a client sends to a Shadowsocks server and makes of its answer; see the twin."""

    def __init__(self, key, *, strict=True, clock=None):
        self.prepare(key)
        self._strict = strict
        self._clock = clock

    cdef int prepare(self, object key) except -1:
        self._key = key
        self._strict = True
        self._salt = b""
        self._ciphers = session_ciphers(key)
        if self._ciphers is None:
            self.transparent = not key.method.cipher
        return 0

    def request(self, address, payload=b"", *, bytes salt=None, padding=None):
        """Build the first write; see the twin."""
        cdef bytes wire = address.wire, first
        if self.transparent:
            return wire + bytes(payload)
        first = payload if type(payload) is bytes else bytes(payload)
        if self._ciphers is None:
            self._salt = new_salt(self._key.method, self._key.method.salt_size, salt)
            self.sealer = stream_sealer(self._key.method, self._key.key, self._salt)
            return self.sealer.seal(wire + first)
        self._salt = self._ciphers.salt(salt)
        if self._ciphers.timed:
            return self._request_2022(wire, first, padding)
        self.sealer = self._ciphers.sealer(self._aead(), 0, self._salt)
        return self.sealer.seal(wire + first)

    cdef Aead _aead(self):
        return self._ciphers.aead(<const uint8_t*>PyBytes_AS_STRING(self._salt), None)

    cdef bytes _request_2022(self, bytes wire, bytes payload, object padding):
        cdef bytes variable, out
        cdef Py_ssize_t taken, rest, position
        cdef uint8_t fixed[FIXED_HEADER_SIZE]
        cdef uint8_t nonce[LARGEST_NONCE]
        cdef uint8_t* target
        cdef int64_t now = unix_now(self._clock)
        cdef int i
        cdef Aead aead
        cdef bytes identities = b""
        padding = headers.padding_of(payload, padding)
        variable = wire + (<Py_ssize_t>len(padding)).to_bytes(2, "big") + padding
        taken = min(len(payload), LARGEST_HEADER - len(variable))
        rest = len(payload) - taken
        variable += payload[:taken] if rest else payload
        fixed[0] = 0
        for i in range(8):
            fixed[1 + i] = <uint8_t>(now >> (56 - 8 * i) & 0xFF)
        fixed[9] = <uint8_t>(len(variable) >> 8)
        fixed[10] = <uint8_t>(len(variable) & 0xFF)
        if self._key.identity_keys:
            identities = headers.build_identity_headers(
                self._key.identity_keys, self._key.identity_hashes, self._salt
            )
        aead = self._aead()
        self.sealer = self._ciphers.sealer(aead, 2, None)
        position = len(self._salt) + len(identities)
        out = PyBytes_FromStringAndSize(
            NULL, position + FIXED_HEADER_SIZE + TAG_SIZE + len(variable) + TAG_SIZE
        )
        target = <uint8_t*>PyBytes_AS_STRING(out)
        memcpy(target, PyBytes_AS_STRING(self._salt), len(self._salt))
        memcpy(target + len(self._salt), PyBytes_AS_STRING(identities), len(identities))
        target += position
        memset(nonce, 0, LARGEST_NONCE)
        if aead.seal_raw(nonce, fixed, FIXED_HEADER_SIZE, target):
            raise MemoryError("libcrypto could not seal a header")
        nonce[0] = 1
        if aead.seal_raw(
            nonce,
            <const uint8_t*>PyBytes_AS_STRING(variable),
            len(variable),
            target + FIXED_HEADER_SIZE + TAG_SIZE,
        ):
            raise MemoryError("libcrypto could not seal a header")
        return out + self.sealer.seal(payload[taken:]) if rest else out

    def begin(self, bytes head not None):
        """Make the opener from the server's salt and header; see the twin."""
        cdef const uint8_t* start = <const uint8_t*>PyBytes_AS_STRING(head)
        cdef Py_ssize_t salt_size
        if self._ciphers is None:
            salt_size = self._key.method.salt_size
        else:
            salt_size = self._ciphers.salt_size
            if self._ciphers.timed:
                return self._begin_2022(head)
        if len(head) < salt_size:
            return None
        salt = head[:salt_size]
        if salt == self._salt:
            raise ReplayError("our own request, sent back to us")
        if self._ciphers is None:
            return stream_opener(self._key.method, self._key.key, salt), salt_size
        return self._ciphers.opener(self._ciphers.aead(start, None), 0, -1), salt_size

    cdef object _begin_2022(self, bytes head):
        cdef uint8_t header[FIXED_HEADER_SIZE + LARGEST_SALT]
        cdef uint8_t nonce[LARGEST_NONCE]
        cdef const uint8_t* start = <const uint8_t*>PyBytes_AS_STRING(head)
        cdef Py_ssize_t salt_size = self._ciphers.salt_size
        cdef Py_ssize_t sealed = FIXED_HEADER_SIZE + salt_size + TAG_SIZE
        cdef Aead aead
        if len(head) < salt_size + sealed:
            if self._strict:
                raise HeaderError("the response's salt and header came in pieces")
            return None
        aead = self._ciphers.aead(start, None)
        memset(nonce, 0, LARGEST_NONCE)
        if aead.open_raw(nonce, start + salt_size, sealed, header):
            raise TagError(TAG_MISMATCH)
        length = headers.read_response_header(
            PyBytes_FromStringAndSize(<const char*>header, sealed - TAG_SIZE),
            unix_now(self._clock),
            self._salt,
        )
        return self._ciphers.opener(aead, 1, length), salt_size + sealed


cdef ClientCodec client_codec(object key):
    cdef ClientCodec codec = ClientCodec.__new__(ClientCodec)
    codec.prepare(key)
    return codec
