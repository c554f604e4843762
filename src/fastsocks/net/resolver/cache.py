"""What names stood for, and for how long that holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .finding import Finding

if TYPE_CHECKING:
    from .order import AddrInfo

#: Seconds for which addresses that are no longer good serve where nobody answers (RFC 8767
#: section 5: between a day and three).
STALE = 86400.0

#: Seconds until somebody is asked again who has not answered (RFC 8767 section 5).
RECHECK = 30.0


class Entry:
    """What is known of one name."""

    __slots__ = ("addresses", "expires", "failure", "usable_until")

    def __init__(self, found: Finding, now: float) -> None:
        self.addresses: tuple[AddrInfo, ...] = found.addresses
        self.failure = found.failure
        #: Until when nobody has to be asked.
        self.expires = now + found.ttl
        #: Until when the addresses serve where nobody answers.
        self.usable_until = self.expires + STALE


class Cache:
    """The entries of a resolver, of which there is a bounded number; the oldest goes first.

    :param size: how many there are at most, besides those of names that are kept.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: dict[str, Entry] = {}
        self._kept: dict[str, Entry | None] = {}

    def keep(self, name: str) -> None:
        """Keep the addresses of a name until there are others, however old they get."""
        self._kept.setdefault(name, self._entries.pop(name, None))

    def fresh(self, name: str, now: float) -> Entry | None:
        """Return what is known of a name without asking anybody."""
        entry = self._entries.get(name)
        if entry is None and self._kept:
            entry = self._kept.get(name)
        return entry if entry is not None and entry.expires > now else None

    def stale(self, name: str, now: float) -> Entry | None:
        """Return what had addresses of a name before, and serves where nobody answers."""
        kept = self._kept.get(name)
        if kept is not None:
            return kept if kept.addresses else None
        entry = self._entries.get(name)
        if entry is None or not entry.addresses or entry.usable_until <= now:
            return None
        return entry

    def put(self, name: str, found: Finding, now: float) -> Entry:
        """Note what was found, and return what is to be said of the name from now on."""
        if found.failure is not None and not found.of_name:
            stale = self.stale(name, now)
            if stale is not None:
                stale.expires = now + RECHECK
                return stale
        entry = Entry(found, now)
        if name in self._kept:
            self._kept[name] = entry
            return entry
        self._entries.pop(name, None)
        while len(self._entries) >= self._size:
            del self._entries[next(iter(self._entries))]
        self._entries[name] = entry
        return entry

    def drop(self, name: str, now: float) -> None:
        """Have somebody asked again for a name that had addresses.

        Those of one that is kept stay until then; that there are none is not forgotten.
        """
        entry = self._entries.get(name)
        if entry is not None and entry.addresses:
            del self._entries[name]
        kept = self._kept.get(name)
        if kept is not None and kept.addresses:
            kept.expires = now
