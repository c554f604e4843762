"""How many connections there may be: in all, and of one client.

Sans IO: set-up says what happens to a connection, and is told whether it may. What a
connection takes up is held by its :class:`Admission`, which gives back on :meth:`Admission.leave`
exactly what it still holds, however often that is called; so counts cannot drift.

    admit ──► HANDSHAKE ──established──► ESTABLISHED
                  │                           │
                  └──────────leave────────────┴──► GONE

HANDSHAKE counts as a connection and as a handshake, ESTABLISHED as a connection, GONE as nothing.

All caps act at :meth:`Admissions.admit`, when nothing is received yet. Those of one client act at
:meth:`Admission.move` where a front says whose a connection is. A handshake that fails counts as
one until its connection is closed, however long it is drained: with a cap of its own on those, a
prober who fills it could tell by what is closed early at which byte a handshake fails.

Several processes count together where they are given memory for it.
"""

from __future__ import annotations

import sys
from collections import Counter
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import TYPE_CHECKING

from fastsocks.implementation import IMPLEMENTATION

from .client_counts import CONNECTIONS, HANDSHAKES

if TYPE_CHECKING or IMPLEMENTATION == "python":
    from ._admissions_py import Admission, Admissions, Client
else:
    from ._admissions import Admission, Admissions, Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .client_counts import ClientCounts

__all__ = ["Admission", "Cap", "ClientLimits", "client_of"]


class Cap(Enum):
    """What is capped; the value is the name of the option."""

    CONNECTIONS = "max_connections"
    CONNECTIONS_PER_CLIENT = "max_connections_per_client"
    HANDSHAKES = "max_handshakes"
    HANDSHAKES_PER_CLIENT = "max_handshakes_per_client"
    #: Kept by :class:`fastsocks.net.Resolver`, where a look-up too many waits.
    LOOKUPS_PER_CLIENT = "max_lookups_per_client"
    #: These are kept by :class:`fastsocks.relay.udp.DatagramEngine`, which ends one for another.
    UDP_ASSOCIATIONS = "udp_max_associations"
    UDP_ASSOCIATIONS_PER_CLIENT = "udp_max_associations_per_client"
    UDP_ASSOCIATIONS_PER_USER = "udp_max_associations_per_user"

    @property
    def per_client(self) -> bool:
        """Whether it is of one client, or user, and not of all together."""
        return self.name.endswith(("_PER_CLIENT", "_PER_USER"))


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


class ClientLimits(Admissions):
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
        hit: Callable[[Cap, str], None] | None = None,
        counts: ClientCounts | None = None,
        max_connections_here: int = 0,
    ) -> None:
        super().__init__(counts=counts)
        self._max_connections_here = max_connections_here or sys.maxsize
        self.change(
            max_connections=max_connections,
            max_connections_per_client=max_connections_per_client,
            max_handshakes=max_handshakes,
            max_handshakes_per_client=max_handshakes_per_client,
        )
        #: How often each cap was hit.
        self.hits: Counter[Cap] = Counter()
        self._hit = hit

    def change(
        self,
        *,
        max_connections: int = 0,
        max_connections_per_client: int = 0,
        max_handshakes: int = 0,
        max_handshakes_per_client: int = 0,
    ) -> None:
        """Let these caps hold from now on; what is beyond one of them stays."""
        most = sys.maxsize
        self._max_connections = max_connections or most
        self._max_connections_per_client = max_connections_per_client or most
        self._max_handshakes = max_handshakes or most
        self._max_handshakes_per_client = max_handshakes_per_client or most
        caps = (
            min(self._max_connections, self._max_connections_here),
            self._max_connections_per_client,
            self._max_handshakes,
            self._max_handshakes_per_client,
        )
        self.set_caps(caps)
        self._lowest_cap = min(self._max_connections, *caps[1:])

    @property
    def clients(self) -> int:
        """Clients that have a connection now."""
        return len(self.known)

    def look_closely(self, host: str) -> Admission | None:
        """Decide on a connection that may be one too many; see :meth:`admit`."""
        client = self._client(host)
        return None if self._too_many(client) else self.take_in(client)

    def admit_front(self, host: str) -> Admission | None:
        """Take in a connection of a front, which is to name the client: see :meth:`Admission.move`.

        :return: None if it is one too many in all: close it.
        """
        client = self._client(host)
        return None if self._too_many(client, of_all_only=True) else self.take_in(client)

    def other_client(self, host: str, present: Client) -> Client | None:
        """Decide on a client that a connection is found to be of; see :meth:`Admission.move`."""
        client = self._client(host)
        if client is present or not self._too_many(client, of_client_only=True):
            return client
        return None

    def _client(self, host: str) -> Client:
        name, counts = client_of(host), self.counts
        client = self.known.get(name)
        if client is not None:
            return client
        return Client(name) if counts is None else Client(name, counts.places(name))

    def _too_many(
        self, client: Client, *, of_all_only: bool = False, of_client_only: bool = False
    ) -> bool:
        for cap in self._caps_reached(client):
            if not (of_all_only if cap.per_client else of_client_only):
                self.refuse(cap, client.name)
                return True
        return False

    def _caps_reached(self, client: Client) -> Iterator[Cap]:
        counts = self.counts
        connections, connections_of_client = self.connections, client.connections
        handshakes, handshakes_of_client = self.handshakes, client.handshakes
        if connections >= self._max_connections_here:
            yield Cap.CONNECTIONS
        if counts is not None:
            connections += counts.elsewhere(CONNECTIONS)
            # Fewer connections than that reach no cap, and need not be told apart.
            if connections >= self._lowest_cap:
                connections_of_client += counts.elsewhere_of(client.places, CONNECTIONS)
                handshakes += counts.elsewhere(HANDSHAKES)
                handshakes_of_client += counts.elsewhere_of(client.places, HANDSHAKES)
        if connections >= self._max_connections:
            yield Cap.CONNECTIONS
        if connections_of_client >= self._max_connections_per_client:
            yield Cap.CONNECTIONS_PER_CLIENT
        if handshakes >= self._max_handshakes:
            yield Cap.HANDSHAKES
        if handshakes_of_client >= self._max_handshakes_per_client:
            yield Cap.HANDSHAKES_PER_CLIENT

    def refuse(self, cap: Cap, client: str) -> None:
        """Note that `cap` was hit by `client`."""
        self.hits[cap] += 1
        if self._hit is not None:
            self._hit(cap, client)
