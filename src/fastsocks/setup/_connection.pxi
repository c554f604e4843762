# One connection from accept until its relay begins: its client's end, and how it ends.


@cython.final
cdef class Connection:
    """One accepted connection; see the head of ``_setup.pyx`` for its states."""

    cdef Acceptor acceptor
    # Of the poller, where it is a member until hand_over; 0 then.
    cdef uint64_t token
    # Descriptors; owned here until hand_over, -1 where there is none.
    cdef readonly int client
    cdef int target
    cdef int client_family
    cdef int target_family
    cdef bint client_watched
    cdef bint target_watched
    # Whether there may be something to be read of which the poller tells no more.
    cdef bint client_unread
    cdef State state
    cdef double deadline
    # Whether the client has sent anything at all.
    cdef bint begun
    cdef bint silent
    # What the target must get before the relay's bytes; None while the outbound's first
    # bytes wait for a payload.
    cdef bytes to_target
    # What the target said behind the answer of a server on the way.
    cdef bytes from_target
    cdef Inbound inbound
    # None again from hand_over on; what stays are command, address and user.
    cdef object request
    cdef int command
    cdef object address
    cdef object user
    cdef Route route
    # The name whose one address is being dialed, which is to be looked up again if it is not there.
    cdef str named
    cdef readonly object peer
    # Of BIND and UDP ASSOCIATE.
    cdef readonly str local_host
    cdef object task
    # What it takes up of the caps on connections.
    cdef object admission
    cdef object association
    # Why it is ending.
    cdef object error
    # When it was accepted, by the clock of now().
    cdef double since
    # Which one of those that its Acceptor took, from 1 on.
    cdef uint64_t number
    # The first Shadowsocks server on its way; None where there is none, or before hand_over.
    cdef object server
    # When it got how far; None where no observer asks.
    cdef object stages
    # What observers are given; None until there is something to tell them.
    cdef object observed
    # Payload in bytes that went to the target before the relay began, and that came from there.
    cdef uint64_t early
    cdef uint64_t early_down

    cdef int enter(self, State state) except -1:
        """Take another state; the only place that does."""
        if _watcher is not None:
            _watcher(self.state, state)
        self.state = state
        return 0

    cdef int begin(self) except -1:
        cdef Acceptor acceptor = self.acceptor
        cdef Inbound inbound
        if acceptor.opened is not None:
            acceptor.opened(observe(self))
            # Whoever is told may end all connections, here and below.
            if self.state == State.OVER:
                return 0
        self.deadline = now() + acceptor.timeout
        self.hand_to(acceptor.inbounds.inbound(self))
        self.enter(State.HANDSHAKE)
        if not acceptor.inbounds.needs_no_byte:
            return self.read_handshake()
        # What has come is read once the request is known, or is not.
        self.client_unread = True
        try:
            inbound = self.inbound
            request = inbound.begin(self)
        except (ProtocolError, LimitError) as error:
            return self.not_received(error)
        return self.received(request)

    def local(self):
        """Return the socket address of our end; see :class:`fastsocks.inbound.Accepted`."""
        # What is closed is -1, which would find some descriptor of its own.
        with socket.socket(fileno=os.dup(self.client)) as sock:
            return sock.getsockname()

    cpdef hand_to(self, inbound):
        """Let an Inbound go on with it; see :class:`fastsocks.inbound.Accepted`."""
        self.inbound = adapted_inbound(inbound)
        self.silent = self.inbound.silent
        if self.silent:
            self.deadline += self.acceptor.timeout * random.random()

    def rename(self, peer):
        """Let it be another client's; see :class:`fastsocks.inbound.Accepted`."""
        if not self.admission.move(peer[0]):
            raise LimitError(f"too many connections of {peer[0]}")
        self.peer = peer

    cdef int ready(self, int end, uint32_t events) except -1:
        # An arrival is told once: what is not read now is to be remembered.
        cdef bint last = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)
        if end == 1:
            return self.connected(True, last) if self.state == State.CONNECTING else 0
        if self.state == State.HANDSHAKE:
            self.client_unread = last
            return self.read_handshake()
        if self.state == State.PAYLOAD:
            self.client_unread = last
            return self.read_payload()
        if self.state == State.BOUND:
            self.client_unread = last
            return read_ahead(self, events)
        if self.state == State.DRAINING or self.state == State.ASSOCIATED:
            return self.read_waste(1)
        return self.not_read(events)

    cdef int not_read(self, uint32_t events) except -1:
        """Remember what is told of a client that has to wait; give up who has broken off.

        The end of its stream may be but the end of what it sends.
        """
        cdef int error = 0
        if events & (EPOLLERR | EPOLLHUP):
            error = pending_error(self.client)
        if error:
            return self.client_lost(-error)
        self.client_unread = True
        return 0

    cdef int expire(self) except -1:
        """Act on a deadline that has passed."""
        if self.state == State.HANDSHAKE or self.state == State.PENDING:
            self.cancel_task()
            error = HandshakeTimeoutError("no complete request in time")
            if not self.silent:
                return self.refuse(error)
            report(self, error)
            self.close()
        elif self.state == State.CONNECTING:
            not_reached(self, dial_error(TimeoutError("connect timed out")))
        elif self.state == State.DRAINING:
            self.read_waste(LAST_READS)
            self.close()
        return 0

    cdef int read_handshake(self) except -1:
        cdef Acceptor acceptor = self.acceptor
        # It may hand the connection to another one.
        cdef Inbound inbound = self.inbound
        cdef Py_ssize_t size = receive(self.client, acceptor.buffer, READ_SIZE)
        if size == -EAGAIN:
            return self.await_client()
        if size == 0 and self.begun:
            return self.refuse(TruncatedError("the client left during its handshake"))
        if size <= 0:
            return self.client_lost(size)
        self.begun = True
        if size == READ_SIZE:
            self.client_unread = True
        try:
            request = inbound.receive(PyBytes_FromStringAndSize(<char*>acceptor.buffer, size))
        except (ProtocolError, LimitError) as error:
            return self.not_received(error)
        return self.received(request)

    cdef int not_received(self, error) except -1:
        """End because of an error of the inbound."""
        if not isinstance(error, LimitError):
            return self.refuse(error)
        # Of which the limits have told.
        self.acceptor.failures[error.status] += 1
        return self.close()

    cdef int received(self, request) except -1:
        """Go on with what the inbound made of the client's bytes."""
        outgoing = self.inbound.take_outgoing()
        if outgoing and not self.send_client(outgoing):
            return 0
        if request is None:
            pending = self.inbound.awaited()
            if pending is not None:
                return self.await_pending(pending)
            return self.read_handshake() if self.client_unread else self.await_client()
        self.request = request
        self.command = request.command
        self.address = request.address
        self.user = request.user
        if self.acceptor.closed is not None:
            self.stages = Stages(self.since)
        self.admission.established()
        if self.command != UDP_ASSOCIATE:
            try:
                self.request = self.acceptor.outbound.canonical(request)
            except HostNameError as error:
                return self.refuse(error)
            self.address = self.request.address
        if self.acceptor.identified is not None:
            self.acceptor.identified(observe(self))
            if self.state == State.OVER:
                return 0
        if self.command == CONNECT:
            return dial(self)
        return associate(self) if self.command == UDP_ASSOCIATE else bind(self)

    cdef int await_pending(self, pending) except -1:
        """Let the inbound wait for something else than its client, which is not read meanwhile."""
        self.enter(State.PENDING)
        self.task = asyncio.ensure_future(pending, loop=self.acceptor.loop)
        self.task.add_done_callback(self.no_longer_pending)
        return self.attend_client()

    def no_longer_pending(self, task):
        """Take note of the end of what the inbound waited for."""
        if self.state == State.PENDING:
            self.acceptor.run(self, Cause.NO_LONGER_PENDING)
        elif not task.cancelled():
            # An error of what nobody waits for any more is nobody's.
            task.exception()

    cdef int resume(self) except -1:
        task, self.task = self.task, None
        if task.cancelled():
            return self.close(reset=True)
        self.enter(State.HANDSHAKE)
        try:
            request = task.result()
        except FastsocksError as error:
            return self.not_received(error)
        return self.received(request)

    cdef bint send_client(self, bytes data) except -1:
        """Send some bytes; False if the connection is over because they do not fit."""
        cdef Py_ssize_t sent = send(self.client, PyBytes_AS_STRING(data), len(data))
        if sent == len(data):
            return True
        # A receive window that has no room for a reply is not an honest client's.
        self.client_lost(sent if sent < 0 else -EAGAIN)
        return False

    cdef int begin_payload(self) except -1:
        """Make the outbound's first bytes, if they need not wait for a payload."""
        codec, payload = self.route.codec, self.request.early_data
        self.early = len(payload) - <Py_ssize_t>self.request.header_size
        if codec is None:
            self.to_target = payload
        elif payload or not self.route.payload_wait:
            self.to_target = codec.request(self.request.address, payload)
        return 0

    cdef int connected(self, bint settled, bint failing) except -1:
        """Go on if the target is connected.

        :param settled: whether the kernel says that connecting is over, one way or the other.
        :param failing: whether it says that this socket may have failed.
        """
        cdef Py_ssize_t sent
        cdef int error
        if self.to_target:
            # Sending tells whether the connection stands, and saves the question.
            sent = send(self.target, PyBytes_AS_STRING(self.to_target), len(self.to_target))
            if sent == -EAGAIN:
                if not settled:
                    return self.await_target()
                sent = 0
            if sent < 0:
                return connect_failed(self, <int>-sent)
            self.to_target = self.to_target[sent:]
        elif failing:
            error = pending_error(self.target)
            if error:
                return connect_failed(self, error)
        elif not settled:
            # What is near is connected by now, which nothing to send tells as well.
            sent = send(self.target, NULL, 0)
            if sent == -EAGAIN:
                return self.await_target()
            if sent < 0:
                return connect_failed(self, <int>-sent)
        if self.stages is not None:
            self.stages.connected()
        if not self.send_reply():
            return 0
        if self.to_target is not None:
            return self.hand_over()
        self.enter(State.PAYLOAD)
        self.deadline = float("inf")
        self.acceptor.await_payload(self, self.route.payload_wait)
        return self.read_payload() if self.client_unread else self.await_client()

    cdef bint send_reply(self) except -1:
        cdef uint8_t wire[19]
        cdef int size
        bound = None
        if self.inbound.tells_address and self.route.codec is None and self.route.open is None:
            size = local_address(self.target, wire)
            if size > 0 and not (self.inbound.short_replies and wire[0] != IPV4):
                bound = Address(PyBytes_FromStringAndSize(<char*>wire, size))
        reply = self.inbound.connected(bound)
        return not reply or self.send_client(reply)

    cdef int read_payload(self) except -1:
        cdef Acceptor acceptor = self.acceptor
        cdef Py_ssize_t size = receive(self.client, acceptor.buffer, READ_SIZE)
        if size == -EAGAIN:
            return self.await_client()
        if size < 0:
            return self.client_lost(size)
        if size == READ_SIZE or size == 0:
            # At the end of its stream the relay will meet that end again, and carry it on.
            self.client_unread = True
        payload = self.payload_of(size)
        return 0 if payload is None else self.send_request(payload)

    cdef bytes payload_of(self, Py_ssize_t size):
        """Return the payload in what the client sent; None if that ended the connection."""
        data = PyBytes_FromStringAndSize(<char*>self.acceptor.buffer, size)
        codec = self.inbound.relayed_by()
        if codec is None:
            return data
        try:
            return codec.open(data)
        except ProtocolError as error:
            self.refuse(error)
            return None

    cdef int send_request(self, bytes payload) except -1:
        """Send the outbound's first bytes, with `payload` in them, and relay."""
        cdef Py_ssize_t sent
        self.early = len(payload)
        self.to_target = self.route.codec.request(self.request.address, payload)
        sent = send(self.target, PyBytes_AS_STRING(self.to_target), len(self.to_target))
        if sent == -EAGAIN:
            sent = 0
        if sent < 0:
            report(self, ResetError(os.strerror(<int>-sent)))
            return self.close(reset=True)
        self.to_target = self.to_target[sent:]
        return self.hand_over()

    cdef int hand_over(self) except -1:
        """Give both descriptors to the relay."""
        cdef Acceptor acceptor = self.acceptor
        cdef BareRelay relay
        cdef uint64_t token = self.token
        cdef int client = self.client, target = self.target
        cdef Codec client_codec = adapted(self.inbound.relayed_by()), target_codec = self.route.codec
        if not self.client_watched:
            acceptor.poller.watch(token, 0, client, ARRIVALS)
        elif self.client_unread:
            acceptor.poller.watch_again(token, 0, client, ARRIVALS)
        if not self.target_watched:
            acceptor.poller.watch(token, 1, target, ARRIVALS)
        else:
            # What it had to say before is told again, and room to send no more.
            acceptor.poller.watch_again(token, 1, target, ARRIVALS)
        to_target, self.to_target = self.to_target, None
        to_client, self.from_target = self.from_target or b"", None
        self.early_down = len(to_client)
        acceptor.engine.counters.bytes_up += self.early
        acceptor.engine.counters.bytes_down += self.early_down
        if to_client and client_codec is not None:
            to_client = self.inbound.relayed_by().seal(to_client)
        meter = None if acceptor.users is None else acceptor.users.of(self.user)
        if meter is not None:
            if self.early:
                meter.spend(self.early, True)
            if self.early_down:
                meter.spend(self.early_down, False)
        relay = acceptor.engine.relay(
            token,
            client,
            self.client_family,
            client_codec,
            target,
            self.target_family,
            target_codec,
            self,
            True,
            meter,
        )
        if target_codec is not None:
            self.server = self.route.address
            if not acceptor.answered:
                acceptor.answers.awaited(self.server, self.early)
        self.enter(State.RELAYED)
        acceptor.connections.pop(token, None)
        self.token = 0
        self.client = self.target = -1
        self.inbound = self.request = self.route = self.task = None
        try:
            if to_client or to_target:
                relay.send_first(to_client, to_target)
        except Exception as error:
            # It has both descriptors and the admission by now, and would go on without that.
            relay._fail(broken(error))
            raise
        return 0

    def __call__(self, relay):
        """The engine says that the relay has ended."""
        cdef Acceptor acceptor = self.acceptor
        cdef uint64_t up, down
        try:
            self.enter(State.OVER)
            if relay.error is not None:
                report(self, relay.error, relayed=True)
            up = self.early + <uint64_t>relay.bytes_up
            down = self.early_down + <uint64_t>relay.bytes_down
            if self.server is not None:
                note_answer(self, up, down)
            release(self, up, down, 0.0 if self.stages is None else relay.first_down)
        finally:
            acceptor.check_idle()

    cdef int read_waste(self, int reads) except -1:
        cdef Py_ssize_t size
        for _ in range(reads):
            size = receive(self.client, self.acceptor.buffer, READ_SIZE)
            if size == -EAGAIN:
                return 0
            if size <= 0:
                return self.close()
        return 0

    cdef int await_client(self) except -1:
        """Go on when the client's next bytes are there."""
        self.client_unread = False
        return self.attend_client()

    cdef int attend_client(self) except -1:
        """Be told what the client does, a break included, also while it is not read."""
        if not self.client_watched:
            self.acceptor.poller.watch(self.token, 0, self.client, ARRIVALS)
            self.client_watched = True
        return 0

    cdef int await_target(self) except -1:
        """Go on when the target is connected, or cannot be."""
        self.attend_client()
        self.acceptor.poller.watch(self.token, 1, self.target, ARRIVALS | EPOLLOUT)
        self.target_watched = True
        return 0

    cdef int watch_waste(self) except -1:
        """Go on whenever the client has sent something, until it is read."""
        if self.client_watched:
            return self.acceptor.poller.watch_again(self.token, 0, self.client, EPOLLIN)
        self.acceptor.poller.watch(self.token, 0, self.client, EPOLLIN)
        self.client_watched = True
        return 0

    cdef int client_lost(self, Py_ssize_t result) except -1:
        """Close because of what receive or send returned: 0 for an end, or -errno."""
        if result < 0:
            report(self, ResetError(os.strerror(<int>-result)))
        return self.close(reset=result < 0)

    cdef int refuse(self, object error) except -1:
        """End because of `error`, as the inbound wants it."""
        report(self, error)
        if self.state == State.OVER:
            return 0
        if not self.silent or (
            not isinstance(error, ProtocolError)
            and self.inbound.cuts_answers
        ):
            reply = self.inbound.failed(error)
            if reply:
                send(self.client, PyBytes_AS_STRING(reply), len(reply))
            shutdown(self.client, SHUT_WR)
            self.deadline = now() + LINGER
        elif not isinstance(error, ProtocolError):
            return self.close(reset=True)
        if self.target >= 0:
            # It may have got early data, which must not look complete.
            reset_on_close(self.target)
            close(self.target)
            self.target = -1
        # Closing with bytes unread would send a reset: that would take the reply with it,
        # and tell a prober that bytes were left.
        self.enter(State.DRAINING)
        return self.watch_waste()

    cdef int close(self, bint reset=False) except -1:
        """Close what this object still owns."""
        if self.state >= State.RELAYED:
            return 0
        if self.client >= 0:
            if reset:
                reset_on_close(self.client)
            close(self.client)
            self.client = -1
        if self.target >= 0:
            # It may have got early data, which must not look complete.
            if reset:
                reset_on_close(self.target)
            close(self.target)
            self.target = -1
        association, self.association = self.association, None
        self.cancel_task()
        self.enter(State.OVER)
        self.acceptor.connections.pop(self.token, None)
        self.acceptor.poller.remove(self.token)
        self.inbound = self.request = self.route = None
        if association is not None:
            association.close()
        release(self, 0, 0)
        return self.acceptor.check_idle()

    cdef int cancel_task(self) except -1:
        """Wait no longer for what a task was to bring."""
        task, self.task = self.task, None
        if task is not None:
            task.cancel()
        return 0
