"""Refuses the salts and initialisation vectors that a server has seen before."""

from __future__ import annotations

from contextlib import AbstractContextManager

from ..errors import ReplayError
from .methods import Family, Method
from .replay import CAPACITY, RETENTION, SaltFilter

#: IVs shorter than this repeat by chance too soon to be remembered (in bytes).
_SHORTEST_IV = 8


class ReplayGuard:
    """What one key's listeners have seen, by the rule of the method's edition.

    2022: every salt, for as long as a timestamp can be valid (SIP022). AEAD and stream: the last
    ones, as many as there is room for. ``none``, and IVs of fewer than 8 bytes: nothing.

    Made before a process forks it is one for all of them.

    :param method: the method of the key.
    :param capacity: see :class:`.replay.SaltFilter`; a million for each process that adds.
    :param lock: likewise.
    """

    __slots__ = ("_timed", "filter")

    def __init__(
        self,
        method: Method,
        capacity: int = CAPACITY,
        lock: AbstractContextManager[object] | None = None,
    ) -> None:
        self._timed = method.family is Family.AEAD_2022
        #: None where nothing is remembered.
        self.filter: SaltFilter | None = None
        if method.salt_size >= _SHORTEST_IV:
            retention = RETENTION if self._timed else None
            self.filter = SaltFilter(capacity, retention, lock=lock)

    def check(self, salt: bytes) -> None:
        """Look before anything is decrypted.

        :raises ReplayError: `salt` was seen; never in the 2022 edition, which looks when it adds.
        """
        if self.filter is not None and not self._timed and self.filter.seen(salt):
            raise replay()

    def add(self, salt: bytes) -> None:
        """Remember a salt whose first record opened.

        :raises ReplayError: `salt` was seen, or cannot be remembered for as long as it has to be.
        """
        if self.filter is not None and not self.filter.add(salt):
            raise replay()


def replay() -> ReplayError:
    """Return the error about a salt that was seen."""
    return ReplayError("a salt that was used before: a replay, or a probe")
