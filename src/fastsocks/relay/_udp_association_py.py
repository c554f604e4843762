"""Associations, and the engine that keeps them: pure Python.

An association is what is done for one client: which way its datagrams go, and how answers come
back. Part of ``_udp_py.py``; the twin of ``_udp_association.pxi``.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Iterable
from enum import Enum
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from ..address import canonical
from ..errors import HostNameError, PolicyError
from ..net import open_datagram_socket
from ._udp_ports_py import Port, host_of
from ._udp_table_py import AssociationTable, DatagramCounters, Entry

if TYPE_CHECKING:
    from ..address import Address
    from ..net import Resolver
    from ..net.datagrams import Arrival
    from ..net.dial import AddressFilter
    from ..shadowsocks.packets import PacketSession
    from ._meter_py import Meter
    from ._udp_ports_py import SockAddr
    from .packet_way import FindWay, VerdictOnTarget

# Targets of which one association remembers what its rules say.
_WAYS = 256

# Seconds between two looks for idle associations, at most.
_SWEEP_INTERVAL = 15.0

# SIP022 3.2.4 wants sessions to live at least this long, in seconds.
_SHORTEST_SESSION = 60.0

# Seconds between two times at which drops are told, and reasons and clients that are told apart.
_TELLING_INTERVAL = 1.0
_UNTOLD = 256

_EVERYWHERE = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104


class Way(Enum):
    """What becomes of a target: rules deny it, or by which way it is reached."""

    DENIED = 0
    BY_SERVERS = 1
    DIRECT = 2


class ClientPort(Port):
    """Faces clients."""

    #: See :class:`Engine`; of those that many clients share.
    find_way: FindWay | None = None

    def __init__(self, engine: Engine, sock: socket.socket) -> None:
        super().__init__(engine, sock)
        self.engine = engine

    def answer(
        self, association: Association, address: Address, payload: bytes
    ) -> OSError | str | None:
        """Send what a target says as clients expect it, or return why not.

        :param address: who says it.
        """
        raise NotImplementedError

    def release(self, association: Association) -> None:
        """Forget an association, which has ended."""
        raise NotImplementedError


class Side:
    """Faces the targets of an association, or the servers that lead to them."""

    def send(self, address: Address, payload: bytes) -> None:
        """Send a payload to `address`, or let it wait."""
        raise NotImplementedError

    def forget_verdicts(self) -> None:
        """Forget which addresses were allowed."""

    def close(self) -> None:
        """Close the sockets, and let nothing wait any more."""
        raise NotImplementedError


class Association(Entry):
    """The UDP relay of one client; made by a :class:`DatagramEngine`.

    :param facing: the port that the client sends to.
    :param source: where it sends from, as far as that is known.
    """

    targets: Side

    def __init__(
        self, engine: Engine, facing: ClientPort, source: SockAddr, user: str | None
    ) -> None:
        super().__init__()
        #: Called once if it ends by itself, and not by :meth:`close`.
        self.ended: Callable[[], None] | None = None
        #: Whether it still relays.
        self.active = True
        self.engine = engine
        self.facing = facing
        self.source = source
        #: Where the client's last datagram came to.
        self.arrival: Arrival = ()
        self.session: PacketSession | None = None
        self.user = user
        #: Payload from the client so far, in bytes.
        self.bytes_up = 0
        #: Payload to the client so far, in bytes.
        self.bytes_down = 0
        #: Of the user; None where users are not told apart.
        self.meter: Meter | None = None
        #: When a target last answered.
        self.answered = 0.0
        #: What counts as one client, by the address that it began with.
        self.client_id = ""
        #: None where all goes directly.
        self.packet_way: Side | None = None
        #: The IP address that was sent to last.
        self.sent_to: Address | None = None
        self._ways: dict[tuple[bytes, str | None], Way] = {}

    @property
    def client_host(self) -> str:
        """The IP address of the client."""
        return host_of(self.source)

    def way_to(self, address: Address, resolved: str | None = None) -> Way:
        """Return the way to a target, as :attr:`DatagramEngine.verdict_on` has it; remembered."""
        if self.engine.verdict_on is None:
            return Way.BY_SERVERS
        key = address.wire, resolved
        known = self._ways.get(key)
        if known is None:
            try:
                direct = self.engine.verdict_on(self.client_host, self.user, address, resolved)
            except PolicyError:
                known = Way.DENIED
            else:
                known = Way.DIRECT if direct else Way.BY_SERVERS
            if len(self._ways) >= _WAYS:
                self._ways.clear()
            self._ways[key] = known
        return known

    def forget_verdicts(self) -> None:
        """Forget what was said of targets."""
        self._ways.clear()
        self.targets.forget_verdicts()

    def is_denied(self, address: Address, resolved: str | None = None) -> bool:
        """Tell whether rules deny a target; see :meth:`way_to`."""
        return self.way_to(address, resolved) is Way.DENIED

    def passes(self, address: Address) -> bool:
        """Tell whether the address filter lets an address be reached."""
        return self.engine.address_filter is None or self.engine.address_filter(address.host)

    def forward(self, address: Address, payload: bytes) -> None:
        """Carry the client's payload to `address`."""
        self.engine.table.touch(self)
        if self.engine.canonical_names:
            try:
                address = canonical(address)
            except HostNameError as error:
                self.drop(error.status)
                return
        way = Way.DIRECT if self.packet_way is None else self.way_to(address)
        if way is Way.DIRECT or self.packet_way is None:
            self.targets.send(address, payload)
        elif way is Way.DENIED:
            self.refuse()
        elif not self.passes(address):
            self.drop("not-allowed")
        else:
            self.packet_way.send(address, payload)

    def backward(self, address: Address, payload: bytes) -> None:
        """Carry a target's payload to the client.

        :param address: who sent it.
        """
        self.engine.table.touch(self)
        self.answered = self.touched
        outcome: OSError | str | None = self.limited(len(payload), up=False)
        if outcome is None:
            try:
                outcome = self.facing.answer(self, address, payload)
            except OSError as error:  # no random bytes
                outcome = error
        if self.count_down(outcome):
            counters = self.engine.counters
            counters.packets_down += 1
            counters.bytes_down += len(payload)
            self.bytes_down += len(payload)
            if self.meter is not None:
                self.meter.spend(len(payload), up=False)

    def use(self, meter: Meter) -> None:
        """Count what is carried by a meter, too."""
        if meter.begin():
            self.meter = meter

    def limited(self, size: int, *, up: bool) -> str | None:
        """Return why a payload does not pass the user's meter, None where it does."""
        if self.meter is None:
            return None
        if not self.meter.passes(size, up, monotonic()):
            return "speed"
        return "quota" if self.meter.exhausted(up) else None

    def count_up(self, outcome: OSError | str | None, size: int) -> None:
        """Count a payload from the client.

        :param outcome: why it was not sent, None where it was.
        :param size: of the payload, in bytes.
        """
        if self.count_down(outcome):
            counters = self.engine.counters
            counters.packets_up += 1
            counters.bytes_up += size
            self.bytes_up += size
            if self.meter is not None:
                self.meter.spend(size, up=True)

    def count_down(self, outcome: OSError | str | None) -> bool:
        """Count a datagram that was not sent, and tell whether it was."""
        if outcome is None:
            return True
        if isinstance(outcome, OSError):
            outcome = "oversize" if outcome.errno == errno.EMSGSIZE else "not-sent"
        self.drop(outcome)
        return False

    def drop(self, reason: str) -> None:
        """Count a datagram of the client, or to it, that is not carried."""
        self.engine.drop(reason, self.client_host)

    def refuse(self) -> None:
        """Count a datagram that rules deny, of which who was asked tells."""
        self.engine.drop("not-allowed", self.client_host, told=False)

    def close(self) -> None:
        """End it, with all of its descriptors; again does nothing."""
        if self.active:
            self.active = False
            self.engine.forget(self)
            self.targets.close()
            if self.packet_way is not None:
                self.packet_way.close()
            self.facing.release(self)

    def end_by_itself(self) -> None:
        """End it, and tell so."""
        self.close()
        ended, self.ended = self.ended, None
        if ended is not None:
            ended()


class Engine:
    """Keeps the associations of one event loop; :class:`DatagramEngine` begins them.

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
        self.table: AssociationTable[Association] = AssociationTable(
            capacity, capacity_per_client, capacity_per_user
        )
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
        self._serving: list[ClientPort] = []

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

    def close(self) -> None:
        """End all associations; again does nothing."""
        for association in list(self.table.entries):
            association.end_by_itself()
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        if self._telling is not None:
            self._telling.cancel()
            self._tell()

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
        """Count an association out."""
        if association.waiting:
            self.counters.dropped["closed"] += association.waiting
        self.table.remove(association)
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
