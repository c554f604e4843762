"""Name resolution that never blocks the loop."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from fastsocks.address import host_name
from fastsocks.errors import HostNameError, ResolveError, dial_error

if TYPE_CHECKING:
    from collections.abc import Callable

#: family, type, proto, canonname, sockaddr as getaddrinfo returns them.
AddrInfo: TypeAlias = tuple[int, int, int, str, tuple[Any, ...]]

#: Failures that say something of the name; the others say that no server answered.
_ABOUT_THE_NAME = frozenset(
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if hasattr(socket, name)
)


class _Entry(NamedTuple):
    expires: float
    addresses: tuple[AddrInfo, ...]
    #: Instead of addresses; the arguments and not the exception, which would collect a
    #: traceback each time it is raised.
    failure: tuple[int, str] | None


class _Client:
    """The look-ups of one client: how many run, and who waits for one of them to end."""

    __slots__ = ("running", "waiting")

    def __init__(self) -> None:
        self.running = 0
        self.waiting: deque[asyncio.Future[None]] = deque()


def _encode(host: str) -> bytes:
    try:
        name = host_name(host)
    except HostNameError as error:
        raise ResolveError(str(error)) from error
    # To the system's resolver a dot at the end says "no search domains".
    final = host.endswith(".") and not name.rpartition(".")[2].isdecimal()
    return f"{name}.".encode("ascii") if final else name.encode("ascii")


class Resolver:
    """Looks names up with the system's getaddrinfo, off the loop, and remembers the answers.

    Simultaneous look-ups of one name share one call. getaddrinfo does not tell how long an
    answer is good for, so every answer is kept for the same short time.

    :param loop: the loop that runs the look-ups.
    :param ttl: seconds for which addresses are kept.
    :param negative_ttl: seconds for which the answer is kept that there is no such name.
        Failures to get an answer are not kept.
    :param size: how many names are kept at most; the oldest goes first.
    :param per_client: how many look-ups of one client run at a time; further ones wait for
        their turn. There are few threads for them, and without it one client that asks for
        names whose servers do not answer keeps everybody waiting. 0 is no cap.
    :param queued: is called with the client each time that a look-up has to wait for that.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        ttl: float = 60.0,
        negative_ttl: float = 5.0,
        size: int = 4096,
        per_client: int = 0,
        queued: Callable[[str], None] | None = None,
    ) -> None:
        self._loop = loop
        self._ttl = ttl
        self._negative_ttl = negative_ttl
        self._size = size
        self._entries: dict[bytes, _Entry] = {}
        self._lookups: dict[bytes, asyncio.Task[_Entry]] = {}
        self._per_client = per_client or sys.maxsize
        self._queued = queued
        self._clients: dict[str, _Client] = {}

    def cached(self, host: str) -> tuple[AddrInfo, ...] | None:
        """Return the addresses of `host` if they are known now; their port is 0.

        :param host: a name as in :attr:`fastsocks.address.Address.host`.
        :return: one address or more, or None where only :meth:`resolve` can tell.
        """
        try:
            entry = self._entry(_encode(host))
        except ResolveError:
            return None
        return entry.addresses or None if entry is not None else None

    async def resolve(self, host: str, port: int, client: str = "") -> list[AddrInfo]:
        """Look up the addresses of `host`, in the order in which to try them (RFC 6724).

        :param host: a name, looked up in its one form (:func:`.address.host_name`); a dot
            at its end is kept, which the system's resolver takes for "no search domains".
        :param port: goes into the addresses.
        :param client: for whom, where clients are told apart.
        :raises ResolveError: there is no such name, or no answer.
        """
        name = _encode(host)
        entry = self._entry(name)
        while entry is None:
            task = self._lookups.get(name)
            if task is None:
                await self._begin(client)
                if name in self._lookups or self._entry(name) is not None:
                    # Somebody else was faster while this one had to wait.
                    self._end(client)
                    entry = self._entry(name)
                    continue
                task = self._start(name, client)
            # A caller that gives up must not take the answer away from the others.
            entry = await asyncio.shield(task)
        if entry.failure is not None:
            raise dial_error(socket.gaierror(*entry.failure))
        return [
            (family, kind, proto, canonical, (sockaddr[0], port, *sockaddr[2:]))
            for family, kind, proto, canonical, sockaddr in entry.addresses
        ]

    def _start(self, name: bytes, client: str) -> asyncio.Task[_Entry]:
        def over(_: asyncio.Task[_Entry]) -> None:
            del self._lookups[name]
            self._end(client)

        task = self._lookups[name] = self._loop.create_task(self._look_up(name))
        task.add_done_callback(over)
        return task

    async def _begin(self, client: str) -> None:
        """Wait until one more look-up of `client` may run; :meth:`_end` gives that back."""
        state = self._clients.get(client)
        if state is None:
            state = self._clients[client] = _Client()
        if state.running < self._per_client:
            state.running += 1
            return
        if self._queued is not None:
            self._queued(client)
        turn = self._loop.create_future()
        state.waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                if turn in state.waiting:
                    state.waiting.remove(turn)
            else:
                self._end(client)
            raise

    def _end(self, client: str) -> None:
        """Give the place of a look-up to the next one of `client`, or back."""
        state = self._clients[client]
        while state.waiting:
            turn = state.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        state.running -= 1
        if not state.running:
            del self._clients[client]

    def _entry(self, name: bytes) -> _Entry | None:
        entry = self._entries.get(name)
        if entry is not None and entry.expires <= self._loop.time():
            del self._entries[name]
            return None
        return entry

    async def _look_up(self, name: bytes) -> _Entry:
        addresses: tuple[AddrInfo, ...] = ()
        failure = None
        ttl = self._ttl
        try:
            found = await self._loop.getaddrinfo(
                name,
                0,
                type=socket.SOCK_STREAM,
                proto=socket.IPPROTO_TCP,
                # Without it a host that has no IPv6 is given addresses it cannot reach.
                flags=socket.AI_ADDRCONFIG,
            )
        except OSError as error:
            reason = error.strerror or "the name does not resolve"
            failure = (error.errno or socket.EAI_FAIL, reason)
            ttl = self._negative_ttl if error.errno in _ABOUT_THE_NAME else 0.0
        else:
            addresses = tuple(found)
            if not addresses:
                failure = (socket.EAI_NONAME, "the name has no address")
                ttl = self._negative_ttl
        entry = _Entry(self._loop.time() + ttl, addresses, failure)
        if ttl > 0:
            self._keep(name, entry)
        return entry

    def _keep(self, name: bytes, entry: _Entry) -> None:
        self._entries.pop(name, None)
        while len(self._entries) >= self._size:
            del self._entries[next(iter(self._entries))]
        self._entries[name] = entry

    async def close(self) -> int:
        """End the look-ups under way; their callers get a CancelledError.

        :return: how many they were. The system cannot be made to give one up: its thread
            runs on until there is an answer, and closing the loop waits for it.
        """
        for client in self._clients.values():
            for turn in client.waiting:
                turn.cancel()
        lookups = list(self._lookups.values())
        for task in lookups:
            task.cancel()
        await asyncio.gather(*lookups, return_exceptions=True)
        return len(lookups)
