"""Who has how many UDP associations, which of them goes when there are too many, and what waits.

The twin of ``_udp_table.pxi``: pure Python.
"""

from __future__ import annotations

from collections import OrderedDict
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._udp_association_py import Association

# Datagrams of one association that wait for names to be resolved, or for a packet way; bytes too.
_WAITING = 16
_WAITING_BYTES = 0x14000
# Of all of them; no client has more than a quarter of it.
_WAITING_BYTES_IN_ALL = 0x1000000
# What a datagram takes up beside itself.
_OVERHEAD = 256


class _Holder:
    """A client or a user, as long as there are associations."""

    def __init__(self, name: str) -> None:
        self.name = name
        # Those used least recently come first.
        self.associations: OrderedDict[Association, None] = OrderedDict()
        self.waiting_bytes = 0


class _Entry:
    """What the table knows of an association."""

    __slots__ = ("client", "user", "waiting", "waiting_bytes")

    def __init__(self, client: _Holder, user: _Holder | None) -> None:
        self.client = client
        self.user = user
        self.waiting = 0
        self.waiting_bytes = 0


class AssociationTable:
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
        self.entries: OrderedDict[Association, _Entry] = OrderedDict()
        self._clients: dict[str, _Holder] = {}
        self._users: dict[str, _Holder] = {}
        # Clients by how many associations they have, and the highest of these numbers.
        self._by_number: dict[int, OrderedDict[_Holder, None]] = {}
        self._most = 0
        #: Datagrams that wait now.
        self.waiting = 0
        self._waiting_bytes = 0

    def in_the_way(self, client: str, user: str | None) -> tuple[Association, str, str] | None:
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
            holder = next(iter(self.entries.values())).client
            if len(holder.associations) < self._most:
                holder = next(iter(self._by_number[self._most]))
        return next(iter(holder.associations)), "udp_max_associations", client

    def add(self, association: Association, client: str, user: str | None) -> None:
        """Take in a new association."""
        holder = self._clients.get(client)
        if holder is None:
            holder = self._clients[client] = _Holder(client)
        self._leave_number(holder)
        holder.associations[association] = None
        self._enter_number(holder)
        of_user = None
        if user is not None and self._capacity_per_user:
            of_user = self._users.get(user)
            if of_user is None:
                of_user = self._users[user] = _Holder(user)
            of_user.associations[association] = None
        self.entries[association] = _Entry(holder, of_user)

    def touch(self, association: Association) -> None:
        """Note that an association is used."""
        association.touched = monotonic()
        entry = self.entries.get(association)
        if entry is None:
            return
        self.entries.move_to_end(association)
        entry.client.associations.move_to_end(association)
        if entry.user is not None:
            entry.user.associations.move_to_end(association)

    def remove(self, association: Association) -> bool:
        """Take an association out, with what waits of it.

        :return: False where it is out already.
        """
        entry = self.entries.pop(association, None)
        if entry is None:
            return False
        self.waiting -= entry.waiting
        self._waiting_bytes -= entry.waiting_bytes
        client, user = entry.client, entry.user
        client.waiting_bytes -= entry.waiting_bytes
        self._leave_number(client)
        del client.associations[association]
        self._enter_number(client)
        if not client.associations:
            del self._clients[client.name]
        if user is not None:
            del user.associations[association]
            if not user.associations:
                del self._users[user.name]
        return True

    def _leave_number(self, holder: _Holder) -> None:
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

    def _enter_number(self, holder: _Holder) -> None:
        number = len(holder.associations)
        if number:
            # The first of a dict is looked for behind all that were deleted.
            self._by_number.setdefault(number, OrderedDict())[holder] = None
            self._most = max(self._most, number)

    def idle_since(self, limit: float) -> list[Association]:
        """Return the associations that were not used since then."""
        found = []
        for association in self.entries:
            if association.touched >= limit:
                break
            found.append(association)
        return found

    def waiting_of(self, association: Association) -> int:
        """Return how many datagrams of an association wait."""
        entry = self.entries.get(association)
        return 0 if entry is None else entry.waiting

    def let_wait(self, association: Association, size: int) -> bool:
        """Take in a datagram that has to wait, unless that is one too many.

        :param size: in bytes.
        """
        entry = self.entries.get(association)
        size += _OVERHEAD
        if (
            entry is None
            or entry.waiting >= _WAITING
            or entry.waiting_bytes + size > _WAITING_BYTES
            or entry.client.waiting_bytes + size > _WAITING_BYTES_IN_ALL // 4
            or self._waiting_bytes + size > _WAITING_BYTES_IN_ALL
        ):
            return False
        self._change(entry, 1, size)
        return True

    def release(self, association: Association, size: int) -> None:
        """Let go of a datagram of `size` bytes that :meth:`let_wait` took in."""
        entry = self.entries.get(association)
        if entry is not None:
            self._change(entry, -1, -size - _OVERHEAD)

    def _change(self, entry: _Entry, count: int, size: int) -> None:
        entry.waiting += count
        self.waiting += count
        entry.waiting_bytes += size
        entry.client.waiting_bytes += size
        self._waiting_bytes += size
