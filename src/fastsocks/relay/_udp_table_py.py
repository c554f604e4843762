"""Who has how many UDP associations, which of them goes when there are too many, and what waits.

The twin of ``_udp_table.pxi``: pure Python.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from itertools import takewhile
from time import monotonic
from typing import Any, Generic, TypeVar

# Datagrams of one association that wait for names to be resolved, or for a packet way; bytes too.
_WAITING = 16
_WAITING_BYTES = 0x14000
# Of all of them; no client has more than a quarter of it.
_WAITING_BYTES_IN_ALL = 0x1000000
# What a datagram takes up beside itself.
_OVERHEAD = 256


_EntryT = TypeVar("_EntryT", bound="Entry")


class _Holder(Generic[_EntryT]):
    """A client or a user, as long as there are associations."""

    def __init__(self, name: str) -> None:
        self.name = name
        # Those used least recently come first.
        self.associations: OrderedDict[_EntryT, None] = OrderedDict()
        self.waiting_bytes = 0


class Entry:
    """What a table knows of an association."""

    def __init__(self) -> None:
        #: When it was last used.
        self.touched = monotonic()
        # None while it is in no table.
        self.client_holder: _Holder[Any] | None = None
        # None also where users have no cap.
        self.user_holder: _Holder[Any] | None = None
        #: Its datagrams that wait for a look-up.
        self.waiting = 0
        self.waiting_bytes = 0


class AssociationTable(Generic[_EntryT]):
    """The associations of an engine. 0 stands for no cap.

    :param capacity: most of all clients. Whoever has most makes room: of the newcomer, if it is one
        of those, else of another one of them the association that was not used for longest.
    :param capacity_per_client: most of one client; that of its own which was not used for longest
        makes room.
    :param capacity_per_user: likewise of one user.
    """

    def __init__(self, capacity: int, capacity_per_client: int, capacity_per_user: int) -> None:
        self._capacity = capacity
        self._capacity_per_client = capacity_per_client
        self._capacity_per_user = capacity_per_user
        # Those used least recently come first.
        self.entries: OrderedDict[_EntryT, None] = OrderedDict()
        self._clients: dict[str, _Holder[_EntryT]] = {}
        self._users: dict[str, _Holder[_EntryT]] = {}
        # Clients by how many associations they have, and the highest of these numbers.
        self._by_number: dict[int, OrderedDict[_Holder[_EntryT], None]] = {}
        self._most = 0
        #: Datagrams that wait now.
        self.waiting = 0
        self._waiting_bytes = 0

    def in_the_way(self, client: str, user: str | None) -> tuple[_EntryT, str, str] | None:
        """Return what has to go before there is one more.

        :param client: what counts as one client.
        :return: an association, the cap that is reached, by the name of its option, and of whom;
            None where there is room.
        """
        if user is not None and self._capacity_per_user:
            same = self._users.get(user)
            if same is not None and len(same.associations) >= self._capacity_per_user:
                return next(iter(same.associations)), "udp_max_associations_per_user", user
        holder = self._clients.get(client)
        number = 0 if holder is None else len(holder.associations)
        if holder is not None and 0 < self._capacity_per_client <= number:
            return next(iter(holder.associations)), "udp_max_associations_per_client", client
        if not 0 < self._capacity <= len(self.entries):
            return None
        if holder is None or number < self._most:
            holder = next(iter(self.entries)).client_holder
            if holder is None or len(holder.associations) < self._most:
                holder = next(iter(self._by_number[self._most]))
        return next(iter(holder.associations)), "udp_max_associations", client

    def add(self, entry: _EntryT, client: str, user: str | None) -> None:
        """Take in a new association."""
        holder = self._clients.get(client)
        if holder is None:
            holder = self._clients[client] = _Holder(client)
        self._leave_number(holder)
        holder.associations[entry] = None
        self._enter_number(holder)
        entry.client_holder = holder
        self.entries[entry] = None
        if user is not None and self._capacity_per_user:
            of_user = self._users.get(user)
            if of_user is None:
                of_user = self._users[user] = _Holder(user)
            of_user.associations[entry] = None
            entry.user_holder = of_user

    def touch(self, entry: _EntryT) -> None:
        """Note that an association is used."""
        entry.touched = monotonic()
        if entry.client_holder is None:
            return
        self.entries.move_to_end(entry)
        entry.client_holder.associations.move_to_end(entry)
        if entry.user_holder is not None:
            entry.user_holder.associations.move_to_end(entry)

    def remove(self, entry: _EntryT) -> None:
        """Take an association out, with what waits of it; again does nothing."""
        client, user = entry.client_holder, entry.user_holder
        if client is None:
            return
        entry.client_holder = entry.user_holder = None
        self.waiting -= entry.waiting
        self._waiting_bytes -= entry.waiting_bytes
        client.waiting_bytes -= entry.waiting_bytes
        entry.waiting = entry.waiting_bytes = 0
        self._leave_number(client)
        del client.associations[entry]
        self._enter_number(client)
        if not client.associations:
            del self._clients[client.name]
        if user is not None:
            del user.associations[entry]
            if not user.associations:
                del self._users[user.name]
        del self.entries[entry]

    def _leave_number(self, holder: _Holder[_EntryT]) -> None:
        number = len(holder.associations)
        if not number:
            return
        same = self._by_number[number]
        del same[holder]
        if not same:
            del self._by_number[number]
            if number == self._most:
                # It is among those with one less next, or with one more.
                self._most -= 1

    def _enter_number(self, holder: _Holder[_EntryT]) -> None:
        number = len(holder.associations)
        if number:
            # The first of a dict is looked for behind all that were deleted.
            self._by_number.setdefault(number, OrderedDict())[holder] = None
            self._most = max(self._most, number)

    def idle_since(self, limit: float) -> list[_EntryT]:
        """Return the associations that were not used since then."""
        return list(takewhile(lambda entry: entry.touched < limit, self.entries))

    def let_wait(self, entry: _EntryT, size: int) -> bool:
        """Take in a datagram that has to wait, unless that is one too many.

        :param size: in bytes.
        """
        client = entry.client_holder
        size += _OVERHEAD
        if (
            client is None
            or entry.waiting >= _WAITING
            or entry.waiting_bytes + size > _WAITING_BYTES
            or client.waiting_bytes + size > _WAITING_BYTES_IN_ALL // 4
            or self._waiting_bytes + size > _WAITING_BYTES_IN_ALL
        ):
            return False
        self._change(entry, client, 1, size)
        return True

    def release(self, entry: _EntryT, size: int) -> None:
        """Let go of a datagram of `size` bytes that :meth:`let_wait` took in."""
        if entry.client_holder is not None:
            self._change(entry, entry.client_holder, -1, -size - _OVERHEAD)

    def _change(self, entry: _EntryT, client: _Holder[_EntryT], count: int, size: int) -> None:
        entry.waiting += count
        self.waiting += count
        entry.waiting_bytes += size
        client.waiting_bytes += size
        self._waiting_bytes += size


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

    def __init__(self, table: AssociationTable[Any]) -> None:
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
