# How an association reaches targets directly, names among them.

cdef enum:
    # IP addresses that an engine remembers that may be reached.
    TARGETS = 4096
    # Names of which one association remembers the address that it sends to.
    NAMES = 64


@cython.final
cdef class TargetPort(Port):
    """Faces targets: unconnected, so that whoever learns its port can answer (full cone)."""

    cdef Association association

    cdef int take(self, const Name* source, uint8_t* data, Py_ssize_t size) except -1:
        cdef DatagramEngine engine = self.engine
        cdef Packet answer
        # A datagram in the middle of a message has its predecessor in front of it.
        cdef Room room = engine.room(ROOM_IN_FRONT + size)
        cdef uint8_t* payload = room.start + ROOM_IN_FRONT
        cdef int address_size = wire_before(source, payload)
        memcpy(payload, data, size)
        engine.keep(room.end)
        answer = packet_of(
            payload - address_size, address_size, payload, size, room, engine.time
        )
        return self.association.backward(&answer)


@cython.final
cdef class Chosen:
    """The address that the datagrams to a name are sent to."""

    cdef bytes wire
    # The name is asked for again after that, by the clock of now().
    cdef double good_until


@cython.final
cdef class Targets:
    """The way of one association to targets: a socket for each family, opened when needed."""

    cdef Association association
    cdef TargetPort port_v4
    cdef TargetPort port_v6
    # The target of the last datagram, in its wire form and resolved; of a name, what was chosen.
    cdef uint8_t latest_wire[LARGEST_ADDRESS]
    cdef Py_ssize_t latest_size
    cdef Name latest_target
    cdef Chosen latest_chosen
    # Where the engine asks rules: its `targets`, of this association alone.
    cdef dict targets
    # Of names, by their wire forms; those used least recently come first.
    cdef dict chosen
    # What waits for names, by host: addresses and payloads.
    cdef dict waiting
    cdef set lookups

    def __cinit__(self, Association association not None):
        self.association = association

    cdef int send(
        self, const uint8_t* wire, Py_ssize_t wire_size, uint8_t* payload, Py_ssize_t size
    ) except -1:
        """Send a payload to an address, or let it wait for its name."""
        if self.is_latest(wire, wire_size) or self.find(wire, wire_size, payload, size):
            return self.send_to_latest(payload, size)
        return 0

    cdef int close(self) except -1:
        """Close the sockets, and let nothing wait any more."""
        cdef TargetPort port
        for port in (self.port_v4, self.port_v6):
            if port is not None:
                port.shut()
        self.waiting = None
        if self.lookups is not None:
            for task in self.lookups:
                task.cancel()
        return 0

    cdef int forget_verdicts(self) except -1:
        """Forget which addresses may be reached, those of names among them."""
        self.latest_size = 0
        self.targets = None
        if self.chosen is not None:
            self.chosen.clear()
        return 0

    cdef bint is_latest(self, const uint8_t* wire, Py_ssize_t wire_size) noexcept:
        return (
            wire_size == self.latest_size
            and memcmp(wire, self.latest_wire, wire_size) == 0
            and (
                self.latest_chosen is None
                or self.association.touched <= self.latest_chosen.good_until
            )
        )

    cdef int lead_to(self, bytes key, bytes resolved, Chosen chosen) except -1:
        name_of_wire(&self.latest_target, <const uint8_t*>PyBytes_AS_STRING(resolved))
        self.latest_chosen = chosen
        self.latest_size = len(key)
        memcpy(self.latest_wire, PyBytes_AS_STRING(key), self.latest_size)
        return 0

    cdef int send_to_latest(self, uint8_t* payload, Py_ssize_t size) except -1:
        cdef DatagramEngine engine = self.association.engine
        cdef TargetPort port
        if self.latest_target.any.sa_family == AF_INET:
            if self.port_v4 is None:
                self.port_v4 = self.open_port(AF_INET)
            port = self.port_v4
        else:
            if self.port_v6 is None:
                self.port_v6 = self.open_port(AF_INET6)
            port = self.port_v6
        if port is None:
            return self.association.drop("not-sent")
        if self.association.meter is not None and not self.association.passes_meter(size, True):
            return 0
        queue_datagram(engine.outbox, port.fd, &self.latest_target, NULL, payload, <int>size)
        return self.association.sent(size)

    cdef TargetPort open_port(self, int family):
        cdef DatagramEngine engine = self.association.engine
        cdef TargetPort port = TargetPort.__new__(TargetPort)
        port.association = self.association
        try:
            sock = open_datagram_socket(family)
        except OSError:
            return None
        try:
            sock.bind((engine.local[family], 0))
            port.open(engine, sock)
        except OSError:
            sock.close()
            return None
        return port

    cdef bint find(
        self,
        const uint8_t* wire,
        Py_ssize_t wire_size,
        const uint8_t* payload,
        Py_ssize_t size,
    ) except -1:
        """Make another target the latest; False if the datagram is dropped, or waits."""
        cdef DatagramEngine engine = self.association.engine
        cdef bytes key = PyBytes_FromStringAndSize(<const char*>wire, wire_size)
        cdef Reader reader = reader_over(wire, wire_size)
        cdef Chosen chosen
        self.latest_size = 0
        address = take_address(&reader)
        if address.port == 0:
            self.association.drop("bad-address")
            return False
        if not address.is_name:
            return self.find_ip(key, address)
        chosen = self.recall(key, address)
        if chosen is not None:
            self.lead_to(key, chosen.wire, chosen)
            return True
        # What a rule refuses is not even asked for.
        if engine.verdict_on is not None and self.association.way_to(wire, wire_size) == DENIED:
            self.association.refuse(DENIED)
            return False
        if self.waiting is None or address.host not in self.waiting:
            infos = engine.resolver.cached(address.host)
            if infos is not None:
                return self.choose(key, address, infos)
        self.hold(address, payload, size)
        return False

    cdef bint find_ip(self, bytes key, object address) except -1:
        cdef DatagramEngine engine = self.association.engine
        cdef dict targets = engine.targets
        cdef Py_ssize_t most = TARGETS
        cdef int way
        if engine.verdict_on is not None:
            if self.targets is None:
                self.targets = {}
            targets, most = self.targets, WAYS
        found = targets.get(key)
        if found is None:
            way = self.association.way_to_address(address, None)
            found = address.wire if way == DIRECT else way
            if way == DIRECT or engine.verdict_on is not None:
                if len(targets) >= most:
                    targets.clear()
                targets[key] = found
        if not isinstance(found, bytes):
            self.association.refuse(found)
            return False
        self.lead_to(key, found, None)
        return True

    cdef Chosen recall(self, bytes key, object address):
        """Return what was chosen for a name, and ask again where that is long ago."""
        cdef DatagramEngine engine = self.association.engine
        cdef Chosen chosen
        cdef double time = self.association.touched
        if self.chosen is None:
            self.chosen = {}
        chosen = self.chosen.pop(key, None)
        if chosen is None:
            return None
        self.chosen[key] = chosen
        if time > chosen.good_until:
            # As long as answers come, nothing moves: of whom they are is not told apart.
            chosen.good_until = self.association.answered + engine.names_kept
        if time > chosen.good_until:
            chosen.good_until = time + engine.names_kept
            infos = engine.resolver.cached(address.host)
            if infos is None:
                self.look_up(address, None)
            else:
                self.choose_again(address, infos)
        return chosen

    cdef bint choose(self, bytes key, object address, infos) except -1:
        """Choose an address of a name, and lead there; False if none may be reached."""
        cdef DatagramEngine engine = self.association.engine
        cdef bint routed = False
        cdef int refusal = DENIED
        cdef bytes picked = self.pick(address, infos, &routed, &refusal)
        cdef Chosen chosen
        if picked is None:
            self.association.refuse(refusal)
            return False
        if routed:
            chosen = Chosen.__new__(Chosen)
            chosen.wire = picked
            chosen.good_until = self.association.touched + engine.names_kept
            if self.chosen is None:
                self.chosen = {}
            if len(self.chosen) >= NAMES:
                del self.chosen[next(iter(self.chosen))]
            self.chosen[key] = chosen
            self.lead_to(key, picked, chosen)
        else:
            # It may have a way the next time.
            self.lead_to(key, picked, None)
            self.latest_size = 0
        return True

    cdef int choose_again(self, object address, infos) except -1:
        """Choose another address of a name if the old one is no longer among them."""
        cdef Chosen chosen = self.chosen.get(address.wire)
        cdef bint routed = False
        cdef int refusal = DENIED
        cdef bytes picked
        if chosen is None:
            return 0
        for info in infos:
            if Address.of(info[4][0].partition("%")[0], address.port).wire == chosen.wire:
                return 0
        picked = self.pick(address, infos, &routed, &refusal)
        if routed:
            chosen.wire = picked
            self.latest_size = 0
        return 0

    cdef bytes pick(self, name, infos, bint* routed, int* refusal):
        """Return the wire form of an address of a name that may be sent to, one with a route.

        :param routed: is set to True if it has one.
        :param refusal: is set to why where there is none that may be sent to.
        """
        cdef bytes first = None
        cdef int way
        port = name.port
        for family, _, _, _, sockaddr in infos:
            address = Address.of(sockaddr[0].partition("%")[0], port)
            way = self.association.way_to_address(name, address)
            if way != DIRECT:
                refusal[0] = max(refusal[0], way)
            elif has_route(family, (sockaddr[0], port, *sockaddr[2:])):
                routed[0] = True
                return address.wire
            elif first is None:
                first = address.wire
        return first

    cdef int hold(self, object address, const uint8_t* payload, Py_ssize_t size) except -1:
        cdef DatagramEngine engine = self.association.engine
        if not engine.table.let_wait(self.association, size):
            return self.association.drop("waiting")
        return self.look_up(address, PyBytes_FromStringAndSize(<const char*>payload, size))

    cdef int look_up(self, object address, bytes payload) except -1:
        """Look a name up for a payload, or without one to choose its address again."""
        cdef str host = address.host
        cdef list waiting
        if self.waiting is None:
            self.waiting = {}
            self.lookups = set()
        waiting = self.waiting.get(host)
        if waiting is None:
            waiting = self.waiting[host] = []
            # Not by the loop's factory, which may be an eager one: see _udp_targets_py.py.
            task = asyncio.Task(_look_up(self, host), loop=self.association.engine.loop)
            self.lookups.add(task)
            task.add_done_callback(self.lookups.discard)
        waiting.append((address, payload))
        return 0

    cdef int looked_up(self, str host, infos, str reason) except -1:
        """Send what waited for a name, or drop it for a reason."""
        cdef DatagramEngine engine = self.association.engine
        cdef bytes payload
        if self.waiting is None:
            return 0
        waiting = self.waiting.pop(host, ())
        try:
            for address, payload in waiting:
                if payload is None:
                    if not reason:
                        self.choose_again(address, infos)
                    continue
                engine.table.release(self.association, len(payload))
                if reason:
                    self.association.drop(reason)
                elif self.choose(address.wire, address, infos):
                    self.send_to_latest(<uint8_t*>PyBytes_AS_STRING(payload), len(payload))
        finally:
            # What is queued lies in `waiting`, whatever rules have raised.
            engine.flush()
        return 0


async def _look_up(Targets targets, str host):
    cdef DatagramEngine engine = targets.association.engine
    infos, reason = (), "resolve"
    try:
        async with asyncio.timeout(engine.longest_wait):
            infos = await engine.resolver.resolve(host, 0, targets.association.client_id)
        reason = ""
    except TimeoutError:
        pass
    except FastsocksError as error:
        reason = error.status
    finally:
        targets.looked_up(host, infos, reason)
