"""Counting connections as they come and go, in pure Python; the twin of ``_admissions.pyx``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .client_counts import CONNECTIONS, HANDSHAKES

if TYPE_CHECKING:
    from .client_counts import ClientCounts, Places

#: States of an admission; plain integers because they are compared for every connection.
_HANDSHAKE: Final = 0
_ESTABLISHED: Final = 1
_GONE: Final = 2

#: Of clients that are counted in one process only.
NOWHERE: Final = (0, 0)


class Client:
    """What one client takes up.

    :param name: what it is known by.
    :param places: where it stands in the counts of all processes.
    """

    __slots__ = ("connections", "handshakes", "name", "places")

    def __init__(self, name: str, places: Places = NOWHERE) -> None:
        self.name = name
        self.places = places
        self.connections = 0
        self.handshakes = 0


class Admissions:
    """The counts of one process, and by client.

    :param caps: below which nothing needs a closer look: connections, those of a client,
        handshakes, those of a client.
    :param counts: those of several processes, which are kept up to date, too.
    """

    def __init__(
        self, caps: tuple[int, int, int, int] = (0, 0, 0, 0), counts: ClientCounts | None = None
    ) -> None:
        #: What there is now, in this process.
        self.connections = 0
        self.handshakes = 0
        #: By name, those that have a connection.
        self.known: dict[str, Client] = {}
        self.counts = counts
        self.set_caps(caps)

    def set_caps(self, caps: tuple[int, int, int, int]) -> None:
        """Let these hold from now on; what is there stays."""
        self._caps = caps

    def admit(self, host: str) -> Admission | None:
        """Take in a connection that was just accepted.

        :param host: the client's address.
        :return: None if it is one too many: close it.
        """
        if self.counts is None and ":" not in host:
            client = self.known.get(host) or Client(host)
            connections, of_client, handshakes, handshakes_of_client = self._caps
            if (
                self.connections < connections
                and client.connections < of_client
                and self.handshakes < handshakes
                and client.handshakes < handshakes_of_client
            ):
                return self.take_in(client)
        return self.look_closely(host)

    def look_closely(self, host: str) -> Admission | None:
        """Decide on a connection that may be one too many; see :meth:`admit`."""
        return None

    def other_client(self, host: str, present: Client) -> Client | None:
        """Decide on a client that a connection is found to be of; see :meth:`Admission.move`."""
        return None

    def take_in(self, client: Client) -> Admission:
        """Count a connection of `client`, which need not be known yet."""
        if not client.connections:
            self.known[client.name] = client
        client.connections += 1
        client.handshakes += 1
        self.connections += 1
        self.handshakes += 1
        if self.counts is not None:
            self.counts.add(client.places, CONNECTIONS, 1)
            self.counts.add(client.places, HANDSHAKES, 1)
        return Admission(self, client)


class Admission:
    """What one connection takes up; made by :meth:`Admissions.take_in`."""

    __slots__ = ("_admissions", "_client", "_state")

    def __init__(self, admissions: Admissions, client: Client) -> None:
        self._admissions = admissions
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

    def move(self, host: str) -> bool:
        """Let another client have the connection: somebody trusted says that it is that one's.

        :param host: the client's address.
        :return: False if the client has too many; nothing has changed then.
        """
        client = self._admissions.other_client(host, self._client)
        if client is None or self._state == _GONE:
            return False
        in_handshake = self._state == _HANDSHAKE
        self._change(-1, in_handshake=in_handshake)
        self._client = client
        self._change(1, in_handshake=in_handshake)
        return True

    def leave(self) -> None:
        """Give back all that the connection takes up, once; it is closed."""
        state = self._state
        if state == _GONE:
            return
        self._state = _GONE
        if state == _HANDSHAKE:
            self._end_handshake()
        self._admissions.connections -= 1
        self._change(-1, in_handshake=False)

    def _change(self, change: int, *, in_handshake: bool) -> None:
        """Count the connection for its client, or no longer."""
        client, known = self._client, self._admissions.known
        if in_handshake:
            client.handshakes += change
            self._count(HANDSHAKES, change)
        if not client.connections:
            known[client.name] = client
        client.connections += change
        self._count(CONNECTIONS, change)
        if not client.connections:
            del known[client.name]

    def _end_handshake(self) -> None:
        self._admissions.handshakes -= 1
        self._client.handshakes -= 1
        self._count(HANDSHAKES, -1)

    def _count(self, kind: int, change: int) -> None:
        counts = self._admissions.counts
        if counts is not None:
            counts.add(self._client.places, kind, change)
