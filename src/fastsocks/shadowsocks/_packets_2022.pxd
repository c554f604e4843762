from libc.stdint cimport int64_t, uint8_t, uint64_t

from fastsocks.crypto._primitives cimport Aead, BlockCipher

from ._fingerprints cimport Fingerprints
from ._packets cimport PacketCodec
from ._session_memory cimport SessionMemory
from ._sessions cimport ID_SIZE, ServerSession, SessionTable
from ._window cimport SlidingWindow


# What the ends have in common.
cdef class Aead2022Packets(PacketCodec):
    cdef str _cipher
    # The PSK: of a server with users the iPSK, of a client with identity headers the uPSK.
    cdef bytes _key
    # One cipher for all sessions; XChaCha20 only, otherwise None.
    cdef Aead _extended
    # Most bytes that a packet has with padding.
    cdef Py_ssize_t _padded_limit
    # Bytes of a packet beside address, padding and payload.
    cdef Py_ssize_t _fixed_size
    cdef int _prepare(self, key, bytes psk, Py_ssize_t header_size, Py_ssize_t mtu) except -1
    cdef Aead _session_aead(self, bytes key, const uint8_t* session_id)


cdef class Aead2022PacketServer(Aead2022Packets):
    # By the 16-byte hash of the uPSK.
    cdef dict _users
    cdef bint _has_users
    # None for XChaCha20.
    cdef BlockCipher _header_cipher
    # By user name; those for our answers.
    cdef dict _user_ciphers
    cdef SessionTable _sessions
    cdef SessionMemory _memory
    cdef Fingerprints _fingerprints
    cdef ServerSession _new_session(self, const uint8_t* ids, user, bytes identity, Aead opener)
    cdef int _begin(self, ServerSession session, bytes server_id, uint64_t packet_id) except -1


# One session of the server, as the client knows it.
cdef class PeerSession:
    cdef uint8_t id[ID_SIZE]
    # None for XChaCha20.
    cdef Aead opener
    cdef SlidingWindow window
    # Unix time of the last packet in seconds.
    cdef int64_t last_used


cdef class Aead2022PacketClient(Aead2022Packets):
    # Of our session; None for XChaCha20.
    cdef Aead _sealer
    # All three None or empty for XChaCha20.
    cdef BlockCipher _sealing_header_cipher
    cdef BlockCipher _opening_header_cipher
    cdef list _identity_ciphers
    # 16 bytes for each of them.
    cdef bytes _identity_hashes
    cdef uint8_t _session_id[ID_SIZE]
    # Of the next packet.
    cdef uint64_t _packet_id
    # The server's sessions: its newest, and the one before.
    cdef PeerSession _current
    cdef PeerSession _old
    cdef int _begin(self, bytes session_id, uint64_t packet_id) except -1
    cdef PeerSession _find(self, const uint8_t* server_id)
    cdef bint _too_soon(self, int64_t now) noexcept
