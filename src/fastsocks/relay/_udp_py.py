"""The UDP relay on uvloop or asyncio: pure Python.

The twin of ``_udp.pyx``, with the same classes in files of the same names; there stands what
happens to a datagram, in order. What cannot be carried is dropped and counted, for UDP promises
nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from ..net import open_datagram_socket
from ._udp_association_py import Association, DatagramCounters
from ._udp_clients_py import ForwardPort, ShadowsocksPort, SharedPort, SocksPort
from ._udp_packet_way_py import CurrentWay
from ._udp_table_py import AssociationTable
from ._udp_targets_py import Targets

if TYPE_CHECKING:
    from ..address import Address
    from ..net import Resolver
    from ..net.dial import AddressFilter
    from ..shadowsocks.packets import PacketCodec
    from ._meter_py import Meter
    from .packet_way import FindWay, PacketWay, VerdictOnTarget

# Seconds between two looks for idle associations, at most.
_SWEEP_INTERVAL = 15.0

# SIP022 3.2.4 wants sessions to live at least this long, in seconds.
_SHORTEST_SESSION = 60.0

# Seconds between two times at which drops are told, and reasons and clients that are told apart.
_TELLING_INTERVAL = 1.0
_UNTOLD = 256

_EVERYWHERE = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104


class DatagramEngine:
    """Relays datagrams on one event loop.

    Reasons in :attr:`DatagramCounters.dropped`, beside the ``status`` of what opening a packet
    raises: ``foreign-source`` (not from the client of the association, or not from the fixed
    target), ``bad-address``,
    ``fragment`` (of a set that stays incomplete), ``host-name`` (no host name, where that is to be
    decided on), ``not-allowed``, ``resolve``, ``waiting`` (too many wait for a name, or for a
    packet way), ``upstream`` (no packet way is to be had), ``oversize``, ``no-client`` (nobody to
    answer to yet), ``not-sent`` (the kernel took it not: full buffers, no route, no socket to be
    had), ``speed`` (faster than its user may be), ``quota`` (nothing is left of the user's),
    ``closed`` (the association or the service has ended).

    :param loop: the running event loop.
    :param resolver: for names; IP addresses never reach it.
    :param address_filter: tells what may be reached; asked for the IP addresses that clients name,
        for what their names resolve to, and for names that a server is to resolve. None lets all
        be.
    :param verdict_on: asks rules: raises PolicyError for what they deny a client; asked once by an
        association for each of its targets, with the client's IP address, its user, the target,
        and the IP address that a name of it was resolved to, None where a server does that. Where
        there is a packet way, returns whether the target is reached directly all the same; its name
        is resolved here then, and the address asked for. None: there are no rules.
    :param find_way: awaited with the client's IP address by an association that has something
        to send and no packet way; raises FastsocksError where there is none: what waits is
        dropped, and it is not asked again for a second. None: who has no packet way sends to
        targets directly.
    :param timeout: seconds without a packet either way after which an association ends; those
        of methods with sessions live 60 s at least.
    :param capacity: how many associations there may be; whoever has most makes room, see
        :class:`._udp_table_py.AssociationTable`. 0 for no cap.
    :param capacity_per_client: the same for those of one client.
    :param capacity_per_user: the same for those of one user.
    :param client_of: returns what counts as one client, of an IP address; None: each counts.
    :param limit_hit: called each time that a cap ends an association, with the name of its option
        and the client or user that it is about.
    :param dropped: called soon after datagrams were dropped, and once a second at most for those
        that are alike: with the reason, the IP address of the client, None where that is not known
        or there are too many, and how many. Of what rules deny, `verdict_on` is to tell.
    :param names_kept: seconds for which the address of a name is kept without answers, from
        whomever. Then the name is asked for again, and the address kept if it is still one of it:
        QUIC must not move because an answer of the DNS did.
    :param longest_wait: seconds for which a datagram waits for its name to be resolved.
    :param patience: seconds for which a packet way that has answered may stay silent, while the
        client sends, before it is renewed; see :class:`._udp_packet_way_py.CurrentWay`.
    :param local_addresses: IP addresses to send to targets from, one of a family at most.
    :param meter_of: returns the meter of a user, which the user's associations count by and keep
        to; None where users are not told apart.
    :param began: called with each association as it begins.
    :param over: called with each one as it ends, its counts final.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        resolver: Resolver,
        *,
        address_filter: AddressFilter | None = None,
        verdict_on: VerdictOnTarget | None = None,
        find_way: FindWay | None = None,
        timeout: float = 300.0,
        capacity: int = 4096,
        capacity_per_client: int = 0,
        capacity_per_user: int = 0,
        client_of: Callable[[str], str] | None = None,
        limit_hit: Callable[[str, str], None] | None = None,
        dropped: Callable[[str, str | None, int], None] | None = None,
        names_kept: float = 60.0,
        longest_wait: float = 10.0,
        patience: float = 15.0,
        local_addresses: Iterable[str] = (),
        meter_of: Callable[[str | None], Meter] | None = None,
        began: Callable[[Association], None] | None = None,
        over: Callable[[Association], None] | None = None,
    ) -> None:
        self.loop = loop
        self.resolver = resolver
        self._set(address_filter, verdict_on, find_way, meter_of, began, over)
        self.timeout = timeout
        self.tasks: set[asyncio.Task[Any]] = set()
        self.names_kept = names_kept
        self.longest_wait = longest_wait
        self.patience = patience
        self.table = AssociationTable(capacity, capacity_per_client, capacity_per_user)
        self.counters = DatagramCounters(self.table)
        self._client_of = client_of
        self._limit_hit = limit_hit
        self._dropped = dropped
        # What that was not told yet: how many by reason and client.
        self._untold: dict[tuple[str, str | None], int] = {}
        self._telling: asyncio.TimerHandle | None = None
        self._tells_after = 0.0
        self._local = dict(_EVERYWHERE)
        for host in local_addresses:
            self._local[socket.AF_INET6 if ":" in host else socket.AF_INET] = host
        self._interval = min(_SWEEP_INTERVAL, timeout / 4)
        self._sweeping: asyncio.TimerHandle | None = None
        self._serving: list[SharedPort] = []

    def serve(self, sock: socket.socket, packets: PacketCodec) -> None:
        """Serve Shadowsocks clients.

        There is one association for each of their sessions, or source addresses where the
        method has no sessions. Answers go to where the last packet that opened came from.

        :param sock: a bound, non-blocking UDP socket; this object's from now on.
        :param packets: the server's codec; several sockets may share one.
        """
        self._serving.append(ShadowsocksPort(self, sock, packets, self.find_way))

    def forward(
        self, sock: socket.socket, target: Address, find_way: FindWay | None = None
    ) -> None:
        """Forward whatever comes to a fixed target, and what that answers to whoever has sent.

        There is one association for each client's address and port. What somebody else than the
        target sends to it is dropped, as far as can be told: of a name that a server resolves, only
        the port can be compared.

        :param sock: a bound, non-blocking UDP socket; this object's from now on.
        :param target: an IP address or a name; resolved here where datagrams go directly.
        :param find_way: finds the way of an association through servers, see
            :class:`DatagramEngine`; None: its datagrams go directly.
        """
        self._serving.append(ForwardPort(self, sock, target, find_way))

    def associate(
        self,
        sock: socket.socket,
        client: str,
        port: int,
        packet_way: PacketWay | None,
        user: str | None = None,
    ) -> Association:
        """Relay for one SOCKS client (RFC 1928 section 7).

        :param sock: a bound, non-blocking UDP socket that the client can reach; this object's
            from now on, even if the call fails.
        :param client: the IP address that datagrams are accepted from.
        :param port: likewise; 0 takes that of the first datagram.
        :param packet_way: the way through servers, its control this object's from now on unless the
            call fails; None leaves it to `find_way`. The association ends with it.
        :param user: whose it is.
        :raises OSError: no further socket can be had.
        """
        host = client.partition("%")[0]
        facing = SocksPort(self, sock, host, port)
        association = facing.association = Association(self, facing, (host, port), user)
        association.targets = Targets(association)
        if packet_way is not None:
            association.packet_way = way = CurrentWay(association, None)
            try:
                way.lead(packet_way)
            except BaseException:
                facing.close()
                raise
        elif self.find_way is not None:
            association.packet_way = CurrentWay(association, self.find_way)
        self.admit(association)
        return association

    def stop_serving(self) -> None:
        """Close the sockets of :meth:`serve` and :meth:`forward`, and what answers through them."""
        for association in list(self.table.entries):
            if isinstance(association.facing, SharedPort):
                association.end_by_itself()
        for port in self._serving:
            port.close()
        self._serving.clear()

    def close(self) -> None:
        """Close everything; again does nothing."""
        self.stop_serving()
        for association in list(self.table.entries):
            association.end_by_itself()
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        if self._telling is not None:
            self._telling.cancel()
            self._tell()

    def change(
        self,
        *,
        address_filter: AddressFilter | None,
        verdict_on: VerdictOnTarget | None,
        find_way: FindWay | None,
        meter_of: Callable[[str | None], Meter] | None,
        began: Callable[[Association], None] | None,
        over: Callable[[Association], None] | None,
    ) -> None:
        """Have others decide from now on; the parameters are those of the class.

        Targets of associations that run are asked about again; the ways that they have go on.
        """
        self._set(address_filter, verdict_on, find_way, meter_of, began, over)
        for port in self._serving:
            if isinstance(port, ShadowsocksPort):
                port.find_way = find_way
        self.forget_verdicts()

    def _set(
        self,
        address_filter: AddressFilter | None,
        verdict_on: VerdictOnTarget | None,
        find_way: FindWay | None,
        meter_of: Callable[[str | None], Meter] | None,
        began: Callable[[Association], None] | None,
        over: Callable[[Association], None] | None,
    ) -> None:
        self.address_filter = address_filter
        self.verdict_on = verdict_on
        #: Whether anybody decides on targets, so that their names need to have one form.
        self.canonical_names = address_filter is not None or verdict_on is not None
        self.find_way = find_way
        self._meter_of = meter_of
        self._began = began
        self._over = over

    def forget_verdicts(self) -> None:
        """Ask about all targets again: what may be reached has changed."""
        for association in self.table.entries:
            association.forget_verdicts()

    def drop(self, reason: str, client: str | None, *, told: bool = True) -> None:
        """Count a datagram that is not carried.

        :param client: the IP address of whom it is from, or to.
        :param told: False where somebody else tells of it.
        """
        self.counters.dropped[reason] += 1
        if self._dropped is None or not told:
            return
        key = (reason, client)
        if len(self._untold) >= _UNTOLD and key not in self._untold:
            key = (reason, None)
        self._untold[key] = self._untold.get(key, 0) + 1
        if self._telling is None:
            delay = max(0.0, self._tells_after - monotonic())
            self._telling = self.loop.call_later(delay, self._tell)

    def _tell(self) -> None:
        self._telling = None
        self._tells_after = monotonic() + _TELLING_INTERVAL
        untold, self._untold = self._untold, {}
        if self._dropped is not None:
            for (reason, client), count in untold.items():
                self._dropped(reason, client, count)

    def admit(self, association: Association) -> None:
        """Take in a new association, and end others where it is one too many."""
        client = association.client_host
        if self._client_of is not None:
            client = self._client_of(client)
        association.client_id = client
        while (found := self.table.in_the_way(client, association.user)) is not None:
            gone, cap, whose = found
            gone.end_by_itself()
            if self._limit_hit is not None:
                self._limit_hit(cap, whose)
        self.table.add(association, client, association.user)
        if self._meter_of is not None:
            association.use(self._meter_of(association.user))
        self.counters.associations += 1
        if self._began is not None:
            self._began(association)
        if self._sweeping is None:
            self._sweeping = self.loop.call_later(self._interval, self._sweep)

    def forget(self, association: Association) -> None:
        """Take an ended association off the books; again does nothing."""
        if (waiting := self.table.waiting_of(association)) > 0:
            self.counters.dropped["closed"] += waiting
        if self.table.remove(association):
            self.counters.associations -= 1
            if association.meter is not None:
                association.meter.end()
            if self._over is not None:
                self._over(association)

    def open_outgoing(self, family: int) -> socket.socket:
        """Open a socket towards targets.

        :raises OSError: it cannot be had.
        """
        sock = open_datagram_socket(family)
        try:
            sock.bind((self._local[cast("socket.AddressFamily", family)], 0))
        except BaseException:
            sock.close()
            raise
        return sock

    def _sweep(self) -> None:
        limit = monotonic() - self.timeout
        session_limit = min(limit, monotonic() - _SHORTEST_SESSION)
        for association in self.table.idle_since(limit):
            if association.session is None or association.touched < session_limit:
                association.end_by_itself()
        self._sweeping = None
        if self.table.entries:
            self._sweeping = self.loop.call_later(self._interval, self._sweep)
