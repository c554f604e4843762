"""The highest packet of every session of the last minute, in pure Python; the twin of
``_session_memory.pyx``.
"""

from __future__ import annotations

import contextlib
import mmap
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from . import packet_faults as faults
from ._salts_py import pass_time
from .packet_faults import packet_error
from .salt_memory import HEADER_SIZE, TIME_SLACK, take_memory
from .session_memory import BUCKET_SIZE, COLUMNS, RETENTION, bucket_bits, memory_size

if TYPE_CHECKING:
    from ._sessions_py import ServerSession

_HIGHEST, _OWNER, _TIME = COLUMNS, 2 * COLUMNS, 3 * COLUMNS


class SessionMemory:
    """Remembers the sessions of the last minute in bounded memory.

    A session's window is for one codec; this is what all of a process and its workers know of it:
    its highest packet ID, and who has the window. Another codec that gets a packet of it, because
    it came to another port, the session was forgotten, or a worker has died, begins behind the
    highest; so it does when the session comes back.

    What cannot be remembered for as long as its timestamps are valid is refused: a session whose
    bucket has 63 that must be kept, which begins at 1,700 new ones a second of a memory for 2**18;
    and new ones while the clock is set back by more than 5 s.

    :param capacity: how many sessions; rounded up to 63 times a power of two; 32 bytes each.
    :param memory: as for :class:`._salts_py.SaltFilter`, of
        :func:`.session_memory.memory_size` bytes.
    :param lock: likewise.
    :raises ValueError: a parameter is out of bounds.
    """

    __slots__ = ("_bits", "_lock", "_words")

    def __init__(
        self,
        capacity: int,
        *,
        memory: mmap.mmap | None = None,
        lock: AbstractContextManager[object] | None = None,
    ) -> None:
        self._bits = bucket_bits(capacity)
        self._words = memoryview(take_memory(memory_size(capacity), memory)).cast("Q")
        self._lock = lock or contextlib.nullcontext()

    def admit(self, session: ServerSession, packet_id: int, now: int) -> None:
        """Note a packet that opened and that the session's window lets pass.

        :param now: Unix time in seconds, by which its timestamp was judged.
        :raises ReplayError: it may have been seen by who had the session before, or cannot be
            remembered.
        """
        mark = session.fingerprint or 1
        bucket = session.fingerprint >> 1 >> 63 - self._bits
        start = (HEADER_SIZE + bucket * BUCKET_SIZE) // 8
        words = self._words
        with self._lock:
            column = start + session.column
            if not session.column or words[column] != mark:
                column = self._find(start, mark)
            if not column:
                column = self._take(start, now)
                words[column + _HIGHEST] = packet_id
                words[column + _OWNER] = session.token
                words[column + _TIME] = now
                words[column] = mark
            elif words[column + _OWNER] != session.token:
                if packet_id <= words[column + _HIGHEST]:
                    raise packet_error(faults.REPLAYED)
                session.window.forget_below(words[column + _HIGHEST] + 1)
                words[column + _OWNER] = session.token
            words[column + _HIGHEST] = max(words[column + _HIGHEST], packet_id)
            words[column + _TIME] = max(words[column + _TIME], now)
        session.column = column - start

    def _find(self, start: int, mark: int) -> int:
        """Return the word of `mark` in the bucket that begins at `start`, or 0."""
        for column in range(start + 1, start + COLUMNS):
            if self._words[column] == mark:
                return column
        return 0

    def _take(self, start: int, now: int) -> int:
        """Return the word of a column that is free or no longer to be kept."""
        if not pass_time(self._words, now):
            raise packet_error(faults.CLOCK_SET_BACK)
        for column in range(start + 1, start + COLUMNS):
            if (
                not self._words[column]
                or now - self._words[column + _TIME] > RETENTION + TIME_SLACK
            ):
                return column
        raise packet_error(faults.NO_ROOM)
