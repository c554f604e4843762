"""``local``: SOCKS or HTTP in, a Shadowsocks server out."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from fastsocks.errors import AddressError, ConfigError, DialError, HostNameError
from fastsocks.journal.advice import LOCAL_ADVICE
from fastsocks.outbound.datagram_renewal import ServerWay
from fastsocks.outbound.upstream import server_address
from fastsocks.policy import check_request, weakness_of
from fastsocks.setup.limits import PAYLOAD_WAIT
from fastsocks.setup.roles import Destination, Route, ServerOutbound
from fastsocks.shadowsocks import ClientCodec, Family, client_key, packet_client
from fastsocks.shadowsocks.packets import SALT_CAPACITY

from .running import Running
from .socks import SocksService

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Iterator

    from fastsocks.config import LocalOptions, ServerEntry
    from fastsocks.journal.observer import Connection, Observer
    from fastsocks.net import Dialer, Resolver
    from fastsocks.outbound.probes import Servers
    from fastsocks.relay.packet_way import PacketWay
    from fastsocks.request import Peer, Request
    from fastsocks.setup.roles import Accepted, Outbound

    from .datagrams import Datagrams
    from .shared_state import SharedState

_log = logging.getLogger("fastsocks.local")


class LocalService(SocksService):
    """What connections to a local proxy are for.

    :raises ConfigError: the key does not suit the method, there is no such method, or the
        server's address is none.
    """

    ADVICE = LOCAL_ADVICE

    def __init__(
        self,
        options: LocalOptions,
        shared: SharedState | None = None,
        observers: Iterable[Observer] = (),
        before: LocalService | None = None,
    ) -> None:
        super().__init__(_log, options, shared, observers, before)
        self.use_rules(options.read_rules, by_name=True)
        self._mtu = options.mtu
        destinations = [_destination(one) for one in (options, *options.servers)]
        self._destinations = tuple(destinations)
        self._first = destinations[0]
        #: Where there are several.
        self.servers: Servers | None = None
        if len(destinations) > 1:
            from fastsocks.outbound.probes import Servers

            self.servers = Servers(destinations)

    def prepare(self, loop: asyncio.AbstractEventLoop, resolver: Resolver) -> None:
        """Look from now on which of several servers are there."""
        if self.servers is not None:
            self.servers.begin_probes(loop, resolver)

    def retire(self) -> None:
        """Look no more."""
        if self.servers is not None:
            self.servers.end_probes()

    def leading(self, dialer: Dialer) -> Outbound:
        """Return what leads to servers; see :class:`.reporting.ReportingService`."""
        if self.access_rules is not None or self.servers is not None:
            return super().leading(dialer)
        first = self._first
        return ServerOutbound(dialer, first.key, first.address, associate=self.associate)

    @property
    def configured_hosts(self) -> Iterator[str]:
        """Hosts of its servers; see :class:`.reporting.ReportingService`."""
        return (one.address.host for one in self._destinations)

    def advice(self, connection: Connection) -> str | None:
        """Return what to do about a failure; what fails to be dialed is our server as a rule."""
        peer, target = connection.peer, connection.target
        rules = self.access_rules
        direct = target is not None and rules is not None and rules.direct(peer, target)
        if direct or not isinstance(connection.error, DialError):
            return None
        if self.servers is not None:
            return "none of the Shadowsocks servers can be reached"
        server = self._first.address
        return f"this is about the Shadowsocks server, {server}: is it up, and reachable?"

    def route(self, request: Request, accepted: Accepted) -> Route:
        """Dial the Shadowsocks server, which is told the target.

        :raises PolicyError: the rules refuse it.
        """
        check_request(request)
        if self.access_rules is not None:
            direct, verdict_on = self.access_rules.route(request, accepted.peer)
            if direct:
                return Route(request.address, verdict_on=verdict_on)
        if self.servers is not None:
            return self.servers.route()
        return Route(self._first.address, ClientCodec(self._first.key), PAYLOAD_WAIT)

    async def _find_packet_way(self, datagrams: Datagrams, peer: Peer) -> PacketWay:
        """Lead to a Shadowsocks server, by a session for each association."""
        way = ServerWay(
            self.log.notice,
            datagrams.server_addresses,
            peer[0],
            self._destinations,
            self.servers,
            self._mtu,
        )
        return await way.first()


def _destination(entry: ServerEntry) -> Destination:
    key = client_key(entry.method, entry.password, entry.key)
    try:
        address = server_address(entry.server, entry.server_port)
    except (AddressError, HostNameError, ConfigError) as error:
        raise ConfigError(f"server: {error}") from error
    packets = None
    if key.method.family is not Family.AEAD_2022:
        # Without sessions, one codec knows the salts of all answers.
        packets = packet_client(key, salt_capacity=SALT_CAPACITY)
    return Destination(address, key, packets)


class Local(Running):
    """A SOCKS and HTTP proxy that leads to a Shadowsocks server.

    :param observers: are told of its connections, in this order.
    :raises ConfigError: the key does not suit the method, there is no such method, or the
        server's address is none.
    """

    def __init__(
        self,
        options: LocalOptions,
        shared: SharedState | None = None,
        *,
        observers: Iterable[Observer] = (),
    ) -> None:
        super().__init__(
            partial(_make, shared, tuple(observers)),
            options,
            # A Shadowsocks request follows each connect, so that there is always a first byte.
            dial_fast_open=options.fast_open,
            shared=shared,
        )
        methods = (options.method, *(server.method for server in options.servers))
        for weakness in dict.fromkeys(filter(None, map(weakness_of, methods))):
            _log.warning("%s", weakness)


def _make(
    shared: SharedState | None,
    observers: tuple[Observer, ...],
    options: LocalOptions,
    before: LocalService | None = None,
) -> tuple[LocalService, LocalOptions]:
    return LocalService(options, shared, observers, before), options
