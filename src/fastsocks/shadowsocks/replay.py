"""What remembers earlier connections and packets, in the implementation that runs."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NoReturn

from ..crypto import KeyedHash, random_bytes
from ..implementation import IMPLEMENTATION
from ..shared_memory import SharedMemory
from . import salt_memory, session_memory

if TYPE_CHECKING or IMPLEMENTATION == "python":
    from ._fingerprints_py import Fingerprints
    from ._salts_py import SaltFilter, new_lock
    from ._session_memory_py import SessionMemory
else:
    from ._fingerprints import Fingerprints
    from ._salts import SaltFilter, new_lock
    from ._session_memory import SessionMemory

__all__ = ["CAPACITY", "Fingerprints", "ReplayMemory", "SaltFilter", "replay_memory"]

#: Salts of each kind that are remembered for a process: 8 MB.
CAPACITY = 1 << 20

#: Sessions of UDP that are: 8 MB.
SESSIONS = 1 << 18

#: Seconds for which SIP022 wants a salt remembered: as long as its timestamp can pass. 62: stamps
#: have whole seconds, so one dated 30 s ahead stays valid for up to 61.
RETENTION = 62


class ReplayMemory:
    """What was seen under any key, at any port, by TCP and UDP.

    A request that was recorded is a replay wherever it comes next: one memory serves all keys of a
    process. Made before that forks, it is one for all its children. Its size is that of its tables,
    however many keys and users there are; the kernel gives it page by page as they fill.

    :param capacity: salts of each kind; see :class:`.SaltFilter`.
    :param sessions: see :class:`.SessionMemory`.
    :param lock: see :class:`.SaltFilter`.
    :raises ValueError: a capacity out of bounds.
    """

    __slots__ = ("hash", "memories", "packet_salts", "salts", "sessions", "timed_salts")

    def __init__(
        self,
        capacity: int = CAPACITY,
        sessions: int = SESSIONS,
        lock: AbstractContextManager[object] | None = None,
    ) -> None:
        #: Secret, so that nobody can choose salts that crowd together.
        self.hash = KeyedHash(random_bytes(16))
        size, layout = salt_memory.memory_size(capacity), salt_memory.LAYOUT
        #: What holds all of it.
        self.memories = (
            SharedMemory("salts", size, layout),
            SharedMemory("packet-salts", size, layout),
            SharedMemory("timed-salts", size, layout),
            SharedMemory("sessions", session_memory.memory_size(sessions), session_memory.LAYOUT),
        )
        salts, packet_salts, timed_salts, session_words = (one.map for one in self.memories)
        #: Of AEAD and stream methods, by TCP.
        self.salts = SaltFilter(capacity, memory=salts, lock=lock)
        #: Likewise by UDP, of packets either way, which would soon push out those of connections.
        self.packet_salts = SaltFilter(capacity, memory=packet_salts, lock=lock)
        #: Of the 2022 edition, by TCP.
        self.timed_salts = SaltFilter(capacity, RETENTION, memory=timed_salts, lock=lock)
        #: Of the 2022 edition, by UDP.
        self.sessions = SessionMemory(sessions, memory=session_words, lock=lock)

    # A copy would not see what the other one does.
    def __reduce__(self) -> NoReturn:
        raise TypeError("a memory of replays can be neither copied nor pickled")


_making = threading.Lock()
_made: list[ReplayMemory] = []


def replay_memory(workers: int = 1) -> ReplayMemory:
    """Return the memory of this process, which all its services share.

    :param workers: processes that will use it, this one's children among them; the first call
        decides how many salts there is room for.
    """
    with _making:
        if not _made:
            _made.append(ReplayMemory(workers * CAPACITY, lock=new_lock()))
        return _made[0]
