"""Names looked up by the system's getaddrinfo, for hosts whose names are not only in DNS.

It blocks, and nothing can end it: each look-up has a thread, of which there are few, and who gives
a look-up up leaves its thread behind until the system is through with it.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
from typing import TYPE_CHECKING

from .dns import FAILURE_TTL, NEGATIVE_TTL
from .finding import NO_ADDRESS, Failure, Finding

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from .order import AddrInfo

#: Look-ups at a time: threads.
THREADS = 64

#: Seconds for which addresses are kept, of which getaddrinfo does not tell how long they are good.
TTL = 60.0

#: Failures that say something of the name; the others say that no server answered.
_OF_THE_NAME = frozenset(
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if hasattr(socket, name)
)


class SystemSource:
    """Asks the system.

    :param loop: the running event loop.
    :param families: gives those of addresses that are wanted now, AF_INET and AF_INET6 or one.
    :param searches: tells whether the system appends domains to names of one label. A final dot
        keeps it from that: what is looked up has to be what rules have decided on.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        families: Callable[[], tuple[int, ...]],
        searches: Callable[[], bool],
    ) -> None:
        self._loop = loop
        self._families = families
        self._searches = searches

    def look_up(self, name: str, found: Callable[[Finding], None]) -> SystemLookUp:
        """Begin to look a name up; see :class:`.finding.Source`."""
        asked = name + "." if "." in name or self._searches() else name
        families = self._families()
        family = families[0] if len(families) == 1 else socket.AF_UNSPEC
        return SystemLookUp(self._loop, asked.encode("ascii"), family, found)

    async def close(self) -> None:
        """Wait for nothing: threads end by themselves."""


class SystemLookUp:
    """One name; see :class:`.finding.LookUp`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        name: bytes,
        family: int,
        found: Callable[[Finding], None],
    ) -> None:
        self._loop = loop
        self._name = name
        self._family = family
        self._found = found
        # As a daemon it does not hold up the end of the process.
        thread = threading.Thread(target=self._run, name="fastsocks-name", daemon=True)
        try:
            thread.start()
        except RuntimeError as cause:
            failure = Failure(socket.EAI_AGAIN, str(cause), errno.EAGAIN)
            loop.call_soon(found, Finding((), FAILURE_TTL, failure, of_name=False))

    def _run(self) -> None:
        finding = _look_up(self._name, self._family)
        # The loop may be closed by now.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._found, finding)

    def close(self) -> bool:
        """Tell that it goes on."""
        return False


def _look_up(name: bytes, family: int) -> Finding:
    try:
        found = socket.getaddrinfo(
            name,
            0,
            family=family,
            type=socket.SOCK_STREAM,
            proto=socket.IPPROTO_TCP,
            # Without it a host that has no IPv6 is given addresses it cannot reach.
            flags=socket.AI_ADDRCONFIG,
        )
    except OSError as error:
        of_name = error.errno in _OF_THE_NAME
        failure = Failure(error.errno or socket.EAI_FAIL, error.strerror or str(error))
        return Finding((), NEGATIVE_TTL if of_name else FAILURE_TTL, failure, of_name=of_name)
    if not found:
        return Finding((), NEGATIVE_TTL, NO_ADDRESS)
    addresses: tuple[AddrInfo, ...] = tuple(found)
    return Finding(addresses, TTL)
