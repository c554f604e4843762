"""Which addresses have been there of late, and which have not (RFC 8305 section 4).

Where IPv6 is broken, every connection would wait for it before it goes by IPv4; and datagrams,
for which nobody answers, would go nowhere. What one connection has found out is for all that come
after it.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable

from .order import AddrInfo

#: Seconds for which it counts what was found out.
REMEMBERED = 600.0

#: Addresses of which something is remembered.
_MOST = 1024

#: Times in a row that IPv6 has lost to IPv4 until it comes last for all names.
_STRIKES = 3


class Ways:
    """What connections to names of several addresses have found out.

    :param first: AF_INET or AF_INET6 to have that family tried first unless it is known to be
        broken; 0 leaves it to RFC 6724.
    """

    def __init__(self, first: int = 0) -> None:
        self._first = first
        #: Until when it counts, and whether the address was there.
        self._known: dict[str, tuple[float, bool]] = {}
        self._strikes = 0
        self._ipv6_last_until = 0.0

    def learn(self, won: str, lost: Iterable[str]) -> None:
        """Note that a connection to one address stood before those to others, begun earlier."""
        lost = list(lost)
        until = time.monotonic() + REMEMBERED
        self._note(won, until, there=True)
        for host in lost:
            self._note(host, until, there=False)
        if ":" in won:
            self._strikes = 0
            self._ipv6_last_until = 0.0
        elif any(":" in host for host in lost):
            self._strikes += 1
            if self._strikes >= _STRIKES:
                # Once that time is over, one more of them will do.
                self._strikes = _STRIKES - 1
                self._ipv6_last_until = until

    def _note(self, host: str, until: float, *, there: bool) -> None:
        self._known.pop(host, None)
        while len(self._known) >= _MOST:
            del self._known[next(iter(self._known))]
        self._known[host] = until, there

    def is_known(self, infos: Iterable[AddrInfo]) -> bool:
        """Tell whether one of these addresses was there of late."""
        return any(self._was_there(info[4][0]) for info in infos)

    def in_order(self, infos: tuple[AddrInfo, ...]) -> tuple[AddrInfo, ...]:
        """Return addresses with those last that were not there.

        Those that were are no better than those that nobody has tried: by their order name servers
        share out load.

        :return: the same object where there is nothing to change.
        """
        if len(infos) < 2 or not (self._known or self._first):
            return infos
        ipv6_last = self._ipv6_last_until > time.monotonic()

        def rank(info: AddrInfo) -> tuple[bool, bool, bool]:
            return (
                self._was_there(info[4][0]) is False,
                ipv6_last and info[0] == socket.AF_INET6,
                self._first not in {0, info[0]},
            )

        found = tuple(sorted(infos, key=rank))
        return infos if found == infos else found

    def _was_there(self, host: str) -> bool | None:
        known = self._known.get(host)
        if known is None or known[0] <= time.monotonic():
            return None
        return known[1]
