"""The life of a service: start, addresses, drain, close."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import socket
import warnings
from typing import TYPE_CHECKING, Any, Self

from fastsocks.errors import ConfigError, StoppedError
from fastsocks.journal.associations import Associations
from fastsocks.journal.stats import Stats, counts_of
from fastsocks.net import (
    Dialer,
    Resolver,
    check_local_addresses,
    defer_accept,
    fast_open_obstacle,
    is_name,
)
from fastsocks.outbound.resolving import make_resolver
from fastsocks.setup.acceptor import Acceptor

from .datagrams import Datagrams
from .listening import Listening, bind, bind_for_workers, take_over
from .reload import Reload, Reloaded, changes
from .stopping import StopSignals, drain_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from fastsocks.config import Options
    from fastsocks.inbound import Inbounds
    from fastsocks.outbound.own_addresses import OwnAddresses
    from fastsocks.policy import ClientLimits, Meters
    from fastsocks.relay.udp import DatagramCounters

    from .reporting import ReportingService
    from .shared_state import SharedState

#: Seconds between two times at which processes tell each other what they have counted.
_PUBLISHING_INTERVAL = 2.0

_log = logging.getLogger("fastsocks")


class Running:
    """A service that listens, once it is started, on the loop that started it.

    It never touches what belongs to the process, such as limits and how logs are written, nor
    signals unless :meth:`serve_forever` is told to.

    :param make: makes what connections are for, of options and of the service `before`, whose
        place it is to take.
    :param options: where to listen, and time limits.
    :param local_addresses: see :class:`fastsocks.net.Dialer`.
    :param shared: what several processes that run this service have in common.
    """

    #: Whether it serves UDP at the addresses of TCP; SOCKS clients ask for theirs by TCP.
    binds_datagrams = False

    def __init__(
        self,
        make: Callable[..., ReportingService],
        options: Options,
        *,
        local_addresses: Sequence[str] = (),
        shared: SharedState | None = None,
    ) -> None:
        #: What has set the options, for errors; see :class:`fastsocks.config.Configured`.
        self.sources: Mapping[str, str] = {}
        #: See :class:`.shared_state.SharedState`.
        self.shared = shared
        self._make = make
        #: As they were given.
        self._given = options
        self._service = make(options)
        self._options = _served(self._service, options)
        self._local_addresses = local_addresses
        self._closed = asyncio.Event()
        self._starting: asyncio.Future[None] | None = None
        self._acceptor: Acceptor | None = None
        self._resolver: Resolver | None = None
        self._datagrams: Datagrams | None = None
        self._associations: Associations | None = None
        self._publishing: asyncio.TimerHandle | None = None
        self._own_addresses: OwnAddresses | None = None
        self._addresses: list[tuple[str, int]] = []

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each listening socket, in the order of the options."""
        return list(self._addresses)

    @property
    def limits(self) -> ClientLimits:
        """How many connections there may be and are, and how often that was too few."""
        return self._service.limits

    @property
    def users(self) -> Meters | None:
        """What each user has used, live; None where users are not told apart."""
        return self._service.users

    @property
    def active(self) -> int:
        """Connections of this process in set-up, draining or relayed now."""
        return 0 if self._acceptor is None else self._acceptor.active

    def stats(self) -> Stats:
        """Return a snapshot of what the service has done so far, in all of its processes.

        It can be asked at any time, also by a process that has made the service with a
        :class:`.SharedState` and does not start it.
        """
        counts = self._count()
        if self.shared is not None:
            counts = self.shared.counters.total()
        users = () if self.users is None else self.users.items()
        return Stats.of(counts, self._service.caps.counts, dict(users))

    def _count(self) -> Mapping[str, int]:
        """Return what this process has counted, of which the others learn too."""
        if self._acceptor is None:
            return {}
        counts = counts_of(self._acceptor, self.limits, self.datagrams)
        if self.shared is not None:
            self.shared.counters.write(counts)
        return counts

    async def reload(self, options: Options) -> Reloaded:
        """Have other options hold from now on, for whom they can; nobody is dropped for it.

        Users and accounts, rules, upstreams, the servers of `local`, caps on connections, time
        limits of handshakes, the access log and the protocols of clients change: for connections
        that begin, and rules and users for the next datagram of associations that run, too. Of
        what cannot the result has the names. Where anything is wrong, nothing changes.

        :param options: all of them, of the same class.
        :raises ConfigError: one is wrong, or does not go with one that cannot change.
        """
        plan = self.plan_reload(options)
        await plan.check()
        plan.apply()
        return plan.reloaded

    def plan_reload(self, options: Options) -> Reload:
        """Make what other options take, and change nothing; see :meth:`reload`.

        :raises ConfigError: as there.
        """
        given, reloaded = changes(self._given, options, self._service.fixed(options))
        service = self._make(given, before=self._service)
        served = _served(service, given)
        if served.mode != self._options.mode:
            raise ConfigError("upstream: with it UDP is relayed no more, or again: restart")

        async def check() -> None:
            if self._acceptor is not None:
                loop = asyncio.get_running_loop()
                await self._check_upstream(loop, service, self._addresses)

        return Reload(reloaded, check, lambda: self._replace(given, service, served))

    def _replace(self, given: Options, service: ReportingService, served: Options) -> None:
        """Have a service take the place of the one there is."""
        before, self._service = self._service, service
        self._given, self._options = given, served
        service.take_over()
        resolver = self._resolver
        if self._acceptor is None or resolver is None or self._closed.is_set():
            return
        loop = asyncio.get_running_loop()
        for host in service.configured_hosts:
            resolver.keep(host)
        before.retire()
        service.prepare(loop, resolver)
        self._acceptor.change(
            inbounds=_inbounds(service, served),
            outbound=service.leading(self._make_dialer(loop, resolver)),
            observer=service.observer,
            users=service.users,
            timeout=served.timeout,
        )
        if self._datagrams is not None:
            self._datagrams.change(**self._deciding(service))
            service.use_datagrams(self._datagrams)
        if service.needs_own_addresses and self._own_addresses is None:
            self._follow_own_addresses(loop, resolver)

    def _deciding(self, service: ReportingService) -> dict[str, Any]:
        """Return who decides on datagrams; see :class:`.datagrams.Datagrams`."""
        associations = self._associations
        if associations is None:
            associations = self._associations = Associations(service.observer)
        else:
            associations.use(service.observer)
        return {
            "address_filter": service.address_filter,
            "verdict_on": None if service.access_rules is None else service.verdict_on,
            "find_way": service.find_way,
            "meter_of": None if service.users is None else service.users.of,
            "began": associations.began if associations.watched else None,
            "over": associations.over if associations.watched else None,
        }

    @property
    def acceptor(self) -> Acceptor:
        """Connection set-up, which is private from the next release on: see :meth:`stats`.

        Deprecated.
        """
        warnings.warn(
            "acceptor becomes private in the next release: write stats(), which has accepted, "
            "active, failures and relayed",
            DeprecationWarning,
            stacklevel=2,
        )
        return self._started()

    def _started(self) -> Acceptor:
        if self._acceptor is None:
            raise RuntimeError("the service is not started")
        return self._acceptor

    @property
    def datagrams(self) -> DatagramCounters | None:
        """What went over UDP; None where none is relayed, or before the start."""
        return None if self._datagrams is None else self._datagrams.engine.counters

    def bind(self, workers: int = 1, sockets: Sequence[socket.socket] = ()) -> list[Listening]:
        """Open the listening sockets of several processes, before they are forked.

        Each process gives :meth:`start` its own ones, and closes the others. As long as one
        process keeps all of them open, what waits at those of a process that died is served by
        the next one that is started with them. UDP is served by the first process alone.

        :param workers: how many processes.
        :param sockets: what somebody else has opened for this service, to be used in the place of
            new ones: listening sockets of TCP, bound ones of UDP. The options are to name the
            addresses of these, because who may use the service for what depends on them.
        :return: for each process its sockets.
        :raises ListenError: an address cannot be had, or a socket not be used.
        """
        if sockets:
            found = take_over(sockets, self._options, workers, datagrams=self.binds_datagrams)
        else:
            found = bind_for_workers(self._options, workers, datagrams=self.binds_datagrams)
        self._addresses = found[0].addresses
        return found

    async def start(self, listening: Listening | None = None) -> None:
        """Listen, and serve from now on.

        :param listening: the sockets, this object's from now on; by default new ones.
        :raises ListenError: an address cannot be had; nothing is listening then.
        :raises ConfigError: this host has none of the addresses to dial from, or the service is
            its own upstream.
        :raises StoppedError: it was closed meanwhile.
        """
        if self._acceptor is not None or self._starting is not None:
            raise RuntimeError("the service was started before")
        self._closed.clear()
        self._starting = asyncio.ensure_future(self._start(listening))
        try:
            await self._starting
        except asyncio.CancelledError:
            if self._closed.is_set():
                raise StoppedError("the service was closed before it had started") from None
            raise
        finally:
            self._starting = None

    async def _start(self, listening: Listening | None) -> None:
        loop = asyncio.get_running_loop()
        options = self._options
        check_local_addresses(self._local_addresses)
        if options.fast_open and (
            obstacle := fast_open_obstacle(dialing=self._service.speaks_first)
        ):
            _log.warning("no TCP Fast Open: %s", obstacle)
        if listening is None:
            listening = await self._listen()
        try:
            await self._check_upstream(loop, self._service, listening.addresses)
            self._begin(loop, listening)
        except BaseException:
            await self._end()
            listening.close()
            raise

    def _begin(self, loop: asyncio.AbstractEventLoop, listening: Listening) -> None:
        options = self._options
        resolver = self._resolver = self._make_resolver(loop)
        service = self._service
        inbounds = _inbounds(service, options)
        self._acceptor = Acceptor(
            loop,
            inbounds=inbounds,
            outbound=service.leading(self._make_dialer(loop, resolver)),
            observer=service.observer,
            limits=service.limits,
            users=service.users,
            timeout=options.timeout,
            idle_timeout=options.tcp_idle_timeout,
        )
        self._addresses = listening.addresses or self._addresses
        if options.relays_udp:
            self._datagrams = Datagrams(
                loop,
                resolver,
                self._options_of_datagrams(),
                local_addresses=self._local_addresses,
                limit_hit=service.associations_capped,
                dropped=service.observer.datagrams_dropped,
                **self._deciding(service),
            )
            service.use_datagrams(self._datagrams, listening.datagrams)
        service.prepare(loop, resolver)
        if service.needs_own_addresses:
            self._follow_own_addresses(loop, resolver)
        for sock in listening.streams:
            defer_accept(sock, wanted=not inbounds.needs_no_byte)
            self._acceptor.listen(sock)
        if self.shared is not None:
            self._publish()

    def _make_dialer(self, loop: asyncio.AbstractEventLoop, resolver: Resolver) -> Dialer:
        return Dialer(
            loop,
            resolver,
            timeout=self._options.timeout,
            address_filter=self._service.address_filter,
            local_addresses=self._local_addresses,
            fast_open=self._options.fast_open and self._service.speaks_first,
        )

    def _follow_own_addresses(self, loop: asyncio.AbstractEventLoop, resolver: Resolver) -> None:
        from fastsocks.outbound.own_addresses import OwnAddresses

        targets = self._service.targets
        if self._datagrams is not None:
            targets.changed = self._datagrams.engine.forget_verdicts
        self._own_addresses = OwnAddresses(
            loop,
            targets,
            (host for host, _ in self._addresses),
            self._options.announced_addresses,
            resolver,
        )

    async def _check_upstream(
        self,
        loop: asyncio.AbstractEventLoop,
        service: ReportingService,
        addresses: Sequence[tuple[str, int]],
    ) -> None:
        upstream = service.upstream
        if upstream is None:
            return
        from fastsocks.config import at_its_source
        from fastsocks.outbound.own_upstream import check_not_own_upstream

        resolver = self._make_resolver(loop)
        try:
            await check_not_own_upstream(upstream, addresses, resolver)
        except ConfigError as error:
            raise at_its_source(error, self.sources) from None
        finally:
            await resolver.close()

    def _make_resolver(self, loop: asyncio.AbstractEventLoop) -> Resolver:
        service = self._service
        return make_resolver(loop, self._options, service.configured_hosts, service.limits)

    def publish(self) -> None:
        """Let the other processes know now what this one has counted; they do every 2 s anyway."""
        self._count()

    def _publish(self) -> None:
        """Do so, again and again."""
        self.publish()
        loop = asyncio.get_running_loop()
        self._publishing = loop.call_later(_PUBLISHING_INTERVAL, self._publish)

    def _options_of_datagrams(self) -> Options:
        """Return the options with this process's part of the caps on UDP associations."""
        options, shared = self._options, self.shared
        if shared is None or self.binds_datagrams:
            return options
        caps = (
            "udp_max_associations",
            "udp_max_associations_per_client",
            "udp_max_associations_per_user",
        )
        parts = {cap: -(-getattr(options, cap) // shared.workers) for cap in caps}
        return dataclasses.replace(options, **parts)

    async def _listen(self) -> Listening:
        def open_sockets() -> Listening:
            return bind(self._options, datagrams=self.binds_datagrams)

        if not any(map(is_name, self._options.addresses)):
            return open_sockets()
        # In a thread, because looking a name up would hold up the loop.
        opening = asyncio.get_running_loop().run_in_executor(None, open_sockets)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_opened)
            raise

    async def serve_forever(self, *, handle_signals: bool = False) -> None:
        """Serve until :meth:`close` is called or this call is cancelled; starts if need be.

        :param handle_signals: let SIGTERM and SIGINT end it, the first after :meth:`drain`, a
            second at once. For programs that are nothing else: it takes both signals over from
            the process until it returns, and works in the main thread only.
        :raises ListenError: see :meth:`start`.
        """
        if self._acceptor is None:
            await self.start()
        try:
            if not handle_signals:
                await self._closed.wait()
                return
            with StopSignals() as signals:
                waits = [
                    asyncio.ensure_future(event.wait()) for event in (signals.stop, self._closed)
                ]
                try:
                    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for wait in waits:
                        wait.cancel()
                if not self._closed.is_set():
                    await drain_all([self], signals)
        finally:
            await self.close()

    async def drain(self, grace: float | None = None) -> bool:
        """Stop accepting, and wait until connections have ended by themselves.

        :param grace: seconds to wait at most; by default what the options say.
        :return: whether all have ended. If not, :meth:`close` ends them.
        """
        acceptor = self._started()
        acceptor.stop_listening()
        if self._datagrams is not None:
            self._datagrams.engine.stop_serving()
        try:
            async with asyncio.timeout(self._options.grace if grace is None else grace):
                await acceptor.wait_idle()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Stop accepting and end every connection at once; again does nothing.

        A :meth:`start` that is under way is ended, too.
        """
        if self._starting is not None:
            self._closed.set()
            self._starting.cancel()
            await asyncio.wait((self._starting,))
        await self._end()

    async def _end(self) -> None:
        if self._acceptor is None or self._resolver is None:
            return
        self._service.retire()
        self._acceptor.stop_listening()
        self._acceptor.abort()
        if self._own_addresses is not None:
            self._own_addresses.close()
        if self._datagrams is not None:
            self._datagrams.engine.close()
        await self._resolver.close()
        await self._acceptor.wait_idle()
        self._service.close()
        if self._publishing is not None:
            self._publish()
            self._publishing.cancel()
        self._closed.set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


def _inbounds(service: ReportingService, options: Options) -> Inbounds:
    """Return what makes the Inbounds of a service, behind its fronts if it has any."""
    if not options.accept_proxy_protocol:
        return service.inbounds()
    from fastsocks.config.rules import read_network
    from fastsocks.proxy_protocol import ProxyProtocolInbounds

    fronts = map(read_network, options.accept_proxy_protocol)
    return ProxyProtocolInbounds(service.inbounds(), fronts)


def _served(service: ReportingService, options: Options) -> Options:
    """Return the options without the UDP that a service cannot relay."""
    if options.relays_udp and not service.relays_udp:
        return dataclasses.replace(options, mode="tcp_only")
    return options


def _close_opened(opening: asyncio.Future[Listening]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
