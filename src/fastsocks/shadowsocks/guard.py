"""Refuses the salts and initialisation vectors that a server has seen before."""

from __future__ import annotations

from ..errors import ReplayError
from .keys import ServerKey
from .replay import Fingerprints, ReplayMemory, SaltFilter

#: IVs shorter than this repeat by chance too soon to be remembered (in bytes).
SHORTEST_IV = 8


class ReplayGuard:
    """What listeners of one key have seen, by the rule of the method's edition.

    2022: every salt, for as long as a timestamp can be valid (SIP022). AEAD and stream: the last
    ones, as many as there is room for. ``none``, and IVs of fewer than 8 bytes: nothing.

    :param key: method, key and users.
    :param memory: what guards of the same key share, and those of others may; one of its own by
        default.
    """

    __slots__ = ("_timed", "filter", "fingerprints")

    def __init__(self, key: ServerKey, memory: ReplayMemory | None = None) -> None:
        method = key.method
        if memory is None:
            memory = ReplayMemory()
        self._timed = method.family.timed
        #: None where nothing is remembered.
        self.filter: SaltFilter | None = None
        if method.salt_size >= SHORTEST_IV:
            self.filter = memory.timed_salts if self._timed else memory.salts
        self.fingerprints = Fingerprints(memory.hash, method.name, key.key)

    def check(self, salt: bytes) -> None:
        """Look before anything is decrypted.

        :raises ReplayError: `salt` was seen; never in the 2022 edition, which looks when it adds.
        """
        if self.filter is None or self._timed:
            return
        if self.filter.seen(self.fingerprints.of(salt)):
            raise replay()

    def add(self, salt: bytes, now: float = 0, key: bytes | None = None) -> None:
        """Remember a salt whose first record opened.

        :param now: Unix time in seconds by which its timestamp was judged (2022).
        :param key: that of the user under whose it opened, if there are users.
        :raises ReplayError: `salt` was seen, or cannot be remembered for as long as it has to be.
        """
        if self.filter is not None and not self.filter.add(self.fingerprints.of(salt, key), now):
            raise replay()


def replay() -> ReplayError:
    """Return the error about a salt that was seen."""
    return ReplayError("a salt that was used before: a replay, or a probe")
