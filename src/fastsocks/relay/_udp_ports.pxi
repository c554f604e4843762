# The sockets of the engine, each with a descriptor in its epoll set.


cdef class Port:
    """A socket that the engine watches."""

    cdef DatagramEngine engine
    cdef object sock
    # -1 once it is closed.
    cdef int fd
    cdef uint64_t token
    # Whether it is bound to every address, and tells to which one of them a datagram came.
    cdef bint everywhere

    def __cinit__(self):
        self.fd = -1

    cdef int open(self, DatagramEngine engine, object sock) except -1:
        """Watch a socket, this object's from then on; it stays the caller's if that fails."""
        cdef int fd = sock.fileno()
        cdef int result
        coalesce(fd)
        engine.serial += 1
        result = watch(engine.epoll, EPOLL_CTL_ADD, fd, EPOLLIN, engine.serial)
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        self.engine = engine
        self.token = engine.serial
        engine.ports[self.token] = self
        self.sock = sock
        self.fd = fd
        return 0

    cdef int shut(self) except -1:
        if self.fd >= 0:
            self.fd = -1
            self.engine.ports.pop(self.token, None)
            self.sock.close()
        return 0

    cdef int refused(self, int error) except -1:
        """Handle what ICMP said of what was sent from a connected socket, or what else failed."""
        return 0

    cdef int take(self, const Name* source, uint8_t* data, Py_ssize_t size) except -1:
        """Handle one datagram, which lies in a slot."""
        raise NotImplementedError

    cdef int readable(self) except -1:
        cdef Inbox* inbox = self.engine.inbox
        cdef int count, i, size, segment, start
        cdef uint8_t* data
        if self.engine.slots_queued:
            self.engine.flush()
        count = receive_batch(inbox, self.fd)
        if count < 0:
            return self.refused(-count)
        for i in range(count):
            size = message_size(inbox, i)
            if size < 0:
                self.engine.drop("oversize", NULL)
                continue
            if self.everywhere:
                arrival_of(inbox, i, &self.engine.arrival)
            data = message_at(inbox, i)
            segment = segment_size(inbox, i)
            start = 0
            while True:
                self.engine.begin()
                self.take(&inbox.names[i], data + start, min(segment, size - start))
                start += segment
                if start >= size or self.fd < 0:
                    break
            if self.fd < 0:
                break
        return 0


cdef class ClientPort(Port):
    """Faces clients."""

    cdef int answer(self, Association association, Packet* answer) except -1:
        """Send what a target says as clients expect it; its room is what sealing takes."""
        raise NotImplementedError

    cdef int release(self, Association association) except -1:
        """Forget an association, which has ended."""
        raise NotImplementedError


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
