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
