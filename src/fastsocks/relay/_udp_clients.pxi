# The ports that face clients: whose a datagram is, and what an answer looks like to them.


cdef class SharedPort(ClientPort):
    """Faces many clients, which are told apart by where they send from."""

    # How an association's way through servers is found; None where all goes directly.
    cdef object find_way
    cdef dict by_source
    cdef Name latest_source
    cdef Association latest

    def __cinit__(self):
        self.by_source = {}

    cdef Association find(self, const Name* source):
        """Return the association of a client; None where there is none."""
        if self.latest is None or not same_name(source, &self.latest_source):
            self.latest_source = source[0]
            self.latest = self.by_source.get(key_of(source))
        return self.latest

    cdef Association begin(self, const Name* source, PacketSession session):
        """Begin the association of a client, or of a session of it."""
        cdef Association association = Association(self.engine, self)
        association.client = source[0]
        association.session = session
        if self.find_way is not None:
            association.packet_way = CurrentWay(association, self.find_way)
        if session is not None:
            association.user = session.user
            session.association = association
        else:
            association.source_key = key_of(source)
            self.by_source[association.source_key] = association
            self.latest = association
            self.latest_source = source[0]
        self.engine.admit(association)
        return association

    cdef int note(self, Association association, const Name* source) except -1:
        """Have answers go to where the client's last datagram came from, from where it came to."""
        association.facing = self
        association.client = source[0]
        if self.everywhere:
            association.arrival = self.engine.arrival
        else:
            association.arrival.family = 0
        return 0

    cdef int release(self, Association association) except -1:
        if association.source_key is not None:
            self.by_source.pop(association.source_key, None)
        if self.latest is association:
            self.latest = None
        return 0

    cdef int shut(self) except -1:
        self.latest = None
        return Port.shut(self)


@cython.final
cdef class ShadowsocksPort(SharedPort):
    """Faces Shadowsocks clients."""

    cdef PacketCodec packets

    cdef int take(self, const Name* source, uint8_t* data, Py_ssize_t size) except -1:
        cdef DatagramEngine engine = self.engine
        cdef Packet packet
        cdef Py_ssize_t opened
        cdef Association association
        cdef PacketSession session = None
        if size == 0:
            return engine.drop("truncated", source)
        # Sealing for a server writes in front of the payload; an association may have its way
        # through servers from before a change, though new ones get none.
        packet.room = engine.room(ROOM_IN_FRONT + size)
        packet.now = engine.time
        opened = self.packets.open_into(data, size, packet.room.start + ROOM_IN_FRONT, &packet)
        if opened < 0:
            return engine.drop_fault(opened, source)
        engine.keep(packet.room.end)
        if packet.session is not NULL:
            session = <PacketSession>packet.session
            association = session.association
        else:
            association = self.find(source)
        if association is None or association.closed:
            association = self.begin(source, session)
        self.note(association, source)
        return association.forward(&packet)

    cdef int answer(self, Association association, Packet* answer) except -1:
        cdef DatagramEngine engine = self.engine
        cdef Room out
        cdef Py_ssize_t sealed
        if self.fd < 0:
            return association.drop("closed")
        out = engine.room(answer.payload_size + self.packets.overhead)
        if association.session is not None:
            answer.session = <PyObject*>association.session
        sealed = self.packets.seal_into(answer, out)
        engine.keep(out.start + sealed)
        return association.answer_by(self, out.start, sealed, answer.payload_size)

    cdef int release(self, Association association) except -1:
        cdef PacketSession session = association.session
        if session is not None and session.association is association:
            session.association = None
            self.packets.forget(session)
        return SharedPort.release(self, association)


@cython.final
cdef class ForwardPort(SharedPort):
    """Faces clients whose datagrams all go to one target, as they are."""

    # An address header; that of an IP address as a Name, too.
    cdef bytes target
    cdef Name target_name

    cdef int take(self, const Name* source, uint8_t* data, Py_ssize_t size) except -1:
        cdef Association association = self.find(source)
        if association is None or association.closed:
            association = self.begin(source, None)
        self.note(association, source)
        return association.forward_slot(
            <const uint8_t*>PyBytes_AS_STRING(self.target), len(self.target), data, size
        )

    cdef int answer(self, Association association, Packet* answer) except -1:
        if not self.is_target(association, answer):
            return association.drop("foreign-source")
        if self.fd < 0:
            return association.drop("closed")
        return association.answer_by(self, answer.payload, answer.payload_size, answer.payload_size)

    cdef bint is_target(self, Association association, const Packet* answer) noexcept:
        """Tell whether an answer is the target's: a client cannot see from whom it is."""
        cdef const uint8_t* target = <const uint8_t*>PyBytes_AS_STRING(self.target)
        cdef const uint8_t* end = answer.address + answer.address_size
        cdef Name name
        if answer.address[0] != NAME:
            name_of_wire(&name, answer.address)
            if same_name(&name, &association.targets.latest_target):
                return True
            if target[0] != NAME:
                return association.packet_way is not None and same_name(&name, &self.target_name)
        # Which address a name stands for, the last server alone knows.
        return (
            association.packet_way is not None
            and target[0] == NAME
            and memcmp(end - 2, target + len(self.target) - 2, 2) == 0
        )


@cython.final
cdef class SocksPort(ClientPort):
    """Faces one SOCKS client."""

    cdef Association association
    # Where datagrams are accepted from; with port 0 the first one decides.
    cdef Name expected
    cdef bint learned
    cdef object reassembler

    cdef int take(self, const Name* source, uint8_t* data, Py_ssize_t size) except -1:
        cdef DatagramEngine engine = self.engine
        cdef Reader reader
        cdef Py_ssize_t address_size
        if not self.comes_from_client(source):
            return engine.drop("foreign-source", source)
        if size <= SOCKS_HEADER:
            return engine.drop("truncated", source)
        if data[2] != 0:
            return self.take_fragment(source, data, size)
        if self.reassembler is not None:
            # A whole datagram abandons the queue (RFC 1928 section 7).
            self.reassembler.clear()
        data += SOCKS_HEADER
        size -= SOCKS_HEADER
        reader = reader_over(data, size)
        address_size = header_size(&reader)
        if address_size <= 0:
            return engine.drop(_reason(address_size), source)
        self.learn(source)
        return self.association.forward_slot(
            data, address_size, data + address_size, size - address_size
        )

    cdef bint comes_from_client(self, const Name* source) noexcept:
        cdef Name tried = source[0], expected = self.expected
        # Whoever asked by TCP did so from the same interface, if it is link-local.
        take_scope(&expected, source)
        if not self.learned:
            set_port_of(&tried, &expected)
        return same_name(&tried, &expected)

    cdef int learn(self, const Name* source) except -1:
        if not self.learned:
            self.learned = True
            self.expected = source[0]
            self.association.client = source[0]
        take_scope(&self.expected, source)
        take_scope(&self.association.client, source)
        return 0

    cdef int take_fragment(
        self, const Name* source, const uint8_t* data, Py_ssize_t size
    ) except -1:
        cdef DatagramEngine engine = self.engine
        cdef bytes wire, payload
        cdef Packet packet
        if self.reassembler is None:
            self.reassembler = Reassembler()
        try:
            whole = self.reassembler.add(
                PyBytes_FromStringAndSize(<const char*>data, size), engine.loop.time()
            )
        except ProtocolError as error:
            reason = "fragment" if error.status == ProtocolError.status else error.status
            return engine.drop(reason, source)
        self.learn(source)
        if whole is None:
            return 0
        wire, payload = whole[0].wire, whole[1]
        if len(payload) > LARGEST_PAYLOAD:
            return engine.drop("oversize", source)
        packet = packet_in_arena(engine, wire, payload)
        return self.association.forward(&packet)

    cdef int answer(self, Association association, Packet* answer) except -1:
        cdef Py_ssize_t size = SOCKS_HEADER + answer.address_size + answer.payload_size
        cdef uint8_t* start
        if not self.learned:
            return association.drop("no-client")
        start = put_before(
            answer.room, <uint8_t*>answer.address, <const uint8_t*>b"\0\0\0", SOCKS_HEADER
        )
        return association.answer_by(self, start, size, answer.payload_size)

    cdef int release(self, Association association) except -1:
        return self.shut()


cdef str _reason(Py_ssize_t fault):
    """Return why an address header, whose size is `fault`, is none."""
    if fault == INCOMPLETE:
        return "truncated"
    return "address-type" if fault == UNKNOWN_TYPE else "bad-address"
