"""The packets of the 2022 edition (SIP022 3.2, SIP023) in pure Python.

The twin of ``_packets_2022.pyx``; see there for the same classes on libcrypto.
"""

from __future__ import annotations

from ..address import LARGEST_ADDRESS, Address
from ..buffer import Buffer
from ..crypto import TAG_SIZE
from ..crypto._primitives_py import Aead, BlockCipher, random_bytes
from . import packet_faults as faults
from ._fingerprints_py import Fingerprints
from ._packets_py import Packet, PacketCodec, PacketSession, read_contents
from ._session_memory_py import SessionMemory
from ._sessions_py import WINDOW_SIZE, ServerSession, SessionTable
from ._window_py import SlidingWindow
from .headers import LARGEST_PADDING, LARGEST_SKEW, REQUEST_TYPE, RESPONSE_TYPE, session_subkey
from .keys import ClientKey, ServerKey, User
from .packet_faults import packet_error

__all__ = ["Aead2022PacketClient", "Aead2022PacketServer"]

_BLOCK_SIZE = 16
_ID_SIZE = 8
_NONCE_SIZE = 24
#: Type, timestamp and padding length; the client's session ID in a response.
_REQUEST_HEADER_SIZE = 1 + 8 + 2
_RESPONSE_HEADER_SIZE = _REQUEST_HEADER_SIZE + _ID_SIZE
#: Headers of IPv6 and UDP.
_IP_OVERHEAD = 40 + 8
_PADDED_PORT = 53
#: Seconds that the server's session before its newest one keeps a third one out.
_OLD_SESSION_TIME = 60
#: SIP022 asks for 60 seconds, but stamps have whole ones: a packet dated 30 s ahead passes for
#: up to 61.
_SHORTEST_RETENTION = 62
_LAST_PACKET_ID = 0xFFFF_FFFF_FFFF_FFFF


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _check_id(session_id: bytes) -> bytes:
    if len(session_id) != _ID_SIZE:
        raise ValueError(f"a session ID of {len(session_id)} bytes where {_ID_SIZE} belong")
    return session_id


def _read_body(body: bytes, client_id: bytes | None, now: int) -> tuple[Address, bytes]:
    """Read what a separate header or two IDs leave: header, address and payload.

    :param client_id: the session that a response belongs to; None for a request.
    """
    if len(body) < 9:
        raise packet_error(faults.PAST_THE_END)
    if body[0] != (REQUEST_TYPE if client_id is None else RESPONSE_TYPE):
        raise packet_error(faults.WRONG_TYPE)
    skew = int.from_bytes(body[1:9], "big") - now
    if abs(skew) > LARGEST_SKEW:
        raise packet_error(faults.WRONG_TIME, skew)
    start = 9
    if client_id is not None:
        start += _ID_SIZE
        if len(body) < start:
            raise packet_error(faults.PAST_THE_END)
        if body[9:start] != client_id:
            raise packet_error(faults.FOREIGN_SESSION)
    end = start + 2 + int.from_bytes(body[start : start + 2], "big")
    if len(body) < max(end, start + 2):
        raise packet_error(faults.PAST_THE_END)
    return read_contents(body[end:])


def _build_body(client_id: bytes | None, packet: Packet) -> bytes:
    kind = REQUEST_TYPE if client_id is None else RESPONSE_TYPE
    echo = client_id or b""
    size = len(packet.padding).to_bytes(2, "big")
    header = bytes((kind,)) + packet.now.to_bytes(8, "big") + echo + size + packet.padding
    return header + packet.contents


class _Aead2022Packets(PacketCodec):
    """What both ends have in common."""

    __slots__ = ("_cipher", "_extended", "_fixed_size", "_key", "_padded_limit")

    def __init__(
        self,
        key: ClientKey | ServerKey,
        header_size: int,
        layers: int,
        mtu: int,
        *,
        has_sessions: bool,
    ) -> None:
        method = key.method
        self._key = key.key
        self._cipher = method.cipher
        #: XChaCha20 only: one cipher for all sessions.
        self._extended: Aead | None = None
        if method.identity_headers:
            salt_size = 0
            self._fixed_size = _BLOCK_SIZE * (1 + layers) + header_size + TAG_SIZE
        else:
            salt_size = _NONCE_SIZE
            self._extended = Aead("X" + method.cipher, key.key)
            self._fixed_size = _NONCE_SIZE + 2 * _ID_SIZE + header_size + TAG_SIZE
        #: Most bytes that a packet has with padding.
        self._padded_limit = mtu - _IP_OVERHEAD
        overhead = self._fixed_size + LARGEST_PADDING + LARGEST_ADDRESS
        super().__init__(salt_size, overhead, has_sessions=has_sessions)

    def _padding_room(self, address: Address, payload_size: int) -> int:
        if address.port != _PADDED_PORT:
            return 0
        return self._padded_limit - self._fixed_size - len(address.wire) - payload_size

    def _session_aead(self, key: bytes, session_id: bytes) -> Aead:
        return Aead(self._cipher, session_subkey(key, session_id))

    def _open_extended(self, packet: Buffer) -> tuple[bytes, bytes]:
        """Open a packet of XChaCha20.

        :return: both IDs, and what follows them.
        """
        assert self._extended is not None  # noqa: S101 - our own callers
        if len(packet) < _NONCE_SIZE + 2 * _ID_SIZE + TAG_SIZE:
            raise packet_error(faults.TRUNCATED)
        plaintext = self._extended.open(packet[:_NONCE_SIZE], packet[_NONCE_SIZE:])
        return plaintext[: 2 * _ID_SIZE], plaintext[2 * _ID_SIZE :]


class Aead2022PacketServer(_Aead2022Packets):
    """A server's packets: opens what clients send, seals the answers (SIP022 3.2, SIP023).

    :param key: method, key and users.
    :param retention: seconds that a session is kept after its last packet; fewer than 62 count
        as 62. For as long as an association lives, so that its packets find it again.
    :param max_sessions: how many there are at most; the one not used for longest makes room.
    :param mtu: bytes of an IP packet that padding must not exceed.
    :param memory: knows the sessions of all codecs, those that made room too.
    :param fingerprints: of the key, for `memory`.
    :raises ValueError: `max_sessions` out of bounds.
    """

    __slots__ = (
        "_fingerprints",
        "_header_cipher",
        "_memory",
        "_sessions",
        "_user_ciphers",
        "_users",
    )

    def __init__(
        self,
        key: ServerKey,
        retention: int = 300,
        max_sessions: int = 4096,
        mtu: int = 1500,
        *,
        memory: SessionMemory,
        fingerprints: Fingerprints,
    ) -> None:
        super().__init__(key, _RESPONSE_HEADER_SIZE, 0, mtu, has_sessions=True)
        #: By the 16-byte hash of the uPSK; None where users are not told apart.
        self._users = None if key.users is None else key.users.by_hash
        self._header_cipher = None if self._extended else BlockCipher(key.key)
        #: By the hash, too; for our answers.
        self._user_ciphers: dict[bytes, BlockCipher] = {}
        self._sessions = SessionTable(max_sessions, max(retention, _SHORTEST_RETENTION))
        self._memory = memory
        self._fingerprints = fingerprints

    def __len__(self) -> int:
        """How many sessions there are."""
        return len(self._sessions)

    def expire(self, now: float) -> int:
        """Forget the sessions that are no longer to be kept; see :meth:`PacketCodec.expire`."""
        return self._sessions.expire(int(now))

    def forget(self, session: PacketSession) -> None:
        """Forget a session before its time; see :meth:`PacketCodec.forget`."""
        if isinstance(session, ServerSession):
            self._sessions.forget(session)

    def begin(
        self,
        session: ServerSession,
        server_session_id: bytes | None = None,
        packet_id: int = 0,
    ) -> None:
        """Begin another server session for `session`, as :meth:`seal` does by itself.

        :param server_session_id: 8 bytes; at random, and another one than the client's, by
            default.
        :param packet_id: of the next answer.
        :raises ValueError: an ID of another size.
        """
        if server_session_id is None:
            server_session_id = random_bytes(_ID_SIZE)
            while server_session_id == session.client_session_id:
                server_session_id = random_bytes(_ID_SIZE)
        _check_id(server_session_id)
        if self._header_cipher is not None:
            session.sealer = self._session_aead(session.key, server_session_id)
            session.header_cipher = self._header_cipher
            if session.user is not None:
                known = self._user_ciphers.get(session.identity)
                session.header_cipher = known or BlockCipher(session.key)
                self._user_ciphers[session.identity] = session.header_cipher
        session.server_session_id = server_session_id
        session.packet_id = packet_id

    def open(self, packet: Buffer, now: float) -> tuple[ServerSession, Address, bytes]:
        """Open a packet; see :meth:`PacketCodec.open`."""
        user, identity, body = None, b"", b""
        start = _BLOCK_SIZE * (1 if self._users is None else 2)
        if self._header_cipher is None:
            ids, body = self._open_extended(packet)
        else:
            if len(packet) < start + TAG_SIZE:
                raise packet_error(faults.TRUNCATED)
            ids = self._header_cipher.decrypt(packet[:_BLOCK_SIZE])
            if self._users is not None:
                identity = _xor(self._header_cipher.decrypt(packet[_BLOCK_SIZE:start]), ids)
        client_id, packet_id = ids[:_ID_SIZE], int.from_bytes(ids[_ID_SIZE:], "big")
        session = self._sessions.find(client_id)
        if session is not None:
            # Who is no user any more has no session, either.
            if session.identity != identity or (
                self._users is not None and identity not in self._users
            ):
                raise packet_error(faults.UNKNOWN_USER)
            if not session.window.allows(packet_id):
                raise packet_error(faults.REPLAYED)
        elif self._users is not None:
            user = self._users.get(identity)
            if user is None:
                raise packet_error(faults.UNKNOWN_USER)
        opener = None
        if self._header_cipher is not None:
            opener = session.opener if session else self._opener_for(user, client_id)
            assert opener is not None  # noqa: S101 - every session of these methods has one
            body = opener.open(ids[4:], packet[start:])
        contents = _read_body(body, None, int(now))
        known = session is not None
        if session is None:
            key, name = (self._key, None) if user is None else (user.key, user.name)
            fingerprint = self._fingerprints.of(client_id, key)
            session = ServerSession(client_id, key, name, identity, opener, fingerprint)
        self._memory.admit(session, packet_id, int(now))
        if not known:
            self._sessions.add(session, int(now))
        session.window.add(packet_id)
        self._sessions.touch(session, int(now))
        return session, *contents

    def _opener_for(self, user: User | None, client_id: bytes) -> Aead:
        return self._session_aead(self._key if user is None else user.key, client_id)

    def _seal(self, packet: Packet, salt: bytes) -> bytes:
        session = packet.session
        if not isinstance(session, ServerSession):
            raise ValueError("an answer without the session that it answers")  # noqa: TRY004
        if session.server_session_id is None or session.packet_id == _LAST_PACKET_ID:
            self.begin(session)
        assert session.server_session_id is not None  # noqa: S101 - since begin
        ids = session.server_session_id + session.packet_id.to_bytes(8, "big")
        session.packet_id += 1
        body = _build_body(session.client_session_id, packet)
        if self._extended is not None:
            return salt + self._extended.seal(salt, ids + body)
        assert session.header_cipher is not None  # noqa: S101 - since begin
        assert session.sealer is not None  # noqa: S101 - since begin
        return session.header_cipher.encrypt(ids) + session.sealer.seal(ids[4:], body)


class _PeerSession:
    """One session of the server, as the client knows it."""

    __slots__ = ("id", "last_used", "opener", "window")

    def __init__(self, session_id: bytes, opener: Aead | None) -> None:
        self.id = session_id
        self.opener = opener
        self.window = SlidingWindow(WINDOW_SIZE)
        self.last_used = 0


class Aead2022PacketClient(_Aead2022Packets):
    """One client session: seals its packets, opens the answers (SIP022 3.2, SIP023).

    Every local association has one of its own. It knows the server's newest session and the one
    before; a third one is refused as long as that was heard of in the last 60 seconds.

    :param key: method, key and identity keys.
    :param mtu: bytes of an IP packet that padding must not exceed.
    :param session_id: 8 bytes; at random by default.
    :raises ValueError: an ID of another size.
    """

    __slots__ = (
        "_current",
        "_identities",
        "_old",
        "_opening_header_cipher",
        "_sealer",
        "_sealing_header_cipher",
        "packet_id",
        "session_id",
    )

    def __init__(self, key: ClientKey, mtu: int = 1500, session_id: bytes | None = None) -> None:
        super().__init__(key, _REQUEST_HEADER_SIZE, len(key.identity_keys), mtu, has_sessions=False)
        ciphers = [BlockCipher(psk) for psk in key.identity_keys]
        self._identities = list(zip(ciphers, key.identity_hashes, strict=True))
        self._opening_header_cipher: BlockCipher | None = None
        self._sealing_header_cipher: BlockCipher | None = None
        if self._extended is None:
            self._opening_header_cipher = BlockCipher(key.key)
            self._sealing_header_cipher = ciphers[0] if ciphers else BlockCipher(key.key)
        self._sealer: Aead
        self._current: _PeerSession | None
        self._old: _PeerSession | None
        #: 8 bytes.
        self.session_id: bytes
        #: Of the next packet.
        self.packet_id: int
        self.begin(session_id)

    def begin(self, session_id: bytes | None = None, packet_id: int = 0) -> None:
        """Begin another session, as :meth:`seal` does when the packet IDs come to their end.

        :param session_id: 8 bytes; at random by default.
        :param packet_id: of the next packet.
        :raises ValueError: an ID of another size.
        """
        self.session_id = _check_id(random_bytes(_ID_SIZE) if session_id is None else session_id)
        self.packet_id = packet_id
        if self._extended is None:
            self._sealer = self._session_aead(self._key, self.session_id)
        # They answered the session before.
        self._current = self._old = None

    def _seal(self, packet: Packet, salt: bytes) -> bytes:
        if self.packet_id == _LAST_PACKET_ID:
            self.begin()
        ids = self.session_id + self.packet_id.to_bytes(8, "big")
        self.packet_id += 1
        body = _build_body(None, packet)
        if self._extended is not None:
            return salt + self._extended.seal(salt, ids + body)
        assert self._sealing_header_cipher is not None  # noqa: S101 - since __init__
        identity_headers = b"".join(
            cipher.encrypt(_xor(following, ids)) for cipher, following in self._identities
        )
        header = self._sealing_header_cipher.encrypt(ids)
        return header + identity_headers + self._sealer.seal(ids[4:], body)

    def _find(self, server_id: bytes) -> _PeerSession | None:
        for session in (self._current, self._old):
            if session is not None and session.id == server_id:
                return session
        return None

    def _too_soon(self, now: int) -> bool:
        old = self._old
        return old is not None and -_OLD_SESSION_TIME < now - old.last_used < _OLD_SESSION_TIME

    def open(self, packet: Buffer, now: float) -> tuple[None, Address, bytes]:
        """Open a packet; see :meth:`PacketCodec.open`."""
        body = b""
        if self._opening_header_cipher is None:
            ids, body = self._open_extended(packet)
        else:
            if len(packet) < _BLOCK_SIZE + TAG_SIZE:
                raise packet_error(faults.TRUNCATED)
            ids = self._opening_header_cipher.decrypt(packet[:_BLOCK_SIZE])
        server_id, packet_id = ids[:_ID_SIZE], int.from_bytes(ids[_ID_SIZE:], "big")
        peer = self._find(server_id)
        if peer is None:
            if self._too_soon(int(now)):
                raise packet_error(faults.NEW_SESSION_TOO_SOON)
            opener = None if self._extended else self._session_aead(self._key, server_id)
            peer = _PeerSession(server_id, opener)
        elif not peer.window.allows(packet_id):
            raise packet_error(faults.REPLAYED)
        if peer.opener is not None:
            body = peer.opener.open(ids[4:], packet[_BLOCK_SIZE:])
        contents = _read_body(body, self.session_id, int(now))
        if peer is not self._current and peer is not self._old:
            self._old, self._current = self._current, peer
        peer.window.add(packet_id)
        peer.last_used = int(now)
        return None, *contents
