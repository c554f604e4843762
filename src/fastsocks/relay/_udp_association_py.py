"""What is done for one client: which way its datagrams go, and how answers come back.

Part of ``_udp_py.py``; the twin of ``_udp_association.pxi``: pure Python.
"""

from __future__ import annotations

import errno
from collections import Counter
from enum import Enum
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from ..address import canonical
from ..errors import HostNameError, PolicyError

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable

    from ..address import Address
    from ..net import Resolver
    from ..net.datagrams import Arrival
    from ..net.dial import AddressFilter
    from ..shadowsocks.packets import PacketSession
    from ._meter_py import Meter
    from .packet_way import VerdictOnTarget

# Targets of which one association remembers what its rules say.
_WAYS = 256


# A socket address as sendto() takes it.
SockAddr: TypeAlias = tuple[Any, ...]


class Way(Enum):
    """What becomes of a target: rules deny it, or by which way it is reached."""

    DENIED = 0
    BY_SERVERS = 1
    DIRECT = 2


class Association:
    """The UDP relay of one client; made by a :class:`DatagramEngine`.

    :param facing: the port that the client sends to.
    :param source: where it sends from, as far as that is known.
    """

    #: Whoever makes it sets it next.
    targets: TargetsSide

    def __init__(self, engine: Engine, facing: Facing, source: SockAddr, user: str | None) -> None:
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
        self.touched = monotonic()
        #: When a target last answered.
        self.answered = 0.0
        #: What counts as one client, by the address that it began with.
        self.client_id = ""
        #: None where all goes directly.
        self.packet_way: Side | None = None
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


class DatagramCounters:
    """What went through a datagram engine; sizes are of payload, in bytes."""

    __slots__ = (
        "_table",
        "associations",
        "bytes_down",
        "bytes_up",
        "dropped",
        "packets_down",
        "packets_up",
    )

    def __init__(self, table: Table) -> None:
        self._table = table
        #: Associations that are active now.
        self.associations = 0
        self.packets_up = 0
        self.packets_down = 0
        self.bytes_up = 0
        self.bytes_down = 0
        #: Datagrams dropped, by reason.
        self.dropped: Counter[str] = Counter()

    @property
    def waiting(self) -> int:
        """Datagrams that wait now for a look-up."""
        return self._table.waiting


class Facing(Protocol):
    """The port that faces the client of an association."""

    def answer(
        self, association: Association, address: Address, payload: bytes
    ) -> OSError | str | None:
        """Send what `address` says as clients expect it, or return why not."""

    def release(self, association: Association) -> None:
        """Forget an association, which has ended."""


class Side(Protocol):
    """What leads away from the client: to targets, or to servers."""

    def send(self, address: Address, payload: bytes) -> None:
        """Send a payload to `address`, or let it wait."""

    def close(self) -> None:
        """Close the sockets, and let nothing wait any more."""


class TargetsSide(Side, Protocol):
    """What leads to targets."""

    #: The IP address that was sent to last.
    latest: Address | None

    def forget_verdicts(self) -> None:
        """Forget which addresses names lead to."""


class Table(Protocol):
    """The associations of an engine; see :class:`._udp_table_py.AssociationTable`."""

    waiting: int

    def touch(self, association: Association) -> None:
        """Note that an association is used."""

    def let_wait(self, association: Association, size: int) -> bool:
        """Take in a datagram that has to wait, unless that is one too many."""

    def release(self, association: Association, size: int) -> None:
        """Let go of a datagram that has waited."""


class Engine(Protocol):
    """What associations and their parts need of a :class:`._udp_py.DatagramEngine`."""

    loop: asyncio.AbstractEventLoop
    resolver: Resolver
    address_filter: AddressFilter | None
    verdict_on: VerdictOnTarget | None
    canonical_names: bool
    tasks: set[asyncio.Task[Any]]
    names_kept: float
    longest_wait: float
    patience: float
    counters: DatagramCounters

    @property
    def table(self) -> Table:
        """Its associations."""

    def drop(self, reason: str, client: str | None, *, told: bool = True) -> None:
        """Count a datagram that is not carried."""

    def admit(self, association: Association) -> None:
        """Take in a new association."""

    def forget(self, association: Association) -> None:
        """Take an ended association off the books."""

    def open_outgoing(self, family: int) -> socket.socket:
        """Open a socket towards targets."""


def host_of(source: SockAddr) -> str:
    """Return the IP address of a socket's address, without its scope."""
    return cast("str", source[0]).partition("%")[0]
