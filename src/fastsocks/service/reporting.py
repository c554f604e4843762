"""What the services share: limits, counters, and what is logged of connections."""

from __future__ import annotations

import errno
import logging
import socket
import time
from abc import ABC, abstractmethod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

from fastsocks.address import one_word
from fastsocks.errors import (
    CommandError,
    IdleTimeoutError,
    PolicyError,
    ResetError,
    StoppedError,
    TruncatedError,
)
from fastsocks.journal.advice import UNANSWERED_ADVICE
from fastsocks.journal.cap_lines import CAP_LINES, KEPT_ELSEWHERE, MORE_FILES
from fastsocks.journal.dropped_datagrams import ADVICE as DROP_ADVICE
from fastsocks.journal.dropped_datagrams import DROPS
from fastsocks.journal.line_limiter import LineLimiter
from fastsocks.journal.lines import (
    in_brackets,
    line_fields,
    peer_text,
    subject,
    write_access,
    write_association_access,
)
from fastsocks.policy import Cap, ClientLimits, PublicTargets, UserCounters
from fastsocks.policy.descriptors import (
    lookups_of_client,
    possible_associations,
    possible_connections,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

    from fastsocks.address import Address
    from fastsocks.config import Options, ProxyOptions, ServerOptions
    from fastsocks.config.rules import Rule
    from fastsocks.errors import FastsocksError
    from fastsocks.outbound.ruled import RuledOutbound
    from fastsocks.outbound.rules import Ruling
    from fastsocks.outbound.server_addresses import FindWay
    from fastsocks.outbound.upstream import Upstream
    from fastsocks.relay.udp import Association
    from fastsocks.request import Peer, Request
    from fastsocks.setup.answers import Unanswered
    from fastsocks.setup.roles import Destination, Inbound, PeerListener, Route, UdpAssociation

    from .shared_state import SharedState

#: Ends that come with the life of a network, and are nobody's problem.
_ORDINARY = (ResetError, IdleTimeoutError, StoppedError)

#: Fewer connections than this are not enough for more than a few users.
_FEW_CONNECTIONS = 1000


class _Key(NamedTuple):
    """What lines that are alike have in common."""

    message: str
    status: str
    host: str
    target: Address | None


class ReportingService(ABC):
    """A service that logs: one line per failed connection, few where many are alike.

    Lines are alike if they tell the same reason, client host and target; see
    :class:`.line_limiter.LineLimiter` for how many pass.

    Each record carries what its line says as ``fields`` too, a dict for logs in JSON: of
    ``status``, ``advice``, ``peer``, ``target``, ``user``, ``times``, ``limit``, ``bytes_up``,
    ``bytes_down``, ``seconds``, ``end``, ``datagrams`` and ``network`` (``udp``) those that apply.

    :param log: takes the lines, at WARNING; at DEBUG what is no problem: resets, idle and
        stopped connections, and clients that leave before they ask for anything.
    :param options: limits, and whether there is an access log; None: no limits, no access log.
    :param shared: what several processes that run this service have in common.
    :param burst: how many lines alike are written within `window` seconds; of the others
        the number follows when the window is over.
    :param most: how many lines are written within `window` seconds in all.
    :param clock: seconds of a clock that never goes back.
    """

    #: What to do about an error, by its status.
    ADVICE: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        log: logging.Logger,
        options: Options | None = None,
        shared: SharedState | None = None,
        *,
        burst: int = 5,
        most: int = 200,
        window: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._clock = clock
        #: Of UDP, those of which the access log will tell, and since when they are there.
        self._associations: dict[Association, float] = {}
        self._limiter = LineLimiter(
            self._left_out,
            self._others_left_out,
            burst=burst,
            most=most,
            window=window,
            clock=clock,
        )
        #: Usage by user; None where no users are told apart.
        self.users: UserCounters | None = None
        #: Whether :meth:`route` has nothing to decide; see :class:`.roles.Service`.
        self.straight = False
        #: See there, too.
        self.canonical_names = False
        #: Likewise.
        self.short_replies = False
        #: Whether :meth:`finished` is to be called.
        self.access_log = options is not None and options.access_log
        #: Which addresses are public; see :attr:`decides_by_public`.
        self.targets = PublicTargets()
        #: Whether that decides anything, so that it has to be told of this host's addresses.
        self.decides_by_public = False
        #: The rules; None where there are none, so that they cost nothing.
        self.ruling: Ruling | None = None
        #: The server that it dials in the place of targets; for Running to look at.
        self.upstream: Upstream | None = None
        #: What datagrams go through but for rules; see :class:`fastsocks.relay.udp.DatagramEngine`.
        self.find_way: FindWay | None = None
        #: What each cap is set to, by the options or the limit of open files.
        self.caps: dict[Cap, int] = {}
        self._files_rule = False
        # How many connections the limit of open files leaves room for.
        self._possible = possible_connections(udp=options is not None and options.relays_udp)
        if options is not None:
            self.caps = {cap: getattr(options, cap.value) for cap in Cap}
            self.caps[Cap.LOOKUPS_PER_CLIENT] = lookups_of_client(options.max_lookups_per_client)
            self._fit_descriptors(1 if shared is None else shared.workers)
        #: How many connections there may be.
        self.limits = ClientLimits(
            **{cap.value: count for cap, count in self.caps.items() if cap not in KEPT_ELSEWHERE},
            hit=self.limit_hit,
            counts=None if shared is None else shared.clients,
            max_connections_here=self._possible or 0,
        )

    def use_rules(
        self,
        rules: Sequence[Rule],
        *,
        guard: Callable[[str], bool] | None = None,
        by_name: bool = False,
    ) -> None:
        """Apply rules, if there are any; the parameters are those of :class:`.rules.Ruling`."""
        self.canonical_names = bool(rules) or guard is not None
        self.decides_by_public = guard is not None or any(rule.private for rule in rules)
        if rules:
            from fastsocks.outbound.rules import Ruling

            public = self.targets.is_public
            self.ruling = Ruling(rules, guard=guard, by_name=by_name, public=public)

    def use_outbound(
        self, options: ProxyOptions | ServerOptions, guard: Callable[[str], bool] | None
    ) -> RuledOutbound | None:
        """Apply the rules, and make the outbound; see :func:`.from_options.make_outbound`.

        :raises ConfigError: an upstream is none, or a domain to search.
        """
        from fastsocks.outbound.from_options import make_outbound

        self.use_rules(options.read_rules, guard=guard, by_name=bool(options.upstream))
        outbound = make_outbound(options, self.ruling, guard)
        if outbound is not None:
            self.canonical_names = self.canonical_names and outbound.canonical_names
            if outbound.chain is not None:
                self.upstream = outbound.chain.upstreams[0]
        return outbound

    def judge(self, client: str, user: str | None, target: Address, resolved: str | None) -> bool:
        """Decide on a target of datagrams, and log a refusal; see :class:`.rules.Ruling`.

        :return: whether it is reached directly, whatever else leads to targets.
        :raises PolicyError: a rule denies it.
        """
        if self.ruling is None:
            return False
        try:
            return self.ruling.datagram(client, user, target, resolved)
        except PolicyError as error:
            self.report(error, (client,), target, user)
            raise

    @property
    def configured_hosts(self) -> Iterator[str]:
        """Hosts of servers that it dials in the place of targets: names, and IP addresses."""
        if self.upstream is not None:
            yield self.upstream.address.host

    @property
    def only_server(self) -> Destination | None:
        """A server to which :meth:`route` leads everybody; see :class:`.roles.Service`."""
        return None

    @abstractmethod
    def inbound(self, peer: Peer) -> Inbound:
        """Make the Inbound of a connection accepted from `peer`."""

    @abstractmethod
    def route(self, request: Request, peer: Peer) -> Route:
        """Decide where a request goes.

        :raises PolicyError: the rules refuse it.
        """

    def advice(self, error: FastsocksError, peer: Peer, target: Address | None) -> str | None:
        """Return what to do about an error, beyond what it says itself.

        :param peer: as for :meth:`report`; likewise `target`.
        """
        cause = error.__cause__
        if isinstance(cause, OSError):
            if cause.errno in (errno.EMFILE, errno.ENFILE):
                return MORE_FILES
            if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_AGAIN:
                return "check the resolver of this host"
        return self.ADVICE.get(error.status)

    async def associate(self, request: Request, peer: Peer, local_host: str) -> UdpAssociation:
        """Open a UDP relay for a client; see :class:`.roles.Service`.

        :raises CommandError: this service has none.
        """
        raise CommandError("UDP ASSOCIATE is not offered here")

    async def bind(self, request: Request, peer: Peer, local_host: str) -> PeerListener:
        """Listen for a peer of a client; see :class:`.roles.Service`.

        :raises CommandError: this service does not.
        """
        raise CommandError("BIND is not offered here")

    def report(
        self,
        error: FastsocksError,
        peer: Peer,
        target: Address | None,
        user: str | None = None,
        connection: str = "",
    ) -> None:
        """Log why a connection failed.

        :param peer: the client.
        :param target: what it asked for, where that is known; likewise `user`.
        :param connection: what names it in the log.
        """
        ordinary = isinstance(error, _ORDINARY) or (
            target is None and isinstance(error, TruncatedError)
        )
        if ordinary:
            if not self._log.isEnabledFor(logging.DEBUG):
                return
        elif not self._limiter.passes(_Key(str(error), error.status, str(peer[0]), target)):
            return
        advice = None if ordinary else self.advice(error, peer, target)
        self._write(
            logging.DEBUG if ordinary else logging.WARNING,
            str(error),
            line_fields(
                peer=peer_text(peer),
                user=user,
                target=target,
                status=error.status,
                advice=advice,
                connection=connection,
            ),
        )

    def unanswered(self, ended: Unanswered, in_a_row: int) -> None:
        """Log that a Shadowsocks server has not answered; see :class:`.answers.Answers`."""
        message = (
            f"the Shadowsocks server {ended.server} took {ended.bytes_up} bytes and answered "
            f"nothing for {ended.seconds:.0f} s"
        )
        if in_a_row > 1:
            message = f"{message}, as to the {in_a_row - 1} before"
        alike = f"the Shadowsocks server {ended.server} answered nothing"
        if not self._limiter.passes(_Key(alike, "unanswered", "", None)):
            return
        self._write(
            logging.WARNING,
            message,
            line_fields(
                peer=peer_text(ended.peer),
                user=ended.user,
                target=ended.target,
                status="unanswered",
                advice=UNANSWERED_ADVICE,
                connection=ended.connection,
            ),
        )

    def server_silent(self, server: Address, seconds: float) -> None:
        """Log that a Shadowsocks server answers to nobody; see :class:`.answers.Answers`."""
        message = f"the Shadowsocks server {server} has answered to nobody for {seconds:g} s"
        fields = line_fields(status="unanswered", advice=UNANSWERED_ADVICE)
        self._write(logging.WARNING, message, fields)

    def _write(self, level: int, message: str, fields: Mapping[str, Any]) -> None:
        about, advice = subject(fields), fields.get("advice")
        self._log.log(
            level,
            "%s%s (%s)%s%s",
            f"{about}: " if about else "",
            message,
            fields["status"],
            f"; {advice}" if advice else "",
            in_brackets(fields.get("connection", "")),
            extra={"fields": fields},
        )

    def limit_hit(self, cap: Cap, client: str) -> None:
        """Log that a limit was reached.

        :param client: as :attr:`fastsocks.policy.Admission.client` names it; a user, where the cap
            is one of users.
        """
        where = client if cap.per_client else ""
        message = CAP_LINES[cap].format(count=self.caps[cap])
        if not self._limiter.passes(_Key(message, "limit", where, None)):
            return
        advice = f"--{cap.value.replace('_', '-')} raises it"
        if (cap is Cap.CONNECTIONS and self._files_rule) or (
            cap is Cap.UDP_ASSOCIATIONS and self._files_cap_associations()
        ):
            advice = MORE_FILES
        elif cap is Cap.LOOKUPS_PER_CLIENT and self.caps[cap] >= lookups_of_client(0):
            advice = "nobody has more than a quarter of all look-ups"
        fields = line_fields(peer=where, status="limit", limit=cap.value, advice=advice)
        prefix = f"{one_word(where)}: " if where else ""
        self._log.warning("%s%s (limit); %s", prefix, message, advice, extra={"fields": fields})

    def finished(
        self,
        peer: Peer,
        user: str | None,
        target: Address,
        bytes_up: int,
        bytes_down: int,
        seconds: float,
        error: FastsocksError | None,
        connection: str = "",
        stages: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """Write the line of the access log for a connection that has ended.

        :param bytes_up: payload from the client, in bytes; `bytes_down`: to it.
        :param seconds: since it was accepted.
        :param error: why it ended; None if both ends finished.
        :param connection: what names it in the log.
        :param stages: how long its stages took, in seconds; see :class:`.stages.Stages`.
        """
        write_access(
            peer,
            user,
            target,
            bytes_up=bytes_up,
            bytes_down=bytes_down,
            seconds=seconds,
            error=error,
            connection=connection,
            stages=stages,
        )

    def association_began(self, association: Association) -> None:
        """Count an association of UDP from now on."""
        if self.users is not None:
            self.users.begin(association.user, association)
        if self.access_log:
            self._associations[association] = self._clock()

    def association_over(self, association: Association) -> None:
        """Keep what an association has carried, and write its line of the access log."""
        if self.users is not None:
            self.users.end(association.user, association)
        began = self._associations.pop(association, None)
        if began is None:
            return
        write_association_access(association, self._clock() - began)

    def associations_capped(self, option: str, whose: str) -> None:
        """Count and log that an association was ended for another one; see :meth:`limit_hit`.

        :param option: the name of the option.
        """
        self.limits.refuse(Cap(option), whose)

    def datagrams_dropped(self, reason: str, client: str | None, count: int) -> None:
        """Log that datagrams were dropped.

        :param reason: see :class:`fastsocks.relay.udp.DatagramEngine`.
        :param client: whose they are; None where that is not known.
        :param count: how many.
        """
        text = DROPS.get(reason)
        key = _Key(f"datagrams dropped: {text}", reason, client or "", None)
        if text is None:
            if not self._log.isEnabledFor(logging.DEBUG):
                return
        elif not self._limiter.passes(key, count):
            return
        advice = self.ADVICE.get(reason) or DROP_ADVICE.get(reason)
        fields = line_fields(
            peer=client, status=reason, advice=advice, datagrams=count, network="udp"
        )
        self._log.log(
            logging.DEBUG if text is None else logging.WARNING,
            "%s%d datagram%s dropped%s (%s)%s",
            f"{client}: " if client else "",
            count,
            "" if count == 1 else "s",
            f": {text}" if text else "",
            reason,
            f"; {advice}" if advice else "",
            extra={"fields": fields},
        )

    def notice(self, client: str, text: str, status: str, advice: str) -> None:
        """Log what is to be known of a client, rather than of one connection of it."""
        if not self._limiter.passes(_Key(text, status, client, None)):
            return
        fields = line_fields(peer=client, status=status, advice=advice)
        self._log.warning("%s: %s (%s); %s", client, text, status, advice, extra={"fields": fields})

    def close(self) -> None:
        """Give back what the service holds, and write the numbers that are still owed."""
        self._limiter.end()

    def _fit_descriptors(self, workers: int) -> None:
        each, wanted = self._possible, self.caps[Cap.CONNECTIONS]
        if each is None:
            return
        possible = each * workers
        if possible < (wanted or _FEW_CONNECTIONS):
            self._log.warning(
                "the limit of open files leaves room for %d connections%s; %s",
                possible,
                f", not for the {wanted} of --max-connections" if wanted else "",
                MORE_FILES,
            )
        if not 0 < wanted <= possible:
            # Better to refuse a client than to accept one and have nothing left to dial with.
            self.caps[Cap.CONNECTIONS] = possible
            self._files_rule = True

    def _files_cap_associations(self) -> bool:
        possible, wanted = possible_associations(), self.caps[Cap.UDP_ASSOCIATIONS]
        return possible is not None and not 0 < wanted <= possible

    def _left_out(self, key: Hashable, times: int) -> None:
        alike = cast("_Key", key)
        fields = line_fields(peer=alike.host, target=alike.target, status=alike.status, times=times)
        about = subject(fields)
        if about and alike.target is None:
            about = one_word(about)
        self._log.warning(
            "%s%s (%d more times)",
            f"{about}: " if about else "",
            alike.message,
            times,
            extra={"fields": fields},
        )

    def _others_left_out(self, times: int) -> None:
        self._log.warning(
            "%d more lines about connections were left out",
            times,
            extra={"fields": {"times": times}},
        )
