"""Refuses the salts and initialisation vectors that a server has seen before."""

from __future__ import annotations

from ..errors import ReplayError
from .methods import Family, Method
from .replay import SaltFilter, SaltStore

#: IVs shorter than this repeat by chance too soon to be remembered (in bytes).
_SHORTEST_IV = 8


class ReplayGuard:
    """What one key's listeners have seen, by the rule of the method's edition.

    2022: an exact set, kept for as long as a timestamp can be valid (SIP022). AEAD and
    stream: a filter of bounded size. ``none``, and IVs of fewer than 8 bytes: nothing.

    :param method: the method of the key.
    """

    __slots__ = ("_filter", "_store")

    def __init__(self, method: Method) -> None:
        exact = method.family is Family.AEAD_2022
        self._store = SaltStore() if exact else None
        self._filter = SaltFilter() if not exact and method.salt_size >= _SHORTEST_IV else None

    def check(self, salt: bytes) -> None:
        """Look before anything is decrypted.

        :raises ReplayError: `salt` was seen; never in the 2022 edition, which looks when it adds.
        """
        if self._filter is not None and self._filter.seen(salt):
            raise ReplayError("a salt that was used before: a replay, or a probe")

    def add(self, salt: bytes) -> None:
        """Remember a salt whose first record opened.

        :raises ReplayError: `salt` was seen.
        """
        if self._store is not None:
            if not self._store.add(salt):
                raise ReplayError("a salt that was used before: a replay, or a probe")
        elif self._filter is not None:
            self.check(salt)
            self._filter.add(salt)
