# cython: boundscheck=False, wraparound=False
"""What the UDP relay does for one client (Linux).

Part of ``_udp.pyx``; the twin of ``_udp_associations_py.py``. An association has a side that
faces its client, a Shadowsocks or a SOCKS one, and a side that faces targets, by the sockets of
``_udp_ports.pyx``; see there whose memory a datagram lies in.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.object cimport PyObject
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from fastsocks.address._header cimport INCOMPLETE, UNKNOWN_TYPE, header_size, take_address
from fastsocks.address._host_name cimport canonical, is_plain
from fastsocks.address._reader cimport Reader, reader_over
from fastsocks.crypto._room cimport Room, room_of
from fastsocks.net._datagrams cimport (
    Name,
    queue_datagram,
    same_name,
    set_port_of,
    take_scope,
)
from fastsocks.relay._udp_ports cimport (
    BY_SERVERS,
    DIRECT,
    FORBIDDEN,
    LARGEST_PAYLOAD,
    ROOM_IN_FRONT,
    SOCKS_HEADER,
    AssociationBase,
    EngineBase,
    Port,
    key_of,
    packet_in_arena,
)
from fastsocks.relay._udp_targets cimport Targets
from fastsocks.relay._udp_packet_way cimport new_current_way
from fastsocks.shadowsocks._packets cimport Packet, PacketSession, packet_of, put_before

from fastsocks.errors import FastsocksError, HostNameError, ProtocolError
from fastsocks.socks.datagrams import Reassembler

cdef enum:
    # ATYP.
    NAME = 3
    # Targets of which one association remembers what its judge says.
    JUDGED = 256


cdef class ServingPort(Port):
    """Faces Shadowsocks clients."""

    cdef int take(self, const Name* source, uint8_t* data, Py_ssize_t size) except -1:
        cdef EngineBase engine = self.engine
        cdef Packet packet
        # Sealing for a packet way writes in front of the payload.
        cdef Py_ssize_t in_front = 0 if engine.find_way is None else ROOM_IN_FRONT
        cdef Py_ssize_t opened
        cdef Association association
        cdef PacketSession session = None
        if size == 0:
            return engine.drop("truncated", source)
        packet.room = engine.room(in_front + size)
        packet.now = engine.time
        opened = self.packets.open_into(data, size, packet.room.start + in_front, &packet)
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
        association.serving = self
        association.client = source[0]
        if self.everywhere:
            association.arrival = engine.arrival
        else:
            association.arrival.family = 0
        return association.forward(&packet)

    cdef Association find(self, const Name* source):
        if self.latest is not None and same_name(source, &self.latest_source):
            return self.latest
        self.latest_source = source[0]
        self.latest = self.by_source.get(key_of(source))
        return self.latest

    cdef Association begin(self, const Name* source, PacketSession session):
        cdef Association association = Association.__new__(Association)
        association.engine = self.engine
        association.serving = self
        association.client = source[0]
        association.session = session
        if self.engine.find_way is not None:
            association.packet_way = new_current_way(association)
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

    cdef int shut(self) except -1:
        self.latest = None
        return Port.shut(self)


cdef class ClientPort(Port):
    """Faces one SOCKS client."""

    cdef int take(self, const Name* source, uint8_t* data, Py_ssize_t size) except -1:
        cdef EngineBase engine = self.engine
        cdef Association association = self.association
        cdef Reader reader
        cdef Packet packet
        cdef Py_ssize_t address_size
        cdef Room room
        cdef uint8_t* work
        if not self.comes_from_client(source):
            return engine.drop("foreign-source", source)
        if size <= SOCKS_HEADER:
            return engine.drop("truncated", source)
        if data[2] != 0:
            return self.take_fragment(source, data, size)
        if self.reassembler is not None:
            # A whole datagram abandons the queue (RFC 1928 section 7).
            self.reassembler.clear()
        reader = reader_over(data + SOCKS_HEADER, size - SOCKS_HEADER)
        address_size = header_size(&reader)
        if address_size <= 0:
            return engine.drop(_reason(address_size), source)
        self.learn(source)
        size -= SOCKS_HEADER
        data += SOCKS_HEADER
        if association.packet_way is not None:
            # Sealing writes in front of the payload, where a message's earlier datagram may lie.
            room = engine.room(ROOM_IN_FRONT + size)
            work = room.start + ROOM_IN_FRONT
            memcpy(work, data, size)
            engine.keep(room.end)
        else:
            room = room_of(data, size)
            work = data
            engine.slots_queued = True
        packet = packet_of(
            work, address_size, work + address_size, size - address_size, room, engine.time
        )
        return association.forward(&packet)

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
        cdef EngineBase engine = self.engine
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


cdef class Association(AssociationBase):
    """The UDP relay of one client; made by a :class:`EngineBase`."""

    def __cinit__(self):
        self.targets = Targets.__new__(Targets)
        self.targets.association = self

    @property
    def active(self):
        """Whether it still relays."""
        return not self.closed

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
        if self.client_port is not None:
            self.client_port.shut()
        if self.packet_way is not None:
            self.packet_way.close()
        self.targets.close()
        if self.session is not None and self.session.association is self:
            self.session.association = None
            self.serving.packets.forget(self.session)
        if self.serving is not None:
            if self.source_key is not None:
                self.serving.by_source.pop(self.source_key, None)
            if self.serving.latest is self:
                self.serving.latest = None
        self.engine.forget(self)
        return 0

    cdef int end_by_itself(self) except -1:
        self.end()
        ended, self.ended = self.ended, None
        if ended is not None:
            ended()
        return 0

    cdef int forward(self, Packet* packet) except -1:
        """Send the client's payload on; its room is what sealing takes if there is a packet way."""
        cdef const uint8_t* address = packet.address
        cdef Py_ssize_t address_size = packet.address_size
        cdef int way
        cdef bytes canonical
        self.engine.table.touch(self)
        if address[0] == NAME and self.engine.decides and not is_plain(address + 2, address[1]):
            canonical = self.canonical(address, address_size)
            if canonical is None:
                return self.drop("host-name")
            packet.address = address = <const uint8_t*>PyBytes_AS_STRING(canonical)
            packet.address_size = address_size = len(canonical)
        if self.packet_way is not None:
            way = self.way_to(address, address_size)
            if way == FORBIDDEN:
                return self.refuse()
            if way == BY_SERVERS:
                return self.packet_way.send(packet)
        return self.targets.send(address, address_size, packet.payload, packet.payload_size)

    cdef bytes canonical(self, const uint8_t* wire, Py_ssize_t wire_size):
        """Return the one form of a target; None if its name is no host name."""
        cdef Reader reader = reader_over(wire, wire_size)
        try:
            return canonical(take_address(&reader)).wire
        except HostNameError:
            return None

    cdef int way_to(self, const uint8_t* wire, Py_ssize_t wire_size) except -1:
        cdef EngineBase engine = self.engine
        cdef bytes key
        cdef Reader reader
        cdef int way = BY_SERVERS
        if engine.judge is None and engine.permit is None:
            return BY_SERVERS
        key = PyBytes_FromStringAndSize(<const char*>wire, wire_size)
        if self.ways is None:
            self.ways = {}
        known = self.ways.get(key)
        if known is not None:
            return known
        reader = reader_over(wire, wire_size)
        address = take_address(&reader)
        engine.guarded = False
        if engine.judge is not None:
            way = self.judged(address, None)
        if way == BY_SERVERS and not address.is_name and engine.permit is not None:
            try:
                engine.permit(address)
            except FastsocksError:
                engine.guarded = True
                way = FORBIDDEN
        if len(self.ways) >= JUDGED:
            self.ways.clear()
        self.ways[key] = way
        return way

    cdef int decide_anew(self) except -1:
        """Forget what was said of targets."""
        self.ways = None
        return self.targets.decide_anew()

    cdef int judged(self, address, resolved) except -1:
        try:
            direct = self.engine.judge(self.client_host, self.user, address, resolved)
        except FastsocksError:
            return FORBIDDEN
        return DIRECT if direct else BY_SERVERS

    cdef int backward(self, Packet* answer) except -1:
        cdef EngineBase engine = self.engine
        cdef Room out
        cdef uint8_t* start
        cdef Py_ssize_t sealed, size = answer.payload_size
        engine.table.touch(self)
        self.answered = self.touched
        if self.serving is not None:
            if self.serving.fd < 0:
                return self.drop("closed")
            out = engine.room(size + self.serving.packets.overhead)
            answer.session = NULL if self.session is None else <PyObject*>self.session
            sealed = self.serving.packets.seal_into(answer, out)
            engine.keep(out.start + sealed)
            if sealed > LARGEST_PAYLOAD:
                return self.drop("oversize")
            queue_datagram(
                engine.outbox, self.serving.fd, &self.client, &self.arrival, out.start, <int>sealed
            )
        else:
            if not self.client_port.learned:
                return self.drop("no-client")
            sealed = SOCKS_HEADER + answer.address_size + size
            if sealed > LARGEST_PAYLOAD:
                return self.drop("oversize")
            start = put_before(
                answer.room, <uint8_t*>answer.address, <const uint8_t*>b"\0\0\0", SOCKS_HEADER
            )
            queue_datagram(
                engine.outbox, self.client_port.fd, &self.client, NULL, start, <int>sealed
            )
        engine.counters.packets_down += 1
        engine.counters.bytes_down += size
        self.bytes_down += size
        return 0


cdef str _reason(Py_ssize_t fault):
    """Return why an address header, whose size is `fault`, is none."""
    if fault == INCOMPLETE:
        return "truncated"
    return "address-type" if fault == UNKNOWN_TYPE else "bad-address"
