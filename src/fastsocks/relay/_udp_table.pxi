# Who has how many associations, which of them goes when there are too many, and what waits.
#
# Whatever is asked costs the same with 100 associations and with 100,000: they stand in rings, and
# clients by how many they have.

cdef enum:
    # Of one association.
    WAITING = 16
    WAITING_BYTES = 0x14000
    # Of all of them; no client has more than a quarter of it.
    WAITING_BYTES_IN_ALL = 0x1000000
    # What a datagram takes up beside itself.
    OVERHEAD = 256


# The place of an entry in a ring, in the order of use; the ring's own, without an entry, lies
# between the newest and the oldest.
cdef struct Place:
    PyObject* entry
    Place* older
    Place* newer


cdef class Holder:
    """A client or a user, as long as there are associations."""

    cdef readonly str name
    cdef Py_ssize_t associations
    cdef Py_ssize_t waiting_bytes
    cdef Place ring

    def __cinit__(self, str name):
        self.name = name
        open_ring(&self.ring)


cdef class Entry:
    """What a table knows of an association."""

    # None while it is in no table.
    cdef Holder client_holder
    # None also where users have no cap.
    cdef Holder user_holder
    cdef Place in_all
    cdef Place of_client
    cdef Place of_user
    # When it was last used, by the clock of now().
    cdef double touched
    # Its datagrams that wait for a look-up, and the memory that they take.
    cdef Py_ssize_t waiting
    cdef Py_ssize_t waiting_bytes

    def __cinit__(self):
        self.in_all.entry = self.of_client.entry = self.of_user.entry = <PyObject*>self


@cython.final
cdef class AssociationTable:
    """The associations of an engine; see the twin for the parameters."""

    cdef Py_ssize_t capacity
    cdef Py_ssize_t capacity_per_client
    cdef Py_ssize_t capacity_per_user
    # Owner of the entries, whose rings only borrow them.
    cdef readonly set entries
    cdef dict clients
    cdef dict users
    # Clients by how many associations they have, and the highest of these numbers.
    cdef dict by_number
    cdef Py_ssize_t most
    cdef Place ring
    cdef readonly Py_ssize_t waiting
    cdef Py_ssize_t waiting_bytes

    def __cinit__(
        self,
        Py_ssize_t capacity,
        Py_ssize_t capacity_per_client,
        Py_ssize_t capacity_per_user,
    ):
        self.capacity = capacity
        self.capacity_per_client = capacity_per_client
        self.capacity_per_user = capacity_per_user
        self.entries = set()
        self.clients = {}
        self.users = {}
        self.by_number = {}
        open_ring(&self.ring)

    def in_the_way(self, str client, user):
        """Return what has to go before there is one more, and the cap that says so; see the twin."""
        cdef Holder holder
        if user is not None and self.capacity_per_user:
            holder = self.users.get(user)
            if holder is not None and holder.associations >= self.capacity_per_user:
                return <object>holder.ring.newer.entry, "udp_max_associations_per_user", user
        holder = self.clients.get(client)
        if holder is not None and 0 < self.capacity_per_client <= holder.associations:
            return <object>holder.ring.newer.entry, "udp_max_associations_per_client", client
        if not 0 < self.capacity <= len(self.entries):
            return None
        if holder is None or holder.associations < self.most:
            holder = (<Entry>self.ring.newer.entry).client_holder
            if holder.associations < self.most:
                holder = next(iter(self.by_number[self.most]))
        return <object>holder.ring.newer.entry, "udp_max_associations", client

    cpdef int add(self, Entry entry, str client, object user) except -1:
        cdef Holder holder = self.clients.get(client)
        if holder is None:
            holder = self.clients[client] = Holder(client)
        entry.client_holder = holder
        self.count(holder, 1)
        self.entries.add(entry)
        put_newest(&self.ring, &entry.in_all)
        put_newest(&holder.ring, &entry.of_client)
        if user is not None and self.capacity_per_user:
            holder = self.users.get(user)
            if holder is None:
                holder = self.users[user] = Holder(user)
            holder.associations += 1
            entry.user_holder = holder
            put_newest(&holder.ring, &entry.of_user)
        entry.touched = now()
        return 0

    cpdef int touch(self, Entry entry) noexcept:
        """Note that an entry is used."""
        entry.touched = now()
        if entry.client_holder is None:
            return 0
        make_newest(&self.ring, &entry.in_all)
        make_newest(&entry.client_holder.ring, &entry.of_client)
        if entry.user_holder is not None:
            make_newest(&entry.user_holder.ring, &entry.of_user)
        return 0

    cpdef int remove(self, Entry entry) except -1:
        """Take an entry out, with what waits of it; again does nothing."""
        cdef Holder client = entry.client_holder, user = entry.user_holder
        if client is None:
            return 0
        entry.client_holder = entry.user_holder = None
        self.waiting -= entry.waiting
        self.waiting_bytes -= entry.waiting_bytes
        client.waiting_bytes -= entry.waiting_bytes
        entry.waiting = entry.waiting_bytes = 0
        take_out(&entry.in_all)
        take_out(&entry.of_client)
        self.count(client, -1)
        if not client.associations:
            del self.clients[client.name]
        if user is not None:
            take_out(&entry.of_user)
            user.associations -= 1
            if not user.associations:
                del self.users[user.name]
        self.entries.remove(entry)
        return 0

    cdef int count(self, Holder holder, Py_ssize_t difference) except -1:
        if holder.associations:
            same = self.by_number[holder.associations]
            del same[holder]
            if not same:
                del self.by_number[holder.associations]
                if holder.associations == self.most:
                    # It is among those with one less now, or with one more.
                    self.most -= 1
        holder.associations += difference
        if holder.associations:
            # The first of a dict is looked for behind all that were deleted.
            same = self.by_number.get(holder.associations)
            if same is None:
                same = self.by_number[holder.associations] = OrderedDict()
            same[holder] = None
            self.most = max(self.most, holder.associations)
        return 0

    cpdef list idle_since(self, double limit):
        """Return the entries that were not used since then."""
        cdef list found = []
        cdef Place* place = self.ring.newer
        while place.entry is not NULL and (<Entry>place.entry).touched < limit:
            found.append(<object>place.entry)
            place = place.newer
        return found

    cpdef bint let_wait(self, Entry entry, Py_ssize_t size) noexcept:
        """Take in a datagram that has to wait, unless that is one too many."""
        cdef Holder client = entry.client_holder
        size += OVERHEAD
        if (
            client is None
            or entry.waiting >= WAITING
            or entry.waiting_bytes + size > WAITING_BYTES
            or client.waiting_bytes + size > WAITING_BYTES_IN_ALL / 4
            or self.waiting_bytes + size > WAITING_BYTES_IN_ALL
        ):
            return False
        entry.waiting += 1
        self.waiting += 1
        entry.waiting_bytes += size
        client.waiting_bytes += size
        self.waiting_bytes += size
        return True

    cpdef int release(self, Entry entry, Py_ssize_t size) noexcept:
        """Let go of a datagram of `size` bytes that :meth:`let_wait` took in."""
        if entry.client_holder is None:
            return 0
        size += OVERHEAD
        entry.waiting -= 1
        self.waiting -= 1
        entry.waiting_bytes -= size
        entry.client_holder.waiting_bytes -= size
        self.waiting_bytes -= size
        return 0


cdef inline void open_ring(Place* ring) noexcept:
    ring.entry = NULL
    ring.older = ring.newer = ring


cdef inline void put_newest(Place* ring, Place* place) noexcept:
    place.older = ring.older
    place.newer = ring
    ring.older.newer = place
    ring.older = place


cdef inline void take_out(Place* place) noexcept:
    place.older.newer = place.newer
    place.newer.older = place.older


cdef inline void make_newest(Place* ring, Place* place) noexcept:
    if ring.older != place:
        take_out(place)
        put_newest(ring, place)
