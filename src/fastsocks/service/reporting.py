"""What the services share: limits, counters, rules, where they lead, and who is told of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, cast

from fastsocks.address import canonical
from fastsocks.errors import CommandError, ConfigError, DialError, PolicyError
from fastsocks.journal.access_log import AccessLog
from fastsocks.journal.log import Log
from fastsocks.journal.observer import Observers
from fastsocks.policy import Cap, Meters, PublicTargets, check_request, weakness_of
from fastsocks.policy.caps import Caps
from fastsocks.setup.roles import DirectOutbound, Route, ServerOutbound

if TYPE_CHECKING:
    import asyncio
    import logging
    import socket
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from fastsocks.address import Address
    from fastsocks.config import Options, ProxyOptions, ServerOptions
    from fastsocks.config.rules import Rule
    from fastsocks.journal.observer import Connection, Observer
    from fastsocks.net import Dialer, Resolver
    from fastsocks.net.dial import AddressFilter
    from fastsocks.outbound.chain import Chain
    from fastsocks.outbound.ruled import RuledOutbound
    from fastsocks.outbound.rules import AccessRules
    from fastsocks.outbound.server_addresses import FindWay
    from fastsocks.outbound.servers import Servers
    from fastsocks.outbound.upstream import Upstream
    from fastsocks.policy import ClientLimits
    from fastsocks.request import Request
    from fastsocks.setup.roles import Accepted, Inbounds, Outbound, PeerListener, UdpAssociation

    from .datagrams import Datagrams
    from .shared_state import SharedState


class ReportingService(ABC):
    """A service with its limits and rules, and those who are told of its connections.

    :param log: see :class:`fastsocks.journal.log.Log`.
    :param options: limits, and whether there is an access log; None: no limits, no access log.
    :param shared: what several processes that run this service have in common.
    :param observers: are told of its connections, beside the log.
    :param before: the service whose place it takes while connections come: what it counts and
        remembers is this one's, too. Nothing changes there before :meth:`take_over`.
    :raises ConfigError: one of the observers is no Observer.
    """

    #: What to do about an error, by its status.
    ADVICE: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        log: logging.Logger,
        options: Options | None = None,
        shared: SharedState | None = None,
        observers: Iterable[Observer] = (),
        before: ReportingService | None = None,
    ) -> None:
        self._logger = log
        self.caps = Caps(options, 1 if shared is None else shared.workers)
        if before is None:
            self.log = Log(log, self.ADVICE, self.advice, self.caps)
        else:
            self.log = before.log
        access_log = [AccessLog()] if options is not None and options.access_log else []
        #: Who is told of its connections.
        self.observer = Observers((self.log, *access_log, *observers))
        #: How many connections there may be.
        self.limits: ClientLimits = (
            self.caps.limits(self.observer.cap_reached, None if shared is None else shared.clients)
            if before is None
            else before.limits
        )
        #: Meters of users; None where no users are told apart.
        self.users: Meters | None = None
        #: Whether somebody decides on targets, so that their names need to have one form.
        self.canonical_names = False
        #: Opens outgoing connections; there once the service runs.
        self.dialer: Dialer
        #: Which addresses are public; see :attr:`needs_own_addresses`.
        self.targets: PublicTargets = PublicTargets() if before is None else before.targets
        #: Which targets it reaches; None for all.
        self.address_filter: AddressFilter | None = None
        #: Whether that decides anything, so that it has to be told of this host's addresses.
        self.needs_own_addresses = False
        self._goes_past_servers = False
        #: The rules; None where there are none, so that they cost nothing.
        self.access_rules: AccessRules | None = None
        #: What decides where requests go; None: straight to their targets.
        self.outbound: RuledOutbound | None = None
        #: The Shadowsocks servers that it leads to, if any.
        self.servers: Servers | None = None
        #: The upstreams that it leads through, if any.
        self.chain: Chain | None = None
        #: Whether datagrams can go where its connections do.
        self.relays_udp = True
        #: What datagrams go through but for rules; see :class:`fastsocks.relay.udp.DatagramEngine`.
        self.find_way: FindWay | None = None

    def use_rules(self, rules: Sequence[Rule], *, by_name: bool = False) -> None:
        """Apply rules, if there are any; for the parameters see :class:`.rules.AccessRules`."""
        address_filter = self.address_filter
        self.canonical_names = bool(rules) or address_filter is not None
        self.needs_own_addresses = address_filter is not None or any(rule.private for rule in rules)
        if rules:
            from fastsocks.config.rules import Action
            from fastsocks.outbound.rules import AccessRules

            self._goes_past_servers = any(rule.action is Action.DIRECT for rule in rules)

            public = self.targets.is_public
            self.access_rules = AccessRules(
                rules, address_filter=address_filter, by_name=by_name, public=public
            )

    def use_outbound(self, options: ProxyOptions | ServerOptions) -> None:
        """Apply the rules, and lead through upstreams or straight to targets.

        :raises ConfigError: an upstream is none, or a domain to search; or there is none to be
            told of clients.
        """
        if options.send_proxy_protocol and not options.upstream:
            raise ConfigError(
                "send_proxy_protocol: there is no upstream to tell who the client is; targets are "
                "told by `fastsocks tunnel` alone"
            )
        self.use_rules(options.read_rules, by_name=bool(options.upstream))
        if options.search_domains:
            from fastsocks.outbound.search import SearchingOutbound

            # It has to see whether a name ends with a dot.
            self.canonical_names = False
            self.outbound = SearchingOutbound(
                self.access_rules, self.address_filter, options.search_domains
            )
        elif options.upstream:
            from fastsocks.outbound.chain import Chain

            self.lead(
                chain=Chain(
                    options.upstream,
                    options.timeout,
                    send_proxy_protocol=options.send_proxy_protocol,
                )
            )
        else:
            self.lead()

    def lead(self, *, servers: Servers | None = None, chain: Chain | None = None) -> None:
        """Lead to Shadowsocks servers, through upstreams, or straight to targets, by the rules."""
        self.servers, self.chain = servers, chain
        way = servers or chain
        if way is not None or self.access_rules is not None:
            from fastsocks.outbound.ruled import RuledOutbound

            self.outbound = RuledOutbound(self.access_rules, way, self.address_filter)

    def lead_datagrams(self, options: Options) -> None:
        """Lead datagrams through the upstreams, if there are any, and if they relay them.

        :raises ConfigError: they do not, and nothing else is asked for.
        """
        if options.relays_udp and self.chain is not None:
            from fastsocks.outbound.from_options import find_ways

            self.find_way = find_ways(
                options, self.chain, self.observer.refuse_datagrams, self.log.notice
            )
            self.relays_udp = self.find_way is not None

    def verdict_on(
        self, client: str, user: str | None, target: Address, resolved: str | None
    ) -> bool:
        """Decide on a target of datagrams, and log a refusal; see :class:`.rules.AccessRules`.

        :return: whether it is reached directly, whatever else leads to targets.
        :raises PolicyError: a rule denies it.
        """
        if self.access_rules is None:
            return False
        try:
            return self.access_rules.datagram(client, user, target, resolved)
        except PolicyError as error:
            self.observer.refuse_datagrams(error, client, target, user)
            raise

    @property
    def upstream(self) -> Upstream | None:
        """The first of the upstreams that it leads through."""
        return None if self.chain is None else self.chain.upstreams[0]

    @property
    def configured_hosts(self) -> Iterator[str]:
        """Hosts of servers that it dials in the place of targets: names, and IP addresses."""
        if self.upstream is not None:
            yield self.upstream.address.host
        if self.servers is not None:
            for server in self.servers.destinations:
                yield server.address.host

    @property
    def speaks_first(self) -> bool:
        """Whether a Shadowsocks request follows each connect, so that there is a first byte.

        TCP Fast Open has nothing to send where a client waits for its target to begin.
        """
        return self.servers is not None and not self._goes_past_servers

    def warn_of_weakness(self, *methods: str) -> None:
        """Log what is known against methods, once each."""
        for weakness in dict.fromkeys(filter(None, map(weakness_of, methods))):
            self._logger.warning("%s", weakness)

    @abstractmethod
    def inbounds(self) -> Inbounds:
        """Return what speaks the clients' protocol."""

    def leading(self, dialer: Dialer) -> Outbound:
        """Return what leads requests to where they go: the service, if there is more to decide.

        :param dialer: opens outgoing connections.
        """
        if self.outbound is None:
            return DirectOutbound(
                dialer,
                canonical_names=self.canonical_names,
                associate=self.associate,
                bind=self.bind,
            )
        if self.servers is not None and self.access_rules is None:
            only = self.servers.only
            if only is not None:
                return ServerOutbound(
                    dialer,
                    only.key,
                    only.address,
                    payload_wait=self.servers.payload_wait,
                    associate=self.associate,
                )
        self.dialer = dialer
        return cast("Outbound", self)

    def canonical(self, request: Request) -> Request:
        """Return the request with its name in one form; see :class:`.roles.Outbound`.

        :raises HostNameError: it has no name of a host.
        """
        if self.canonical_names:
            return request._replace(address=canonical(request.address))
        return request

    def route(self, request: Request, accepted: Accepted) -> Route:
        """Decide where a request goes.

        :raises PolicyError: the rules refuse it, or its port is 0.
        """
        check_request(request)
        if self.outbound is None:
            return Route(None)
        return self.outbound.route(request, accepted)

    def advice(self, connection: Connection) -> str | None:
        """Return what to do about a failure that is not as :attr:`ADVICE` has it, else None.

        What fails to be dialed is a Shadowsocks server as a rule, where there are any.
        """
        if self.servers is None or not isinstance(connection.error, DialError):
            return None
        peer, target, rules = connection.peer, connection.target, self.access_rules
        if target is not None and rules is not None and rules.direct(peer, target):
            return None
        if self.servers.only is None:
            return "none of the Shadowsocks servers can be reached"
        server = self.servers.only.address
        return f"this is about the Shadowsocks server, {server}: is it up, and reachable?"

    async def associate(self, request: Request, accepted: Accepted) -> UdpAssociation:
        """Open a UDP relay for a client; see :class:`.roles.Outbound`.

        :raises CommandError: this service has none.
        """
        raise CommandError("UDP ASSOCIATE is not offered here")

    async def bind(self, request: Request, accepted: Accepted) -> PeerListener:
        """Listen for a peer of a client; see :class:`.roles.Outbound`.

        :raises CommandError: this service does not.
        """
        raise CommandError("BIND is not offered here")

    def associations_capped(self, option: str, whose: str) -> None:
        """Count that an association was ended for another one, and tell of it.

        :param option: the name of the option.
        """
        self.limits.refuse(Cap(option), whose)

    def fixed(self, options: Options) -> Collection[str]:
        """Return the names of options that this service cannot change while it runs."""
        return ()

    def take_over(self) -> None:
        """Take the place of the service before; cannot fail."""
        self.caps.apply(self.limits)
        self.log.use(self.advice, self.caps)

    def use_datagrams(  # noqa: B027 - some have no use for them
        self, datagrams: Datagrams, sockets: Sequence[socket.socket] = ()
    ) -> None:
        """Relay datagrams by these.

        :param sockets: bound ones, for services that serve UDP at the addresses of TCP.
        """

    def prepare(self, loop: asyncio.AbstractEventLoop, resolver: Resolver) -> None:
        """Make what else is needed before the first connection."""
        if self.servers is not None:
            self.servers.begin_probes(loop, resolver)

    def retire(self) -> None:
        """Begin nothing new: it ends, or another one has taken its place."""
        if self.servers is not None:
            self.servers.end_probes()

    def close(self) -> None:
        """Give back what the service holds, and write the numbers that are still owed."""
        self.log.close()
