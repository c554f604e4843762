# cython: boundscheck=False, wraparound=False
"""The server's end of a Shadowsocks connection over TCP, in Cython.

The twin of ``_server_py.py``, which says what it does.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset

from fastsocks.address._header cimport take_address
from fastsocks.address._reader cimport Reader, left, reader_over, take
from fastsocks.crypto._primitives cimport TAG_SIZE, Aead
from fastsocks.inbound._inbound cimport Inbound, Inbounds
from fastsocks.shadowsocks._fingerprints cimport Fingerprints
from fastsocks.shadowsocks._framing cimport LARGEST_NONCE, Codec, RecordSealer
from fastsocks.shadowsocks._salts cimport SaltFilter
from fastsocks.shadowsocks._session cimport SessionCiphers, new_salt, session_ciphers, unix_now

from fastsocks.crypto._messages import TAG_MISMATCH
from fastsocks.errors import HeaderError, TagError, UserError
from fastsocks.request import Request
from fastsocks.shadowsocks import headers
from fastsocks.shadowsocks.guard import replay
from fastsocks.shadowsocks.session_ciphers import stream_opener, stream_sealer

cdef enum:
    FIXED_HEADER_SIZE = 11
    IDENTITY_HEADER_SIZE = 16

# A named tuple's own __new__ is a function of Python.
cdef object _new_tuple = tuple.__new__


cdef class ServerCodec(Codec):
    """What a Shadowsocks server makes of a client's connection, and answers; see the twin."""

    cdef readonly object _key
    cdef readonly object _guard
    # None of a method that is no AEAD.
    cdef SessionCiphers _ciphers
    # None where salts are not remembered.
    cdef SaltFilter _filter
    cdef Fingerprints _fingerprints
    cdef bytes _answer_salt
    cdef bytes _received
    cdef bytes _salt

    silent = True
    #: See the twin.
    cuts_answers = False
    tells_address = False
    short_replies = False
    #: It waits for nobody but its client.
    pending = None
    # Whose key it is, once that is proved; None where there are no users.
    cdef readonly object user

    def __init__(self, key, guard, *, answer_salt=None):
        super().__init__()
        self.prepare(key, guard)
        self._answer_salt = answer_salt

    cdef int prepare(self, object key, object guard) except -1:
        self._key = key
        self._guard = guard
        self._ciphers = session_ciphers(key)
        self._filter = guard.filter
        self._fingerprints = guard.fingerprints
        self._received = b""
        return 0

    @property
    def codec(self):
        """The codec of the relay: this object."""
        return self

    def take_outgoing(self):
        """Nothing; see the twin."""
        return b""

    def connected(self, bound):
        """Nothing; see the twin."""
        return b""

    def failed(self, error):
        """Nothing but a cut; see the twin."""
        return self.cut_answer()

    cpdef object receive(self, object data):
        """Take in bytes of the client; see the twin."""
        raise NotImplementedError

    cpdef bytes cut_answer(self):
        """Return bytes with which the answer ends inside a record; see the twin."""
        cdef bytes record
        if self.sealer is None or self._ciphers is None:
            return b""
        record = self.sealer.seal(b"\0")
        return record[:len(record) - 1]

    cdef bytes gathered(self, object data):
        """Return `data` behind what was received before."""
        if not self._received and type(data) is bytes:
            return data
        data = self._received + bytes(data)
        self._received = b""
        return data

    cdef object request_in(self, bytes plaintext):
        """Return the request, or None while its address is incomplete."""
        cdef Reader reader
        plaintext = self.gathered(plaintext)
        reader = reader_over(<const uint8_t*>PyBytes_AS_STRING(plaintext), len(plaintext))
        address = take_address(&reader)
        if address is None:
            self._received = plaintext
            return None
        return new_request(address, reader.pos, left(&reader), None)


cdef object new_request(object address, const uint8_t* payload, Py_ssize_t size, object user):
    return _new_tuple(
        Request, (address, PyBytes_FromStringAndSize(<const char*>payload, size), user, 1, False, 0)
    )


cdef class PlainServerCodec(ServerCodec):
    """Method ``none``: the address header, then bytes as they are."""

    cdef int prepare(self, object key, object guard) except -1:
        self.transparent = True
        return ServerCodec.prepare(self, key, guard)

    cpdef object receive(self, object data):
        """Take in bytes of the client; see the twin."""
        return self.request_in(bytes(data))


cdef class StreamServerCodec(ServerCodec):
    """The stream ciphers, which cannot tell a wrong key but by the address header."""

    cpdef object receive(self, object data):
        """Take in bytes of the client; see the twin."""
        cdef Py_ssize_t salt_size
        cdef bytes wire, salt
        method, key = self._key.method, self._key.key
        if self.opener is None:
            wire = self.gathered(data)
            salt_size = method.salt_size
            if len(wire) < salt_size:
                self._received = wire
                return None
            self._salt, data = wire[:salt_size], wire[salt_size:]
            self._guard.check(self._salt)
            self.opener = stream_opener(method, key, self._salt)
        request = self.request_in(self.open(data))
        if request is not None:
            self._guard.add(self._salt)
            salt = new_salt(method, len(self._salt), self._answer_salt)
            # Without a type byte our answer looks like a request, which it must not open.
            self._guard.add(salt)
            self.sealer = stream_sealer(method, key, salt)
        return request


cdef class AeadServerCodec(ServerCodec):
    """SIP004: a salt, then sealed records, the address header at their head."""

    cuts_answers = True
    # Of the client's salt.
    cdef uint64_t _fingerprint

    cpdef object receive(self, object data):
        """Take in bytes of the client; see the twin."""
        cdef bytes wire, plaintext, salt
        cdef const uint8_t* start
        cdef Py_ssize_t size, salt_size = self._ciphers.salt_size
        if self.opener is None:
            wire = self.gathered(data)
            start = <const uint8_t*>PyBytes_AS_STRING(wire)
            size = len(wire)
            if size < salt_size:
                self._received = wire
                return None
            if self._filter is not None:
                self._fingerprints.of_raw(start, salt_size, None, &self._fingerprint)
                if self._filter.holds(self._fingerprint, 0):
                    raise replay()
            self.opener = self._ciphers.opener(self._ciphers.aead(start, None), 0, -1)
            plaintext = self.open_bytes(start + salt_size, size - salt_size)
        else:
            plaintext = self.open(data)
        if plaintext and not self._received:
            self.remember(self._fingerprint)
        request = self.request_in(plaintext)
        if request is None:
            return None
        salt = self._ciphers.salt(self._answer_salt)
        # As of a stream cipher.
        self._fingerprints.of_raw(
            <const uint8_t*>PyBytes_AS_STRING(salt), salt_size, None, &self._fingerprint
        )
        self.remember(self._fingerprint)
        self.sealer = self._ciphers.sealer(
            self._ciphers.aead(<const uint8_t*>PyBytes_AS_STRING(salt), None), 0, salt
        )
        return request

    cdef int remember(self, uint64_t fingerprint) except -1:
        if self._filter is not None and not self._filter.remember(fingerprint, 0):
            raise replay()
        return 0


cdef class AnswerSealer(RecordSealer):
    """Puts the header of an answer before its first record, whose length stands in it."""

    # None once it has been sealed.
    cdef bytes _request_salt
    cdef bytes _salt
    cdef object _clock

    cdef Py_ssize_t seal_into(
        self, const uint8_t* source, Py_ssize_t size, uint8_t* target
    ) except -1:
        cdef uint8_t nonce[LARGEST_NONCE]
        cdef bytes header
        cdef Py_ssize_t start, sealed
        if size == 0 or self._request_salt is None:
            return RecordSealer.seal_into(self, source, size, target)
        header = headers.build_response_header(
            unix_now(self._clock), self._request_salt, min(size, self._limit)
        )
        start = len(self._salt)
        memcpy(target, PyBytes_AS_STRING(self._salt), start)
        memset(nonce, 0, LARGEST_NONCE)
        if self._aead.seal_raw(
            nonce, <const uint8_t*>PyBytes_AS_STRING(header), len(header), target + start
        ):
            raise MemoryError("libcrypto could not seal a header")
        start += len(header) + TAG_SIZE
        self._request_salt = None
        sealed = self._seal_records(source, size, target + start, True)
        if sealed < 0:
            raise MemoryError("libcrypto could not seal a record")
        return start + sealed


cdef class Aead2022ServerCodec(ServerCodec):
    """SIP022 and SIP023: salt, identity header, fixed header, variable header, records."""

    cuts_answers = True
    cdef Aead _aead
    cdef bint _strict
    # None for the clock of the system.
    cdef object _clock
    # Where it is that of a user.
    cdef bytes _session_key
    cdef Py_ssize_t _variable_size
    # Behind the fixed header, while that is incomplete: bytes that may come one by one, which
    # join the others without having those copied.
    cdef bytearray _pieces

    def __init__(self, key, guard, *, answer_salt=None, strict=True, clock=None):
        super().__init__(key, guard, answer_salt=answer_salt)
        self._strict = strict
        self._clock = clock

    cdef int prepare(self, object key, object guard) except -1:
        self._strict = True
        return ServerCodec.prepare(self, key, guard)

    cpdef object receive(self, object data):
        """Take in bytes of the client; see the twin."""
        cdef uint8_t nonce[LARGEST_NONCE]
        cdef bytes wire, header, plaintext, salt
        cdef const uint8_t* start
        cdef Py_ssize_t size, used = 0, header_size
        cdef Reader reader
        if self._pieces is None:
            wire = self.gathered(data)
        else:
            self._pieces += data
            if len(self._pieces) < self._variable_size + TAG_SIZE:
                return None
            wire = bytes(self._pieces)
            self._pieces = None
        start = <const uint8_t*>PyBytes_AS_STRING(wire)
        size = len(wire)
        if self._aead is None:
            used = self.open_fixed_header(start, size)
            if used == 0:
                self._received = wire
                return None
        header_size = self._variable_size + TAG_SIZE
        if size - used < header_size:
            self._pieces = bytearray(wire[used:])
            return None
        memset(nonce, 0, LARGEST_NONCE)
        nonce[0] = 1
        header = PyBytes_FromStringAndSize(NULL, self._variable_size)
        if self._aead.open_raw(
            nonce, start + used, header_size, <uint8_t*>PyBytes_AS_STRING(header)
        ):
            raise TagError(TAG_MISMATCH)
        used += header_size
        reader = reader_over(<const uint8_t*>PyBytes_AS_STRING(header), self._variable_size)
        address = _take_variable_header(&reader)
        self.opener = self._ciphers.opener(self._aead, 2, -1)
        salt = self._ciphers.salt(self._answer_salt)
        self.sealer = self.answer_sealer(salt)
        plaintext = self.open_bytes(start + used, size - used)
        if plaintext:
            plaintext = PyBytes_FromStringAndSize(<const char*>reader.pos, left(&reader)) + plaintext
            return _new_tuple(Request, (address, plaintext, self.user, 1, False, 0))
        return new_request(address, reader.pos, left(&reader), self.user)

    cdef AnswerSealer answer_sealer(self, bytes salt):
        cdef AnswerSealer sealer = AnswerSealer.__new__(AnswerSealer)
        sealer._aead = self._ciphers.aead(
            <const uint8_t*>PyBytes_AS_STRING(salt), self._session_key
        )
        sealer._limit = self._ciphers.limit
        sealer._counter = 1
        sealer._request_salt = self._salt
        sealer._salt = salt
        sealer._clock = self._clock
        return sealer

    cdef Py_ssize_t open_fixed_header(self, const uint8_t* start, Py_ssize_t size) except -1:
        """Open and check it; returns what it took of `start`, 0 while it is incomplete."""
        cdef uint8_t nonce[LARGEST_NONCE]
        cdef uint8_t fixed[FIXED_HEADER_SIZE]
        cdef Py_ssize_t salt_size = self._ciphers.salt_size, head = salt_size
        cdef Aead aead
        cdef bytes salt
        cdef object name = None
        cdef int64_t now
        cdef uint64_t fingerprint = 0
        users = self._key.users
        if users is not None:
            head += IDENTITY_HEADER_SIZE
        if size < head + FIXED_HEADER_SIZE + TAG_SIZE:
            if self._strict:
                raise HeaderError("the request's salt and header came in pieces")
            return 0
        salt = PyBytes_FromStringAndSize(<const char*>start, salt_size)
        if users is not None:
            user = users.by_hash.get(
                headers.open_identity_header(
                    self._ciphers.key,
                    salt,
                    PyBytes_FromStringAndSize(<const char*>start + salt_size, IDENTITY_HEADER_SIZE),
                )
            )
            if user is None:
                raise UserError("the identity header names no user of this server")
            self._session_key, name = user.key, user.name
        aead = self._ciphers.aead(start, self._session_key)
        memset(nonce, 0, LARGEST_NONCE)
        if aead.open_raw(nonce, start + head, FIXED_HEADER_SIZE + TAG_SIZE, fixed):
            raise TagError(TAG_MISMATCH)
        self.user = name
        now = unix_now(self._clock)
        self._variable_size = headers.read_fixed_request_header(
            PyBytes_FromStringAndSize(<const char*>fixed, FIXED_HEADER_SIZE), now
        )
        self._fingerprints.of_raw(start, salt_size, self._session_key, &fingerprint)
        if not self._filter.remember(fingerprint, now):
            raise replay()
        self._salt = salt
        self._aead = aead
        return head + FIXED_HEADER_SIZE + TAG_SIZE


cdef object _take_variable_header(Reader* reader):
    """Return the address; the payload is left."""
    cdef const uint8_t* size
    cdef Py_ssize_t padding
    address = take_address(reader)
    size = take(reader, 2)
    if address is None or size == NULL:
        raise HeaderError("the address reaches past its header")
    padding = size[0] << 8 | size[1]
    if take(reader, padding) == NULL:
        raise HeaderError("the padding reaches past its header")
    if not padding and not left(reader):
        raise HeaderError("a header with neither payload nor padding")
    return address


cdef ServerCodec _codec_of(object key, object guard):
    cdef SessionCiphers ciphers = session_ciphers(key)
    cdef ServerCodec codec
    if ciphers is None:
        if key.method.cipher:
            codec = StreamServerCodec.__new__(StreamServerCodec)
        else:
            codec = PlainServerCodec.__new__(PlainServerCodec)
    elif ciphers.timed:
        codec = Aead2022ServerCodec.__new__(Aead2022ServerCodec)
    else:
        codec = AeadServerCodec.__new__(AeadServerCodec)
    codec.prepare(key, guard)
    return codec


def server_codec(key, guard):
    """Make the codec of one accepted connection; see the twin."""
    return _codec_of(key, guard)


cdef class _ServerInbound(Inbound):
    """A codec as the Inbound that it is, which cannot be its base class, too."""

    cdef ServerCodec _codec

    cpdef object receive(self, object data):
        return self._codec.receive(data)

    cpdef bytes failed(self, object error):
        return self._codec.cut_answer()

    cdef object relayed_by(self):
        return self._codec

    cdef object logged_in(self):
        return self._codec.user


cdef class ServerInbounds(Inbounds):
    """Makes the codecs of a server, which are Inbounds; see the twin."""

    cdef object _key
    cdef object _guard

    def __init__(self, key, guard):
        self._key = key
        self._guard = guard

    cpdef Inbound inbound(self, object accepted):
        """Make the codec of one connection; see the twin."""
        cdef _ServerInbound inbound = _ServerInbound.__new__(_ServerInbound)
        inbound._codec = _codec_of(self._key, self._guard)
        inbound.silent = True
        inbound.cuts_answers = inbound._codec._ciphers is not None
        return inbound
