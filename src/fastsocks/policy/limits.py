"""How many connections there may be: in all, and of one client.

Sans IO: set-up says what happens to a connection, and is told whether it may. What a
connection takes up is held by its :class:`Admission`, which gives back on :meth:`Admission.leave`
exactly what it still holds, however often that is called; so counts cannot drift.

    admit ──► HANDSHAKE ──established──► ESTABLISHED
                 │ │                        │ │
                 │ └────────drain───────────┼─┴──► DRAINING
                 │                          │          │
                 └───────────leave──────────┴──leave───┴──► GONE

HANDSHAKE counts as a connection and as a handshake, ESTABLISHED as a connection, DRAINING as a
connection and as a draining one, GONE as nothing.

Several processes count together where they are given memory for it.
"""

from __future__ import annotations

import sys
from collections import Counter
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Final

from .client_counts import CONNECTIONS, DRAINING, HANDSHAKES

if TYPE_CHECKING:
    from collections.abc import Callable

    from .client_counts import ClientCounts, Places


class Cap(Enum):
    """What is capped; the value is the name of the option."""

    CONNECTIONS = "max_connections"
    CONNECTIONS_PER_CLIENT = "max_connections_per_client"
    HANDSHAKES = "max_handshakes"
    HANDSHAKES_PER_CLIENT = "max_handshakes_per_client"
    DRAINS = "max_drains"
    DRAINS_PER_CLIENT = "max_drains_per_client"
    #: Kept by :class:`fastsocks.net.Resolver`, where a look-up too many waits.
    LOOKUPS_PER_CLIENT = "max_lookups_per_client"

    @property
    def per_client(self) -> bool:
        """Whether it is of one client, and not of all together."""
        return self.name.endswith("_PER_CLIENT")


#: States of an admission; plain integers because they are compared for every connection.
_HANDSHAKE: Final = 0
_ESTABLISHED: Final = 1
_DRAINING: Final = 2
_GONE: Final = 3

#: Of clients that are counted in one process only.
_NOWHERE: Final = (0, 0)


@lru_cache(4096)
def client_of(host: str) -> str:
    """Return what counts as one client.

    :param host: an IP address as a socket names it, with or without a scope.
    :return: an IPv4 address by itself, also where it stands IPv4-mapped; of an IPv6 address
        its /64, of which one host has all addresses (RFC 7421).
    """
    if ":" not in host:
        return host
    address = IPv6Address(host)
    if address.ipv4_mapped is not None:
        return str(IPv4Address(address.ipv4_mapped))
    return str(IPv6Network((address.packed[:8] + bytes(8), 64)))


class _Client:
    """What one client takes up."""

    __slots__ = ("name", "connections", "handshakes", "draining", "places")

    def __init__(self, name: str, places: Places) -> None:
        self.name = name
        #: In the counts of all processes.
        self.places = places
        self.connections = 0
        self.handshakes = 0
        self.draining = 0


class ClientLimits:
    """Counts connections and says which are too many. 0 stands for no cap.

    Memory is bounded by the connections there are: a client without any is forgotten.

    :param hit: is called each time that something is refused, with the cap and the client.
    :param counts: of several processes, for which the caps then hold together; those that admit at
        the same moment may go beyond a cap by one each.
    :param max_connections_here: most connections of this process alone, such as its limit of open
        files allows.
    """

    def __init__(
        self,
        *,
        max_connections: int = 0,
        max_connections_per_client: int = 0,
        max_handshakes: int = 0,
        max_handshakes_per_client: int = 0,
        max_drains: int = 0,
        max_drains_per_client: int = 0,
        hit: Callable[[Cap, str], None] | None = None,
        counts: ClientCounts | None = None,
        max_connections_here: int = 0,
    ) -> None:
        #: What there is now, in this process.
        self.connections = 0
        self.handshakes = 0
        self.draining = 0
        #: How often each cap was hit.
        self.hits: Counter[Cap] = Counter()
        self._hit = hit
        self._counts = counts
        self._max_connections_here = max_connections_here or sys.maxsize
        self._clients: dict[str, _Client] = {}
        self._max_connections = max_connections or sys.maxsize
        self._max_connections_per_client = max_connections_per_client or sys.maxsize
        self._max_handshakes = max_handshakes or sys.maxsize
        self._max_handshakes_per_client = max_handshakes_per_client or sys.maxsize
        self._lowest_cap = min(
            self._max_connections,
            self._max_connections_per_client,
            self._max_handshakes,
            self._max_handshakes_per_client,
        )
        self._max_drains = max_drains or sys.maxsize
        self._max_drains_per_client = max_drains_per_client or sys.maxsize

    @property
    def clients(self) -> int:
        """Clients that have a connection now."""
        return len(self._clients)

    def admit(self, host: str) -> Admission | None:
        """Take in a connection that was just accepted.

        :param host: the client's address.
        :return: None if it is one too many: close it.
        """
        name = client_of(host) if ":" in host else host
        counts = self._counts
        client = self._clients.get(name)
        if client is None:
            client = _Client(name, _NOWHERE if counts is None else counts.places(name))
        connections, connections_of_client = self.connections, client.connections
        handshakes, handshakes_of_client = self.handshakes, client.handshakes
        if connections >= self._max_connections_here:
            self.refuse(Cap.CONNECTIONS, name)
            return None
        if counts is not None:
            connections += counts.elsewhere(CONNECTIONS)
            # Fewer connections than that reach no cap, and need not be told apart.
            if connections >= self._lowest_cap:
                connections_of_client += counts.elsewhere_of(client.places, CONNECTIONS)
                handshakes += counts.elsewhere(HANDSHAKES)
                handshakes_of_client += counts.elsewhere_of(client.places, HANDSHAKES)
        if connections >= self._max_connections:
            self.refuse(Cap.CONNECTIONS, name)
            return None
        if connections_of_client >= self._max_connections_per_client:
            self.refuse(Cap.CONNECTIONS_PER_CLIENT, name)
            return None
        if handshakes >= self._max_handshakes:
            self.refuse(Cap.HANDSHAKES, name)
            return None
        if handshakes_of_client >= self._max_handshakes_per_client:
            self.refuse(Cap.HANDSHAKES_PER_CLIENT, name)
            return None
        if not client.connections:
            self._clients[name] = client
        client.connections += 1
        client.handshakes += 1
        self.connections += 1
        self.handshakes += 1
        if counts is not None:
            counts.add(client.places, CONNECTIONS, 1)
            counts.add(client.places, HANDSHAKES, 1)
        return Admission(self, client)

    def refuse(self, cap: Cap, client: str) -> None:
        """Note that `cap` was hit by `client`."""
        self.hits[cap] += 1
        if self._hit is not None:
            self._hit(cap, client)

    def _may_drain(self, client: _Client) -> bool:
        draining, draining_of_client = self.draining, client.draining
        if self._counts is not None:
            draining += self._counts.elsewhere(DRAINING)
            draining_of_client += self._counts.elsewhere_of(client.places, DRAINING)
        if draining >= self._max_drains:
            self.refuse(Cap.DRAINS, client.name)
            return False
        if draining_of_client >= self._max_drains_per_client:
            self.refuse(Cap.DRAINS_PER_CLIENT, client.name)
            return False
        return True


class Admission:
    """What one connection takes up; made by :meth:`ClientLimits.admit`."""

    __slots__ = ("_limits", "_client", "_state")

    def __init__(self, limits: ClientLimits, client: _Client) -> None:
        self._limits = limits
        self._client = client
        self._state = _HANDSHAKE

    @property
    def client(self) -> str:
        """What counts as one client: an IPv4 address, or an IPv6 /64."""
        return self._client.name

    def established(self) -> None:
        """Note that the handshake is finished: the request is known."""
        if self._state == _HANDSHAKE:
            self._end_handshake()
            self._state = _ESTABLISHED

    def drain(self) -> bool:
        """Ask to keep a connection open that has failed, to read and forget what it sends.

        :return: False if it must be closed at once; :meth:`leave` then follows as ever.
        """
        if self._state == _DRAINING:
            return True
        if self._state == _GONE or not self._limits._may_drain(self._client):
            return False
        if self._state == _HANDSHAKE:
            self._end_handshake()
        self._state = _DRAINING
        self._limits.draining += 1
        self._client.draining += 1
        self._count(DRAINING, 1)
        return True

    def leave(self) -> None:
        """Give back all that the connection takes up, once; it is closed."""
        state = self._state
        if state == _GONE:
            return
        self._state = _GONE
        limits, client = self._limits, self._client
        if state == _HANDSHAKE:
            self._end_handshake()
        elif state == _DRAINING:
            limits.draining -= 1
            client.draining -= 1
            self._count(DRAINING, -1)
        limits.connections -= 1
        client.connections -= 1
        if limits._counts is not None:
            self._count(CONNECTIONS, -1)
        if not client.connections:
            del limits._clients[client.name]

    def _end_handshake(self) -> None:
        self._limits.handshakes -= 1
        self._client.handshakes -= 1
        if self._limits._counts is not None:
            self._count(HANDSHAKES, -1)

    def _count(self, kind: int, change: int) -> None:
        counts = self._limits._counts
        if counts is not None:
            counts.add(self._client.places, kind, change)
