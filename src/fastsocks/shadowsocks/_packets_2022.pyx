# cython: boundscheck=False, wraparound=False
"""The packets of the 2022 edition (SIP022 3.2, SIP023) on libcrypto.

The twin of ``_packets_2022_py.py``.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from libc.stdint cimport INT64_MAX, UINT64_MAX, int64_t, uint8_t, uint64_t
from libc.string cimport memcmp, memcpy

from fastsocks.address._header cimport LARGEST_ADDRESS
from fastsocks.address._reader cimport Reader, left, peek, reader_over, take
from fastsocks.crypto._primitives cimport TAG_SIZE, Aead, BlockCipher

from ._packets cimport (
    FOREIGN_SESSION,
    LARGEST_PADDING,
    NEW_SESSION_TOO_SOON,
    PAST_THE_END,
    RAISED,
    REPLAYED,
    TAG_MISMATCH,
    TRUNCATED,
    UNKNOWN_USER,
    WRONG_TIME,
    WRONG_TYPE,
    Packet,
    PacketSession,
    fill_randomly,
    open_rest,
    put_address,
    put_before,
    read_contents,
)
from ._sessions cimport ID_SIZE, WINDOW_SIZE, ServerSession, SessionTable
from ._window cimport SlidingWindow

from .headers import session_subkey

cdef enum:
    _BLOCK_SIZE = 16
    _NONCE_SIZE = 24
    _LARGEST_SKEW = 30
    _REQUEST = 0
    _RESPONSE = 1
    # Type, timestamp and padding length; the client's session ID in a response.
    _REQUEST_HEADER_SIZE = 1 + 8 + 2
    _RESPONSE_HEADER_SIZE = _REQUEST_HEADER_SIZE + ID_SIZE
    # Headers of IPv6 and UDP.
    _IP_OVERHEAD = 40 + 8
    _PADDED_PORT = 53
    # Seconds that the server's session before its newest one keeps a third one out.
    _OLD_SESSION_TIME = 60
    # See the twin.
    _SHORTEST_RETENTION = 62


cdef inline uint64_t read_number(const uint8_t* source) noexcept nogil:
    cdef uint64_t number = 0
    cdef int i
    for i in range(8):
        number = number << 8 | source[i]
    return number


cdef inline void write_number(uint8_t* target, uint64_t number) noexcept nogil:
    cdef int i
    for i in range(8):
        target[i] = <uint8_t>(number >> (56 - 8 * i))


# Reads what a separate header or two IDs leave: header, address and payload. `client_id` is
# that of a response, otherwise NULL. Returns the size of the payload, or a fault.
cdef Py_ssize_t read_body(
    Reader* body, const uint8_t* client_id, Packet* packet
) noexcept nogil:
    cdef const uint8_t* head = take(body, 9)
    cdef const uint8_t* echo
    cdef uint64_t stamp
    cdef int high, low
    if head == NULL:
        return PAST_THE_END
    if head[0] != (_REQUEST if client_id == NULL else _RESPONSE):
        return WRONG_TYPE
    stamp = read_number(head + 1)
    packet.skew = <int64_t>min(stamp, <uint64_t>INT64_MAX) - packet.now
    if not -_LARGEST_SKEW <= packet.skew <= _LARGEST_SKEW:
        return WRONG_TIME
    if client_id != NULL:
        echo = take(body, ID_SIZE)
        if echo == NULL:
            return PAST_THE_END
        if memcmp(echo, client_id, ID_SIZE) != 0:
            return FOREIGN_SESSION
    high = peek(body, 0)
    low = peek(body, 1)
    if low < 0 or take(body, 2 + (high << 8 | low)) == NULL:
        return PAST_THE_END
    return read_contents(body, packet)


# Writes in front of the payload what goes before it; returns where that begins. `client_id` is
# that of a response, otherwise NULL.
cdef uint8_t* write_body(const Packet* packet, const uint8_t* client_id) noexcept nogil:
    cdef uint8_t* body = put_address(packet)
    cdef uint8_t head[9]
    cdef uint8_t length[2]
    if packet.padding_size:
        body = put_before(packet.room, body, packet.padding, packet.padding_size)
    length[0] = <uint8_t>(packet.padding_size >> 8)
    length[1] = <uint8_t>(packet.padding_size & 0xFF)
    body = put_before(packet.room, body, length, 2)
    if client_id != NULL:
        body = put_before(packet.room, body, client_id, ID_SIZE)
    head[0] = _REQUEST if client_id == NULL else _RESPONSE
    write_number(head + 1, <uint64_t>packet.now)
    return put_before(packet.room, body, head, 9)


cdef class Aead2022Packets(PacketCodec):
    """What both ends have in common."""

    cdef int _prepare(self, key, bytes psk, Py_ssize_t header_size, Py_ssize_t mtu) except -1:
        method = key.method
        self._key = psk
        self._cipher = method.cipher
        if method.identity_headers:
            self._fixed_size = _BLOCK_SIZE + header_size + TAG_SIZE
        else:
            self._extended = Aead("X" + self._cipher, psk)
            self._salt_size = _NONCE_SIZE
            self._fixed_size = _NONCE_SIZE + 2 * ID_SIZE + header_size + TAG_SIZE
        self._padded_limit = mtu - _IP_OVERHEAD
        self.overhead = self._fixed_size + LARGEST_PADDING + LARGEST_ADDRESS
        return 0

    cdef Aead _session_aead(self, bytes key, const uint8_t* session_id):
        return Aead(self._cipher, session_subkey(key, session_id[:ID_SIZE]))

    cdef Py_ssize_t padding_room(self, const Packet* packet) noexcept:
        cdef const uint8_t* port = packet.address + packet.address_size - 2
        if (port[0] << 8 | port[1]) != _PADDED_PORT:
            return 0
        return (
            self._padded_limit - self._fixed_size - packet.address_size - packet.payload_size
        )


# Opens the session ID and the packet ID, 16 bytes, of which `head` is the separate header or the
# nonce. With XChaCha20 all the rest is open then, too, and `reader` goes on in `out`. Returns 0
# or a fault.
cdef inline int open_ids(
    Reader* reader,
    const uint8_t* head,
    Aead extended,
    BlockCipher header_cipher,
    uint8_t* ids,
    uint8_t* out,
) except? RAISED:
    cdef int fault
    if extended is None:
        if header_cipher.decrypt_raw(head, ids):
            raise MemoryError("libcrypto could not decrypt a header")
        return 0
    if left(reader) < 2 * ID_SIZE + TAG_SIZE:
        return TRUNCATED
    fault = open_rest(reader, extended, head, out)
    if fault == 0:
        memcpy(ids, take(reader, 2 * ID_SIZE), 2 * ID_SIZE)
    return fault


# Seals all from `body` to the end of the payload.
cdef inline int seal_body(
    Aead sealer, const uint8_t* nonce, const uint8_t* body, const Packet* packet, uint8_t* out
) noexcept:
    return sealer.seal_raw(nonce, body, packet.payload + packet.payload_size - body, out)


# The same with XChaCha20, behind the nonce in `out`; the IDs go with it.
cdef inline int seal_extended(
    Aead sealer, const uint8_t* ids, uint8_t* body, const Packet* packet, uint8_t* out
) noexcept:
    body = put_before(packet.room, body, ids, 2 * ID_SIZE)
    return seal_body(sealer, out, body, packet, out + _NONCE_SIZE)


cdef class Aead2022PacketServer(Aead2022Packets):
    """A server's packets: opens what clients send, seals the answers; see the twin."""

    def __cinit__(
        self,
        key not None,
        int64_t retention=300,
        Py_ssize_t max_sessions=4096,
        Py_ssize_t mtu=1500,
        *,
        SessionMemory memory not None,
        Fingerprints fingerprints not None,
    ):
        self._has_users = key.users is not None
        self._users = key.users.by_hash if self._has_users else {}
        self._prepare(key, key.key, _RESPONSE_HEADER_SIZE, mtu)
        if self._extended is None:
            self._header_cipher = BlockCipher(self._key)
        self._user_ciphers = {}
        self._sessions = SessionTable(max_sessions, max(retention, <int64_t>_SHORTEST_RETENTION))
        self._memory = memory
        self._fingerprints = fingerprints
        self.has_sessions = True

    def __len__(self):
        """How many sessions there are."""
        return len(self._sessions)

    def expire(self, now):
        """Forget the sessions that are no longer to be kept; returns how many there were."""
        return self._sessions.expire(int(now))

    cpdef int forget(self, PacketSession session) except -1:
        return self._sessions.forget(session)

    def begin(self, ServerSession session not None, bytes server_session_id=None,
              uint64_t packet_id=0):
        """Begin another server session for `session`; see the twin."""
        self._begin(session, server_session_id, packet_id)

    cdef Py_ssize_t open_into(
        self, const uint8_t* wire, Py_ssize_t size, uint8_t* out, Packet* packet
    ) except? RAISED:
        cdef Reader reader = reader_over(wire, size)
        cdef const uint8_t* head = take(&reader, self._salt_size if self._salt_size else 16)
        cdef const uint8_t* identity_header = NULL
        cdef uint8_t ids[2 * ID_SIZE]
        cdef uint8_t identity[_BLOCK_SIZE]
        cdef PyObject* found
        cdef ServerSession session = None
        cdef Aead opener = None
        cdef Py_ssize_t opened
        cdef bint known
        cdef int i, fault
        user = None
        packet.session = NULL
        if self._has_users:
            identity_header = take(&reader, _BLOCK_SIZE)
            if identity_header == NULL:
                return TRUNCATED
        if head == NULL or left(&reader) < TAG_SIZE:
            return TRUNCATED
        fault = open_ids(&reader, head, self._extended, self._header_cipher, ids, out)
        if fault:
            return fault
        if identity_header != NULL:
            if self._header_cipher.decrypt_raw(identity_header, identity):
                raise MemoryError("libcrypto could not decrypt a header")
            for i in range(_BLOCK_SIZE):
                identity[i] ^= ids[i]
        found = self._sessions.find(ids)
        known = found is not NULL
        if known:
            session = <ServerSession>found
            # Who is no user any more has no session, either.
            if self._has_users and (
                memcmp(PyBytes_AS_STRING(session.identity), identity, _BLOCK_SIZE) != 0
                or session.identity not in self._users
            ):
                return UNKNOWN_USER
            if not session.window.is_new(read_number(ids + ID_SIZE)):
                return REPLAYED
        elif self._has_users:
            user = self._users.get(PyBytes_FromStringAndSize(<char*>identity, _BLOCK_SIZE))
            if user is None:
                return UNKNOWN_USER
        if self._extended is None:
            if session is not None:
                opener = session.opener
            else:
                opener = self._session_aead(self._key if user is None else user.key, ids)
            fault = open_rest(&reader, opener, ids + 4, out)
            if fault:
                return fault
        opened = read_body(&reader, NULL, packet)
        if opened < 0:
            return opened
        if not known:
            session = self._new_session(
                ids, user, identity[:_BLOCK_SIZE] if self._has_users else None, opener
            )
        fault = self._memory.admit(session, read_number(ids + ID_SIZE), packet.now)
        if fault:
            return fault
        if not known:
            self._sessions.add(session, packet.now)
        session.window.mark(read_number(ids + ID_SIZE))
        self._sessions.touch(<PyObject*>session, packet.now)
        packet.session = <PyObject*>session
        return opened

    cdef ServerSession _new_session(
        self, const uint8_t* ids, user, bytes identity, Aead opener
    ):
        cdef ServerSession session = ServerSession.__new__(ServerSession)
        memcpy(session.client_id, ids, ID_SIZE)
        session.key = self._key
        if user is not None:
            session.user = user.name
            session.key = user.key
            session.identity = identity
        session.opener = opener
        session.window = SlidingWindow(WINDOW_SIZE)
        self._fingerprints.of_raw(ids, ID_SIZE, session.key, &session.fingerprint)
        fill_randomly(<uint8_t*>&session.token, sizeof(session.token))
        return session

    cdef int _begin(self, ServerSession session, bytes server_id, uint64_t packet_id) except -1:
        cdef uint8_t fresh[ID_SIZE]
        if server_id is not None:
            check_id(server_id)
            memcpy(fresh, PyBytes_AS_STRING(server_id), ID_SIZE)
        else:
            fill_randomly(fresh, ID_SIZE)
            while memcmp(fresh, session.client_id, ID_SIZE) == 0:
                fill_randomly(fresh, ID_SIZE)
        if self._extended is None:
            session.sealer = self._session_aead(session.key, fresh)
            if session.user is None:
                session.header_cipher = self._header_cipher
            else:
                session.header_cipher = self._user_ciphers.get(session.identity)
                if session.header_cipher is None:
                    session.header_cipher = BlockCipher(session.key)
                    self._user_ciphers[session.identity] = session.header_cipher
        memcpy(session.server_id, fresh, ID_SIZE)
        session.next_id = packet_id
        session.begun = True
        return 0

    cdef Py_ssize_t seal_behind(self, Packet* packet, uint8_t* out) except? RAISED:
        cdef ServerSession session
        cdef uint8_t ids[2 * ID_SIZE]
        cdef uint8_t* body
        cdef int result
        if packet.session is NULL or not isinstance(<object>packet.session, ServerSession):
            raise ValueError("an answer without the session that it answers")
        session = <ServerSession>packet.session
        if not session.begun or session.next_id == UINT64_MAX:
            self._begin(session, None, 0)
        memcpy(ids, session.server_id, ID_SIZE)
        write_number(ids + ID_SIZE, session.next_id)
        session.next_id += 1
        body = write_body(packet, session.client_id)
        if self._extended is not None:
            result = seal_extended(self._extended, ids, body, packet, out)
        else:
            result = session.header_cipher.encrypt_raw(ids, out)
            if result == 0:
                result = seal_body(session.sealer, ids + 4, body, packet, out + _BLOCK_SIZE)
        if result:
            raise MemoryError("libcrypto could not seal a packet")
        return self._fixed_size + packet.padding_size + packet.address_size + packet.payload_size


cdef class PeerSession:
    """One session of the server, as the client knows it."""


cdef class Aead2022PacketClient(Aead2022Packets):
    """One client session: seals its packets, opens the answers; see the twin."""

    def __cinit__(self, key not None, Py_ssize_t mtu=1500, bytes session_id=None):
        self._prepare(key, key.key, _REQUEST_HEADER_SIZE, mtu)
        self._identity_ciphers = [BlockCipher(psk) for psk in key.identity_keys]
        self._identity_hashes = b"".join(key.identity_hashes)
        self._fixed_size += _BLOCK_SIZE * len(self._identity_ciphers)
        self.overhead += _BLOCK_SIZE * len(self._identity_ciphers)
        if self._extended is None:
            self._opening_header_cipher = BlockCipher(self._key)
            self._sealing_header_cipher = (
                self._identity_ciphers[0] if self._identity_ciphers else BlockCipher(self._key)
            )
        self._begin(session_id, 0)

    @property
    def session_id(self):
        """The session ID, 8 bytes."""
        return PyBytes_FromStringAndSize(<char*>self._session_id, ID_SIZE)

    @property
    def packet_id(self):
        """The packet ID of the next packet."""
        return self._packet_id

    def begin(self, bytes session_id=None, uint64_t packet_id=0):
        """Begin another session; see the twin."""
        self._begin(session_id, packet_id)

    cdef int _begin(self, bytes session_id, uint64_t packet_id) except -1:
        cdef uint8_t fresh[ID_SIZE]
        if session_id is not None:
            check_id(session_id)
            memcpy(fresh, PyBytes_AS_STRING(session_id), ID_SIZE)
        else:
            fill_randomly(fresh, ID_SIZE)
        if self._extended is None:
            self._sealer = self._session_aead(self._key, fresh)
        memcpy(self._session_id, fresh, ID_SIZE)
        self._packet_id = packet_id
        # They answered the session before.
        self._current = self._old = None
        return 0

    cdef Py_ssize_t seal_behind(self, Packet* packet, uint8_t* out) except? RAISED:
        cdef uint8_t ids[2 * ID_SIZE]
        cdef uint8_t block[_BLOCK_SIZE]
        cdef uint8_t* body
        cdef uint8_t* position = out + _BLOCK_SIZE
        cdef const uint8_t* following = <const uint8_t*>PyBytes_AS_STRING(self._identity_hashes)
        cdef int result, i
        cdef Py_ssize_t layer
        if self._packet_id == UINT64_MAX:
            self._begin(None, 0)
        memcpy(ids, self._session_id, ID_SIZE)
        write_number(ids + ID_SIZE, self._packet_id)
        self._packet_id += 1
        body = write_body(packet, NULL)
        if self._extended is not None:
            result = seal_extended(self._extended, ids, body, packet, out)
        else:
            result = self._sealing_header_cipher.encrypt_raw(ids, out)
            for layer in range(PyList_GET_SIZE(self._identity_ciphers)):
                for i in range(_BLOCK_SIZE):
                    block[i] = following[i] ^ ids[i]
                following += _BLOCK_SIZE
                result |= (<BlockCipher>PyList_GET_ITEM(self._identity_ciphers, layer)).encrypt_raw(
                    block, position
                )
                position += _BLOCK_SIZE
            if result == 0:
                result = seal_body(self._sealer, ids + 4, body, packet, position)
        if result:
            raise MemoryError("libcrypto could not seal a packet")
        return self._fixed_size + packet.padding_size + packet.address_size + packet.payload_size

    cdef PeerSession _find(self, const uint8_t* server_id):
        if self._current is not None and memcmp(self._current.id, server_id, ID_SIZE) == 0:
            return self._current
        if self._old is not None and memcmp(self._old.id, server_id, ID_SIZE) == 0:
            return self._old
        return None

    cdef bint _too_soon(self, int64_t now) noexcept:
        return (
            self._old is not None
            and -_OLD_SESSION_TIME < now - self._old.last_used < _OLD_SESSION_TIME
        )

    cdef Py_ssize_t open_into(
        self, const uint8_t* wire, Py_ssize_t size, uint8_t* out, Packet* packet
    ) except? RAISED:
        cdef Reader reader = reader_over(wire, size)
        cdef const uint8_t* head = take(&reader, self._salt_size if self._salt_size else 16)
        cdef uint8_t ids[2 * ID_SIZE]
        cdef PeerSession peer
        cdef Aead opener = None
        cdef Py_ssize_t opened
        cdef int fault
        packet.session = NULL
        if head == NULL or left(&reader) < TAG_SIZE:
            return TRUNCATED
        fault = open_ids(
            &reader, head, self._extended, self._opening_header_cipher, ids, out
        )
        if fault:
            return fault
        peer = self._find(ids)
        if peer is None:
            if self._too_soon(packet.now):
                return NEW_SESSION_TOO_SOON
        elif not peer.window.is_new(read_number(ids + ID_SIZE)):
            return REPLAYED
        if self._extended is None:
            opener = self._session_aead(self._key, ids) if peer is None else peer.opener
            fault = open_rest(&reader, opener, ids + 4, out)
            if fault:
                return fault
        opened = read_body(&reader, self._session_id, packet)
        if opened < 0:
            return opened
        if peer is None:
            peer = PeerSession.__new__(PeerSession)
            memcpy(peer.id, ids, ID_SIZE)
            peer.opener = opener
            peer.window = SlidingWindow(WINDOW_SIZE)
            self._old, self._current = self._current, peer
        peer.window.mark(read_number(ids + ID_SIZE))
        peer.last_used = packet.now
        return opened


cdef int check_id(bytes session_id) except -1:
    if len(session_id) != ID_SIZE:
        raise ValueError(f"a session ID of {len(session_id)} bytes where {ID_SIZE} belong")
    return 0
