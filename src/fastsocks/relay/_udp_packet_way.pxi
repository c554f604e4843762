# The way of an association through servers, and its renewal, as the twin describes it.

# Seconds for which an association whose packet way cannot be had looks for none.
cdef double REST = 1.0

cdef enum:
    # Datagrams that have to stay without an answer for a way to be renewed.
    UNANSWERED = 3

# Seconds without a datagram after which those before it are no longer waited for.
cdef double IDLE = 60.0
# Most seconds that an answer may take because one has taken half of it before.
cdef double LONGEST_PATIENCE = 180.0
# Seconds between two renewals without an answer, at first and at last.
cdef double FIRST_REST = 1.0
cdef double LONGEST_REST = 60.0


@cython.final
cdef class ServerPort(Port):
    """Faces a Shadowsocks or SOCKS5 server, connected to it."""

    cdef CurrentWay way
    cdef PacketCodec packets
    cdef object packet_way
    # Whether anything that opens has come by it.
    cdef bint answered

    cdef int open(self, DatagramEngine engine, object sock) except -1:
        Port.open(self, engine, sock)
        engine.connected[self.fd] = self
        return 0

    cdef int shut(self) except -1:
        if self.fd >= 0:
            self.engine.connected.pop(self.fd, None)
        return Port.shut(self)

    cdef int refused(self, int error) except -1:
        if self.way.port is self and error in (ECONNREFUSED, EHOSTUNREACH, ENETUNREACH):
            self.way.lose(REFUSED)
        return 0

    cdef int take(self, const Name* source, uint8_t* data, Py_ssize_t size) except -1:
        cdef DatagramEngine engine = self.engine
        cdef Association association = self.way.association
        cdef Packet answer
        cdef Py_ssize_t opened
        if size == 0:
            return association.drop("truncated")
        # What is queued lies before the room, and the answer's headers go in front of it.
        answer.room = engine.room(ROOM_IN_FRONT + size)
        answer.now = engine.time
        opened = self.packets.open_into(data, size, answer.room.start + ROOM_IN_FRONT, &answer)
        if opened < 0:
            return engine.drop_fault(opened, &association.client)
        engine.keep(answer.room.end)
        self.way.heard(self)
        return association.backward(&answer)


@cython.final
cdef class CurrentWay:
    """Faces the servers that an association's datagrams go through, once they are known."""

    cdef Association association
    # None until the way is known.
    cdef ServerPort port
    # What it took the place of, and may still be answered by.
    cdef ServerPort former
    # What the way lasts as long as, or None.
    cdef object control
    # Finds the way, awaited with the client's IP address; None where it was given, and the
    # association ends with it.
    cdef object find
    # The task that does so, and what waits for it: address headers and payloads.
    cdef object finding
    cdef list waiting
    # Not before then is another one looked for, by the clock of now().
    cdef double rests_until
    # Whether there ever was an answer; datagrams since the last one, when the first and the last
    # of them were sent, and for how long there was none so far where one came after all.
    cdef bint answered
    cdef uint64_t unanswered
    cdef double unanswered_since
    cdef double sent_at
    cdef double longest_gap
    # The task that renews the way; when it may be renewed, and its address looked at again.
    cdef object renewing
    cdef double renews_after
    cdef double rest
    cdef double looks_after

    def __cinit__(self, Association association not None, find):
        self.association = association
        self.find = find
        self.rest = FIRST_REST

    cdef int lead(self, packet_way) except -1:
        """Connect to where `packet_way` says, from now on."""
        cdef ServerPort port = ServerPort.__new__(ServerPort)
        family, sockaddr = packet_way.server
        port.way = self
        port.packet_way = packet_way
        # An open port has them.
        port.packets = packet_way.packets
        sock = open_datagram_socket(family)
        try:
            sock.connect(sockaddr)
            port.open(self.association.engine, sock)
        except BaseException:
            sock.close()
            raise
        self.port = port
        self.control = packet_way.control
        if self.control is not None:
            self.control.ended = self._lost
        self.unanswered = 0
        self.looks_after = now() + self.association.engine.patience
        return 0

    cdef int send(self, Packet* packet) except -1:
        """Send a payload, or let it wait."""
        cdef DatagramEngine engine = self.association.engine
        cdef ServerPort port = self.port
        cdef Room out
        cdef Py_ssize_t sealed
        if port is None:
            return self.hold(packet)
        out = engine.room(packet.payload_size + port.packets.overhead)
        packet.session = NULL
        sealed = port.packets.seal_into(packet, out)
        engine.keep(out.start + sealed)
        if sealed > LARGEST_PAYLOAD:
            return self.association.drop("oversize")
        if self.association.meter is not None and not self.association.passes_meter(
            packet.payload_size, True
        ):
            return 0
        queue_datagram(engine.outbox, port.fd, NULL, NULL, out.start, <int>sealed)
        self.count_unanswered()
        return self.association.sent(packet.payload_size)

    cdef int count_unanswered(self) except -1:
        cdef double time = self.association.touched
        if self.unanswered == 0 or time - self.sent_at > IDLE:
            self.unanswered_since = time
        self.unanswered += 1
        self.sent_at = time
        return self.look_after(time) if self.unanswered >= UNANSWERED else 0

    cdef int look_after(self, double time) except -1:
        """Renew a way that does not answer any more, or whose server has moved."""
        cdef double patience = self.association.engine.patience
        if self.answered and time - self.unanswered_since >= max(
            patience, min(2 * self.longest_gap, LONGEST_PATIENCE)
        ):
            return self.lose(SILENT)
        if time >= self.looks_after and time - self.association.answered >= patience:
            self.looks_after = time + patience
            return self.renew(None)
        return 0

    cdef int heard(self, ServerPort port) except -1:
        """Note that something came by a port; by the former one the way goes on, if need be."""
        if port is not self.port:
            if self.port is None or self.port.answered:
                return 0
            self.former, self.port = self.port, port
        elif self.unanswered:
            self.longest_gap = max(self.longest_gap, now() - self.unanswered_since)
        port.answered = self.answered = True
        self.unanswered = 0
        self.rest = FIRST_REST
        return 0

    cdef int lose(self, str why) except -1:
        """Renew the way, unless that was done just now."""
        cdef double time = now()
        if (
            time < self.renews_after
            or self.renewing is not None
            or self.port.packet_way.renew is None
        ):
            return 0
        self.renews_after = time + self.rest
        self.rest = min(4 * self.rest, LONGEST_REST)
        return self.renew(why)

    cdef int renew(self, why) except -1:
        cdef DatagramEngine engine = self.association.engine
        if self.renewing is None and self.port.packet_way.renew is not None:
            self.renewing = asyncio.Task(_renew(self, why), loop=engine.loop)
            engine.tasks.add(self.renewing)
            self.renewing.add_done_callback(engine.tasks.discard)
        return 0

    cdef int renewed(self, packet_way) except -1:
        """Go another way from now on, and listen to the old one that was last heard of."""
        cdef ServerPort old = self.port
        self.association.engine.send_queued()
        self.lead(packet_way)
        if old.answered or self.former is None:
            old, self.former = self.former, old
        if old is not None:
            old.shut()
        return 0

    cdef int hold(self, const Packet* packet) except -1:
        cdef DatagramEngine engine = self.association.engine
        if self.finding is None:
            # One that was given ends with its association.
            if self.find is None or now() < self.rests_until:
                return self.association.drop("upstream")
            self.waiting = []
            # Not by the loop's factory, which may be an eager one: see _udp_targets_py.py.
            self.finding = asyncio.Task(_find(self), loop=engine.loop)
            engine.tasks.add(self.finding)
            self.finding.add_done_callback(engine.tasks.discard)
        if not engine.table.let_wait(self.association, packet.payload_size):
            return self.association.drop("waiting")
        self.waiting.append(
            (
                PyBytes_FromStringAndSize(<const char*>packet.address, packet.address_size),
                PyBytes_FromStringAndSize(<const char*>packet.payload, packet.payload_size),
            )
        )
        return 0

    cdef int found(self, packet_way) except -1:
        """Send what waited for a way."""
        cdef DatagramEngine engine = self.association.engine
        cdef bytes address, payload
        cdef Packet packet
        try:
            self.lead(packet_way)
        except OSError:
            if packet_way.control is not None:
                packet_way.control.close()
            return self.failed()
        self.finding = None
        waiting, self.waiting = self.waiting, None
        engine.time = <int64_t>time.time()
        for address, payload in waiting:
            engine.table.release(self.association, len(payload))
            engine.begin()
            packet = packet_in_arena(engine, address, payload)
            self.send(&packet)
        return engine.flush()

    cdef int failed(self) except -1:
        """Drop what waited, and rest."""
        self.finding = None
        waiting, self.waiting = self.waiting, None
        self.rests_until = now() + REST
        for _, payload in waiting:
            self.association.engine.table.release(self.association, len(payload))
            self.association.drop("upstream")
        return 0

    def _lost(self):
        self.association.engine.flush()
        self.close()
        if self.find is None:
            self.association.end_by_itself()

    cdef int close(self) except -1:
        """Close the sockets, and let nothing wait any more; again does nothing."""
        cdef ServerPort port
        for port in (self.port, self.former):
            if port is not None:
                port.shut()
        self.port = self.former = None
        for task in (self.finding, self.renewing):
            if task is not None:
                task.cancel()
        self.finding = self.renewing = self.waiting = None
        control, self.control = self.control, None
        if control is not None:
            control.ended = None
            control.close()
        return 0


async def _find(CurrentWay way):
    try:
        packet_way = await way.find(way.association.client_host)
    except (FastsocksError, OSError):
        way.failed()
    else:
        way.found(packet_way)


async def _renew(CurrentWay way, why):
    try:
        packet_way = await way.port.packet_way.renew(why)
        if packet_way is not None:
            way.renewed(packet_way)
    except (FastsocksError, OSError):
        # The old way stays as it is, until the next time.
        pass
    finally:
        if why is not None:
            way.unanswered = 0
        way.renewing = None
