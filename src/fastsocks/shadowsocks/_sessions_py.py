"""The sessions of a 2022 server's clients in pure Python; the twin of ``_sessions.pyx``."""

from __future__ import annotations

import sys
from collections import OrderedDict
from typing import NoReturn

from ..crypto._primitives_py import Aead, BlockCipher, random_bytes
from ._packets_py import PacketSession
from ._window_py import SlidingWindow

#: How many packet IDs back a packet may come late. SIP022 asks for enough; this many bits and
#: the word of the highest one make 256 bytes.
WINDOW_SIZE = 1985

_LARGEST_LIMIT = 1 << 24


class ServerSession(PacketSession):
    """A client's session and ours that answers it (SIP022 3.2).

    :param client_session_id: 8 bytes.
    :param key: the PSK, with users the uPSK.
    :param user: the user's name, or None without users.
    :param identity: the 16-byte hash of the uPSK; empty without users.
    :param opener: the cipher of the client's packets; None for XChaCha20, which has no subkeys.
    :param fingerprint: of its ID, 64 bits, by which all codecs know it.
    """

    __slots__ = (
        "client_session_id",
        "column",
        "fingerprint",
        "header_cipher",
        "identity",
        "key",
        "opener",
        "packet_id",
        "sealer",
        "server_session_id",
        "token",
        "window",
    )

    def __init__(
        self,
        client_session_id: bytes,
        key: bytes,
        user: str | None,
        identity: bytes,
        opener: Aead | None,
        fingerprint: int,
    ) -> None:
        super().__init__(user)
        self.client_session_id = client_session_id
        self.key = key
        self.identity = identity
        self.opener = opener
        self.window = SlidingWindow(WINDOW_SIZE)
        self.fingerprint = fingerprint
        #: Who has the window, to the others.
        self.token = int.from_bytes(random_bytes(8), sys.byteorder)
        #: Where it was last in the memory of sessions; 0 before.
        self.column = 0
        #: Of our answers; None before the first of them.
        self.server_session_id: bytes | None = None
        #: The packet ID of the next answer.
        self.packet_id = 0
        self.sealer: Aead | None = None
        self.header_cipher: BlockCipher | None = None

    # Of two copies each would use the same packet IDs, and with them the same nonces.
    def __reduce__(self) -> NoReturn:
        raise TypeError("a session can be neither copied nor pickled")


class SessionTable:
    """Sessions by the client's ID, bounded, and in the order of their last use.

    :param limit: how many there are at most, 1 to 16777216; the one not used for longest makes
        room for a new one.
    :param retention: seconds that a session is kept after its last packet.
    :raises ValueError: a limit out of bounds.
    """

    __slots__ = ("_limit", "_retention", "_sessions")

    def __init__(self, limit: int, retention: int) -> None:
        if not 1 <= limit <= _LARGEST_LIMIT:
            raise ValueError(f"a table of {limit} sessions: it has 1 to {_LARGEST_LIMIT}")
        self._limit = limit
        self._retention = retention
        self._sessions: OrderedDict[bytes, ServerSession] = OrderedDict()

    def __len__(self) -> int:
        """How many sessions there are."""
        return len(self._sessions)

    def find(self, client_session_id: bytes) -> ServerSession | None:
        """Return the session of that ID, 8 bytes, or None."""
        return self._sessions.get(client_session_id)

    def add(self, session: ServerSession, now: int) -> None:
        """Add a session whose ID is not there yet."""
        self.expire(now)
        while len(self._sessions) >= self._limit:
            self._sessions.popitem(last=False)
        session.last_used = now
        self._sessions[session.client_session_id] = session

    def touch(self, session: ServerSession, now: int) -> None:
        """Note a packet of `session`."""
        session.last_used = now
        self._sessions.move_to_end(session.client_session_id)

    def forget(self, session: ServerSession) -> None:
        """Forget a session before its time, if it is there."""
        if self._sessions.get(session.client_session_id) is session:
            del self._sessions[session.client_session_id]

    def expire(self, now: int) -> int:
        """Forget the sessions that are no longer to be kept; returns how many there were."""
        before = len(self._sessions)
        while self._sessions:
            oldest = next(iter(self._sessions.values()))
            if oldest.association is not None:
                # It lasts as long as that.
                break
            # A clock that was set back by more than that makes every session look new.
            if -self._retention < now - oldest.last_used < self._retention:
                break
            self._sessions.popitem(last=False)
        return before - len(self._sessions)
