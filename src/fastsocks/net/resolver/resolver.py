"""Name resolution that never blocks the loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING

from fastsocks.address import host_name
from fastsocks.errors import ConfigError, HostNameError, ResolveError

from .cache import Cache, Entry
from .fair_share import FairShare
from .finding import NO_ADDRESS, Failure, Finding
from .literal import address_of
from .name_servers import NameServers, read_name_server
from .order import HostFamilies, in_order, info_of
from .system import System
from .ways import Ways

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .finding import LookUp, Source
    from .order import AddrInfo

#: Look-ups at a time.
MOST_LOOK_UPS = 4096

#: Sockets that they have before they share them, where nothing else is said: an eighth of the files
#: that a process may open on most systems.
MOST_SOCKETS = 128

#: Seconds that a look-up waits for its turn.
LONGEST_LINE = 10.0

#: Seconds to wait for an answer where there is an old one (RFC 8767 section 5).
STALE_WAIT = 1.8

#: Values of `servers` beside name servers.
AUTO, SYSTEM = "auto", "system"

#: Seconds for which what the hosts file says is taken without a look at it.
_HOSTS_TTL = 5.0

_NO_TURN = Failure(socket.EAI_AGAIN, "too many names are looked up: no turn in time")


class Resolver:
    """Looks names up and remembers the answers; exactly what it is given, no domain is searched.

    Simultaneous look-ups of one name are one, which ends with the last one who waits for it.
    Answers are kept for as long as their TTL says, within bounds, and that nobody answered for a
    second. Addresses that are no longer good serve for a day while nobody answers (RFC 8767), those
    of :meth:`keep` without an end.

    :param loop: the loop that runs the look-ups.
    :param servers: ``auto``: those of resolv.conf, or the system's getaddrinfo for names that
        nsswitch.conf has looked up elsewhere, too, and where the system is not Linux; ``system``:
        getaddrinfo for all; or name servers, as :func:`.read_name_server` reads them. The hosts
        file comes first in any case.
    :param families: of addresses, AF_INET and AF_INET6 or one of them; by default both, or IPv4
        alone where this host could not use IPv6.
    :param first: the family to try first, AF_INET or AF_INET6; 0 goes by RFC 6724.
    :param size: how many names are kept at most; the oldest goes first.
    :param most: how many look-ups there are at a time; further ones wait, ten seconds at most.
    :param most_sockets: how many sockets these take before they share them.
    :param per_client: how many one client has, a quarter of `most` at most; 0 is that.
    :param queued: is called with the client each time that a look-up waits for others of its own.
    :param system: the files that say how this system looks names up.
    :raises ConfigError: one of the name servers is none.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        servers: Iterable[str] = (AUTO,),
        *,
        families: tuple[int, ...] = (),
        first: int = 0,
        size: int = 4096,
        most: int = MOST_LOOK_UPS,
        most_sockets: int = MOST_SOCKETS,
        per_client: int = 0,
        queued: Callable[[str], None] | None = None,
        system: System | None = None,
    ) -> None:
        self.loop = loop
        self._system = system or System()
        self._families: Callable[[], tuple[int, ...]] = HostFamilies().get
        if families:
            self._families = lambda: families
        self._queued = queued
        self._cache = Cache(size)
        self._ways = Ways(first)
        self._look_ups: dict[str, _Shared] = {}
        self._most, self._per_client = most, per_client
        self._most_sockets = most_sockets
        self._sources: dict[str, tuple[Source, FairShare]] = {}
        self._choice = tuple(servers)
        self._find_servers: Callable[[], NameServers] = self._system.name_servers
        if self._choice not in {(AUTO,), (SYSTEM,)}:
            if isinstance(loop, getattr(asyncio, "ProactorEventLoop", ())):
                raise ConfigError(
                    "resolver: this event loop of Windows cannot ask name servers; write system"
                )
            chosen = NameServers(tuple(map(read_name_server, self._choice)))
            self._find_servers = lambda: chosen

    def keep(self, host: str) -> None:
        """Keep the addresses of what is configured until there are others.

        :param host: a name, or an IP address, of which there is nothing to keep.
        """
        with contextlib.suppress(HostNameError):
            self._cache.keep(host_name(host))

    def cached(self, host: str) -> tuple[AddrInfo, ...] | None:
        """Return the addresses of `host` if they are known now; their port is 0.

        :param host: a name as in :attr:`fastsocks.address.Address.host`.
        :return: one address or more, or None where only :meth:`resolve` can tell. The same object
            for as long as an answer is good.
        """
        try:
            name = host_name(host)
        except HostNameError:
            return None
        entry = self._cache.fresh(name, self.loop.time())
        return entry.addresses or None if entry is not None else None

    def drop(self, host: str) -> None:
        """Look a name up again before it is dialed the next time: no address of it was there.

        :param host: one that :meth:`resolve` has taken.
        """
        # An address with its scope is no name, and nothing is kept of it.
        with contextlib.suppress(HostNameError):
            self._cache.drop(host_name(host), self.loop.time())

    def learn(self, host: str, won: str, lost: Iterable[str]) -> None:
        """Note which address of a name a connection has got to.

        :param host: the name, as :meth:`resolve` has taken it.
        :param won: the address; `lost`: those that were tried before it, in vain or for too long.
        """
        self._ways.learn(won, lost)
        entry = self._cache.fresh(host_name(host), self.loop.time())
        if entry is not None:
            entry.addresses = self._ways.in_order(entry.addresses)

    def knows_way(self, infos: Iterable[AddrInfo]) -> bool:
        """Tell whether a connection has got to one of these addresses of late."""
        return self._ways.is_known(infos)

    async def resolve(self, host: str, port: int, client: str = "") -> list[AddrInfo]:
        """Look up the addresses of `host`, in the order in which to try them.

        That is by RFC 6724, and by what :meth:`learn` was told.

        :param host: a name, looked up in its one form (:func:`fastsocks.address.host_name`).
        :param port: goes into the addresses.
        :param client: what counts as one client, where these are told apart.
        :raises ResolveError: there is no such name, no answer, or too many look-ups.
        """
        literal = address_of(host)
        addresses = (literal,) if literal is not None else await self._addresses(host, client)
        addresses = self._ways.in_order(addresses)
        return [
            (family, kind, proto, canonical, (sockaddr[0], port, *sockaddr[2:]))
            for family, kind, proto, canonical, sockaddr in addresses
        ]

    async def _addresses(self, host: str, client: str) -> tuple[AddrInfo, ...]:
        try:
            name = host_name(host)
        except HostNameError as error:
            raise ResolveError(str(error)) from error
        number = address_of(name)
        if number is not None:
            return (number,)
        return self._known(name) or await self._looked_up(name, client)

    def _known(self, name: str) -> tuple[AddrInfo, ...] | None:
        """Return what nobody has to be asked for.

        :raises ResolveError: it is known that there is nothing.
        """
        entry = self._cache.fresh(name, self.loop.time())
        if entry is not None:
            return _checked(entry.addresses, entry.failure)
        texts = self._system.in_hosts(name)
        if not texts:
            return None
        addresses = self._usable(texts)
        self.take(name, Finding(addresses, _HOSTS_TTL, None if addresses else NO_ADDRESS))
        return _checked(addresses, NO_ADDRESS)

    def _usable(self, texts: tuple[str, ...]) -> tuple[AddrInfo, ...]:
        """Return addresses in the order in which to try them, of the families that are wanted."""
        families = self._families()
        return tuple(in_order([one for one in map(info_of, texts) if one[0] in families]))

    async def _looked_up(self, name: str, client: str) -> tuple[AddrInfo, ...]:
        shared = self._look_ups.get(name)
        if shared is None:
            shared = self._look_ups[name] = _Shared(self, name)
        waiter = self.loop.create_future()
        shared.waiters.add(waiter)
        try:
            shared.begin_for(client)
            stale = self._cache.stale(name, self.loop.time())
            if stale is not None:
                await asyncio.wait((waiter,), timeout=STALE_WAIT)
                if not waiter.done():
                    shared.detached = True
                    return stale.addresses
            entry = await waiter
        finally:
            shared.leave(waiter)
        return _checked(entry.addresses, entry.failure)

    def source_of(self, name: str) -> tuple[Source, FairShare]:
        """Return who is to be asked for a name, and the places that there are for that."""
        asks_system = self._choice == (SYSTEM,) or (
            self._choice == (AUTO,) and self._system.has_to_be_asked(name)
        )
        key = SYSTEM if asks_system else AUTO
        found = self._sources.get(key)
        if found is None:
            found = self._sources[key] = self._make_source(system=asks_system)
        return found

    def _make_source(self, *, system: bool) -> tuple[Source, FairShare]:
        # Imported here: who dials addresses has no use for any of it.
        if system:
            from .getaddrinfo import THREADS, SystemSource

            places = FairShare(min(self._most, THREADS), self._per_client, self._queued)
            return SystemSource(self.loop, self._families, self._system.searches), places
        from .dns import DnsSource

        places = FairShare(self._most, self._per_client, self._queued)
        return (
            DnsSource(self.loop, self._find_servers, self._families, self._most_sockets),
            places,
        )

    def take(self, name: str, found: Finding) -> Entry:
        """Remember what a look-up has found, and return what to say of the name."""
        found = found._replace(addresses=self._ways.in_order(found.addresses))
        return self._cache.put(name, found, self.loop.time())

    def forget(self, shared: _Shared) -> None:
        """Let nobody join a look-up any more."""
        if self._look_ups.get(shared.name) is shared:
            del self._look_ups[shared.name]

    async def close(self) -> None:
        """End the look-ups under way; their callers get a CancelledError."""
        for shared in list(self._look_ups.values()):
            shared.cancel()
        for source, _ in self._sources.values():
            await source.close()


class _Shared:
    """One look-up, for all who wait for it."""

    __slots__ = (
        "_clients",
        "_look_up",
        "_over",
        "_places",
        "_resolver",
        "_timer",
        "_whose",
        "detached",
        "name",
        "waiters",
    )

    def __init__(self, resolver: Resolver, name: str) -> None:
        self._resolver = resolver
        self.name = name
        self.waiters: set[asyncio.Future[Entry]] = set()
        #: Whether it goes on although nobody waits for it: its answer is for those who come next.
        self.detached = False
        self._over = False
        self._look_up: LookUp | None = None
        self._places: FairShare | None = None
        # Whose place it has, and who waits for one.
        self._whose: str | None = None
        self._clients: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin_for(self, client: str) -> None:
        """Begin, or wait for a turn of this client too.

        :raises ResolveError: too many wait already.
        """
        if self._whose is not None or client in self._clients:
            return
        source, places = self._resolver.source_of(self.name)
        self._places = places
        if places.take(client):
            self._begin(source, client)
            return
        places.wait(client, lambda: self._its_turn(source, client))
        self._clients.add(client)
        if self._timer is None:
            self._timer = self._resolver.loop.call_later(LONGEST_LINE, self._waited_too_long)

    def _its_turn(self, source: Source, client: str) -> bool:
        if self._over or self._whose is not None:
            return False
        self._begin(source, client)
        return True

    def _begin(self, source: Source, client: str) -> None:
        self._stop_timer()
        self._whose = client
        self._look_up = source.look_up(self.name, self._found)

    def _waited_too_long(self) -> None:
        found = Finding((), 0.0, _NO_TURN, of_name=False)
        self._tell(self._resolver.take(self.name, found))
        self._end()

    def _found(self, found: Finding) -> None:
        if not found.more:
            self._look_up = None
            self._give_back()
        if self._over:
            # It was the system's, which does not give up.
            return
        self._tell(self._resolver.take(self.name, found))
        if found.more:
            self.detached = True
        else:
            self._end()

    def _tell(self, entry: Entry) -> None:
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(entry)
        self.waiters.clear()

    def leave(self, waiter: asyncio.Future[Entry]) -> None:
        """Let somebody wait no more; with the last one the look-up ends."""
        self.waiters.discard(waiter)
        if not (self._over or self.waiters or self.detached):
            self.cancel()

    def cancel(self) -> None:
        """End it, and with it who waits for it."""
        self._end()
        for waiter in self.waiters:
            waiter.cancel()
        self.waiters.clear()
        look_up = self._look_up
        if look_up is not None and look_up.close():
            self._look_up = None
            self._give_back()

    def _end(self) -> None:
        self._over = True
        self._stop_timer()
        self._resolver.forget(self)

    def _give_back(self) -> None:
        whose, self._whose = self._whose, None
        if whose is not None and self._places is not None:
            self._places.give_back(whose)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _checked(addresses: tuple[AddrInfo, ...], failure: Failure | None) -> tuple[AddrInfo, ...]:
    """Return addresses.

    :raises ResolveError: there are none.
    """
    if addresses:
        return addresses
    failure = failure or NO_ADDRESS
    error = ResolveError(failure.reason)
    error.errno = failure.code
    if failure.errno is None:
        raise error from socket.gaierror(failure.code, failure.reason)
    raise error from OSError(failure.errno, os.strerror(failure.errno))
