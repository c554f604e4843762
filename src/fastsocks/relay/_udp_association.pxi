# What is done for one client: which way its datagrams go, and how answers come back.

# What becomes of a target: rules deny it, or the address filter does, or by which way it is reached.
cdef enum Way:
    DENIED
    FILTERED
    BY_SERVERS
    DIRECT

cdef enum:
    # ATYP.
    NAME = 3
    # Targets of which one association remembers what is said of them.
    WAYS = 256


cdef class ClientPort(Port):
    """Faces clients."""

    cdef int answer(self, Association association, Packet* answer) except -1:
        """Send what a target says as clients expect it; its room is what sealing takes."""
        raise NotImplementedError

    cdef int release(self, Association association) except -1:
        """Forget an association, which has ended."""
        raise NotImplementedError


@cython.final
cdef class Association(Entry):
    """The UDP relay of one client; made by a :class:`DatagramEngine`."""

    #: Called once if it ends by itself, and not by :meth:`close`.
    cdef public object ended
    cdef readonly object user
    #: Payload so far, in bytes.
    cdef readonly uint64_t bytes_up
    cdef readonly uint64_t bytes_down
    # Of the user; None where users are not told apart.
    cdef Meter meter
    cdef DatagramEngine engine
    cdef bint closed
    # What counts as one client, by the address that it began with.
    cdef str client_id
    # The client's side: by which port, whereto, and where its last datagram came to.
    cdef ClientPort facing
    cdef Name client
    cdef Arrival arrival
    cdef PacketSession session
    cdef bytes source_key
    # The target's side: through servers, if there is to be that, and the direct way.
    cdef CurrentWay packet_way
    cdef Targets targets
    # When a target last answered, by the clock of now().
    cdef double answered
    # What rules and address filter say of targets, by their wire forms; of names only that is asked
    # where there is no packet way.
    cdef dict ways

    def __cinit__(self, DatagramEngine engine not None, ClientPort facing not None):
        self.engine = engine
        self.facing = facing
        self.targets = Targets(self)

    @property
    def active(self):
        """Whether it still relays."""
        return not self.closed

    @property
    def client_host(self):
        """The IP address of the client."""
        return Address(key_of(&self.client)).host

    def close(self):
        """End it, with all of its descriptors; again does nothing."""
        self.end()

    cdef int end(self) except -1:
        if self.closed:
            return 0
        self.closed = True
        # What is queued refers to these descriptors. The arena must stay: an association ends
        # amid a batch when a new one, whose datagram lies there, takes its place.
        self.engine.send_queued()
        if self.packet_way is not None:
            self.packet_way.close()
        self.targets.close()
        self.facing.release(self)
        return self.engine.forget(self)

    cdef int end_by_itself(self) except -1:
        """End it, and tell so."""
        self.end()
        ended, self.ended = self.ended, None
        if ended is not None:
            ended()
        return 0

    cdef int forward_slot(
        self, const uint8_t* address, Py_ssize_t address_size, uint8_t* payload, Py_ssize_t size
    ) except -1:
        """Send on what lies in a slot."""
        cdef DatagramEngine engine = self.engine
        cdef Room room
        cdef Packet packet
        if self.packet_way is None:
            room = room_of(payload, size)
            engine.slots_queued = True
        else:
            # Sealing writes in front of the payload, where a message's earlier datagram may lie.
            room = engine.room(ROOM_IN_FRONT + size)
            memcpy(room.start + ROOM_IN_FRONT, payload, size)
            payload = room.start + ROOM_IN_FRONT
            engine.keep(room.end)
        packet = packet_of(address, address_size, payload, size, room, engine.time)
        return self.forward(&packet)

    cdef int forward(self, Packet* packet) except -1:
        """Send the client's payload on; its room is what sealing takes if there is a packet way."""
        cdef const uint8_t* address = packet.address
        cdef Py_ssize_t address_size = packet.address_size
        cdef int way
        cdef bytes canonical
        self.engine.table.touch(self)
        if address[0] == NAME and self.engine.canonical_names and not is_plain(address + 2, address[1]):
            canonical = self.canonical(address, address_size)
            if canonical is None:
                return self.drop("host-name")
            packet.address = address = <const uint8_t*>PyBytes_AS_STRING(canonical)
            packet.address_size = address_size = len(canonical)
        if self.packet_way is not None:
            way = self.way_to(address, address_size)
            if way == BY_SERVERS:
                return self.packet_way.send(packet)
            if way != DIRECT:
                return self.refuse(way)
        return self.targets.send(address, address_size, packet.payload, packet.payload_size)

    cdef bytes canonical(self, const uint8_t* wire, Py_ssize_t wire_size):
        """Return the one form of a target; None if its name is no host name."""
        cdef Reader reader = reader_over(wire, wire_size)
        try:
            return canonical(take_address(&reader)).wire
        except HostNameError:
            return None

    cdef int way_to(self, const uint8_t* wire, Py_ssize_t wire_size) except -1:
        """Return the Way to a target, whose name is not resolved; remembered."""
        cdef DatagramEngine engine = self.engine
        cdef bytes key
        cdef Reader reader
        cdef int way = BY_SERVERS
        if engine.verdict_on is None and engine.address_filter is None:
            return BY_SERVERS
        key = PyBytes_FromStringAndSize(<const char*>wire, wire_size)
        if self.ways is None:
            self.ways = {}
        known = self.ways.get(key)
        if known is not None:
            return known
        reader = reader_over(wire, wire_size)
        address = take_address(&reader)
        if engine.verdict_on is not None:
            way = self.way_by_rules(address, None)
        if way == BY_SERVERS and not self.passes(address):
            way = FILTERED
        if len(self.ways) >= WAYS:
            self.ways.clear()
        self.ways[key] = way
        return way

    cdef int way_to_address(self, address, resolved) except -1:
        """Return DIRECT where an IP address may be sent to, else why not.

        :param address: the target.
        :param resolved: the IP address, with its port, where that is a name; else None.
        """
        cdef str host = None if resolved is None else resolved.host
        if self.engine.verdict_on is not None and self.way_by_rules(address, host) == DENIED:
            return DENIED
        return DIRECT if self.passes(address if resolved is None else resolved) else FILTERED

    cdef int way_by_rules(self, address, resolved) except -1:
        try:
            direct = self.engine.verdict_on(self.client_host, self.user, address, resolved)
        except FastsocksError:
            return DENIED
        return DIRECT if direct else BY_SERVERS

    cdef bint passes(self, address) except -1:
        return self.engine.address_filter is None or self.engine.address_filter(address.host)

    cdef int forget_verdicts(self) except -1:
        """Forget what was said of targets."""
        self.ways = None
        return self.targets.forget_verdicts()

    cdef int backward(self, Packet* answer) except -1:
        """Send what a target says to the client."""
        self.engine.table.touch(self)
        self.answered = self.touched
        return self.facing.answer(self, answer)

    cdef int answer_by(
        self, ClientPort port, uint8_t* datagram, Py_ssize_t size, Py_ssize_t payload_size
    ) except -1:
        """Queue an answer, as the client gets it."""
        cdef DatagramEngine engine = self.engine
        if size > LARGEST_PAYLOAD:
            return self.drop("oversize")
        if self.meter is not None and not self.passes_meter(payload_size, False):
            return 0
        queue_datagram(engine.outbox, port.fd, &self.client, &self.arrival, datagram, <int>size)
        engine.counters.packets_down += 1
        engine.counters.bytes_down += payload_size
        self.bytes_down += payload_size
        return 0

    cdef int use(self, Meter meter) except -1:
        """Count what is carried by a meter, too."""
        if meter.begin():
            self.meter = meter
        return 0

    cdef bint passes_meter(self, Py_ssize_t size, bint up) except -1:
        """Have a payload pass the user's meter; False if it is dropped."""
        if not self.meter.passes(size, up, now()):
            self.drop("speed")
            return False
        if not self.meter.spend(size, up):
            self.drop("quota")
            return False
        return True

    cdef int sent(self, Py_ssize_t size) noexcept:
        """Count a payload of the client, of `size` bytes."""
        self.engine.counters.packets_up += 1
        self.engine.counters.bytes_up += size
        self.bytes_up += size
        return 0

    cdef int drop(self, str reason) except -1:
        """Count a datagram of the client, or to it, that is not carried."""
        return self.engine.drop(reason, &self.client)

    cdef int refuse(self, int way) except -1:
        """Count a datagram that may not be sent; of what rules deny, who was asked tells."""
        if way == FILTERED:
            return self.drop("not-allowed")
        return self.engine.count_drop("not-allowed")
