# cython: boundscheck=False, wraparound=False
"""The sockets of the UDP relay, and those that face targets (Linux).

Part of ``_udp.pyx``; the twin of ``_udp_ports_py.py``. A datagram goes from socket to socket
without a Python object: slots are received into, codecs write into the arena beside them, and
one queue is sent before either is used again.

.. danger::
   What is queued in the outbox points into slots and arena. Both are used again after
   `flush`, and not before. One flush serves all sockets that became readable together, so that
   answers from many targets leave by one call; with something queued in a slot, the next
   socket's turn begins with one. The arena is emptied between two datagrams only.

   Whoever hands a payload on hands on a Packet, whose `room` says what around the payload may
   be written. In the sanitizer build all else is closed: what was not lent, and what is queued.
"""

import os
from collections import Counter

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

from fastsocks.crypto._room cimport Room
from fastsocks.net._arena cimport arena_left, empty_arena, keep, lend
from fastsocks.net._datagrams cimport (
    Inbox,
    Name,
    arrival_of,
    coalesce,
    flush_outbox,
    message_at,
    message_size,
    receive_batch,
    segment_size,
    wire_before,
)
from fastsocks.net._epoll cimport EPOLL_CTL_ADD, EPOLLIN, watch
from fastsocks.net._sockets cimport now
from fastsocks.shadowsocks._packets cimport Packet, packet_of

from fastsocks.address import Address
from fastsocks.errors import FastsocksError
from fastsocks.net import has_route
from fastsocks.shadowsocks.packet_faults import packet_error

cdef enum:
    # Reasons and clients that are told apart within a TELLING_INTERVAL.
    UNTOLD = 256

# Seconds between two times at which drops are told.
cdef double TELLING_INTERVAL = 1.0


cdef class DatagramCounters:
    """What went through a datagram engine; sizes are of payload, in bytes."""

    def __cinit__(self, AssociationTable table not None):
        self.table = table
        self.dropped = Counter()

    @property
    def waiting(self):
        """Datagrams that wait now for a look-up."""
        return self.table.waiting


cdef class EngineBase:
    """What ports and associations need of their engine: memory, queue, policy and counts."""

    cdef int begin(self) noexcept:
        """See to it that the arena has room for the next datagram."""
        if arena_left(&self.arena) < MOST_FOR_ONE:
            self.flush()
        return 0

    cdef Room room(self, Py_ssize_t size) except *:
        """Return `size` bytes of the arena, to be kept before the next ones are wanted."""
        cdef Room room = lend(&self.arena, size)
        if room.start is NULL:
            raise BufferError(f"a datagram that takes {size} bytes more than it may")
        return room

    cdef int keep(self, const uint8_t* end) noexcept:
        """Keep the last room, up to `end`, until what is queued has been sent."""
        keep(&self.arena, end)
        return 0

    cdef int flush(self) noexcept:
        """Send what is queued, and empty the arena: nothing in it is needed any more."""
        self.send_queued()
        empty_arena(&self.arena)
        self.slots_queued = False
        return 0

    cdef int send_queued(self) noexcept:
        """Send what is queued; the arena may still hold the datagram that is being handled."""
        cdef uint64_t before = self.outbox.dropped
        if self.outbox.messages_used:
            flush_outbox(self.outbox)
            if self.outbox.dropped != before:
                self.not_sent(self.outbox.dropped - before)
            if self.outbox.refused:
                self.tell_refused()
        return 0

    cdef int not_sent(self, uint64_t count) noexcept:
        self.counters.dropped["not-sent"] += count
        return self.tell_of("not-sent", NULL, count)

    cdef int tell_refused(self) noexcept:
        cdef Port port = self.connected.get(self.outbox.refused_fd)
        cdef int error = self.outbox.refused
        self.outbox.refused = 0
        if port is not None:
            port.refused(error)
        return 0

    cdef int drop(self, str reason, const Name* client) except -1:
        """Count a datagram of a client that is not carried, and tell of it."""
        self.counters.dropped[reason] += 1
        return self.tell_of(reason, client, 1)

    cdef int drop_fault(self, Py_ssize_t fault, const Name* client) except -1:
        reason = self.faults.get(fault)
        if reason is None:
            reason = self.faults[fault] = packet_error(fault).status
        return self.drop(reason, client)

    cdef int count_drop(self, str reason) except -1:
        """Count a datagram of which somebody else tells."""
        self.counters.dropped[reason] += 1
        return 0

    cdef int tell_of(self, str reason, const Name* client, uint64_t count) except -1:
        """Tell of drops, soon, and together with others that are alike."""
        if self.dropped is None:
            return 0
        key = (reason, None if client is NULL else _host_key(client))
        if len(self.untold) >= UNTOLD and key not in self.untold:
            key = (reason, None)
        self.untold[key] = self.untold.get(key, 0) + count
        if self.telling is None:
            self.telling = self.loop.call_later(max(0.0, self.tells_after - now()), self._tell)
        return 0

    def _tell(self):
        self.telling = None
        self.tells_after = now() + TELLING_INTERVAL
        untold, self.untold = self.untold, {}
        for (reason, wire), count in untold.items():
            self.dropped(reason, None if wire is None else Address(wire + bytes(2)).host, count)

    cdef bytes check(self, AssociationBase association, address, resolved):
        """Return the wire form of what is to be dialed if it may be, else None.

        :param address: the target.
        :param resolved: an IP address of it, with its port, where it is a name.
        """
        dialed = address if resolved is None else resolved
        if self.permit is not None:
            try:
                self.permit(dialed)
            except FastsocksError:
                self.guarded = True
                return None
        if self.judge is not None and FORBIDDEN == association.judged(
            address, None if resolved is None else resolved.host
        ):
            return None
        return dialed.wire

    cdef bytes choose(self, AssociationBase association, name, infos, bint* routed):
        """Return the wire form of an address of a name that may be dialed, one with a route.

        :param routed: is set to whether it has one.
        """
        cdef bytes allowed, first = None
        port = name.port
        for family, _, _, _, sockaddr in infos:
            allowed = self.check(association, name, Address.of(sockaddr[0].partition("%")[0], port))
            if allowed is None:
                continue
            if has_route(family, (sockaddr[0], port, *sockaddr[2:])):
                routed[0] = True
                return allowed
            if first is None:
                first = allowed
        return first

    cdef int admit(self, AssociationBase association) except -1:
        """Count an association in, and end others where it is one too many."""
        raise NotImplementedError

    cdef int forget(self, AssociationBase association) except -1:
        """Count an association out."""
        raise NotImplementedError


cdef class Port:
    """A socket that the engine watches."""

    def __cinit__(self):
        self.fd = -1

    cdef int open(self, EngineBase engine, object sock) except -1:
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


cdef class AssociationBase:
    """What engine and ports know of an association."""

    @property
    def client_host(self):
        """The IP address of the client."""
        return Address(key_of(&self.client)).host

    cdef int sent(self, Py_ssize_t size) noexcept:
        """Count a payload of the client, of `size` bytes."""
        self.engine.counters.packets_up += 1
        self.engine.counters.bytes_up += size
        self.bytes_up += size
        return 0

    cdef int drop(self, str reason) except -1:
        """Count a datagram of the client, or to it, that is not carried."""
        return self.engine.drop(reason, &self.client)

    cdef int refuse(self) except -1:
        """Count a datagram that may not be sent; of what a rule refuses, its judge tells."""
        cdef bint guarded = self.engine.guarded
        self.engine.guarded = False
        return self.drop("not-allowed") if guarded else self.engine.count_drop("not-allowed")

    cdef int end_by_itself(self) except -1:
        """End it, and tell so."""
        raise NotImplementedError

    cdef int judged(self, address, resolved) except -1:
        """Return the Way that the engine's judge leads to a target."""
        raise NotImplementedError

    cdef int way_to(self, const uint8_t* wire, Py_ssize_t wire_size) except -1:
        """Return the Way to a target, whose name is not resolved; remembered."""
        raise NotImplementedError

    cdef int backward(self, Packet* answer) except -1:
        """Send what a target says to the client; its room is what sealing takes."""
        raise NotImplementedError


cdef class OutgoingPort(Port):
    """Faces targets: unconnected, so that whoever learns its port can answer."""

    cdef int take(self, const Name* source, uint8_t* data, Py_ssize_t size) except -1:
        cdef EngineBase engine = self.engine
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


cdef Packet packet_in_arena(EngineBase engine, bytes address, bytes payload) except *:
    """Copy an address and a payload to where they can be sealed."""
    cdef Py_ssize_t address_size = len(address), size = len(payload)
    cdef Room room = engine.room(ROOM_IN_FRONT + size)
    cdef uint8_t* start = room.start + ROOM_IN_FRONT
    memcpy(start - address_size, PyBytes_AS_STRING(address), address_size)
    memcpy(start, PyBytes_AS_STRING(payload), size)
    engine.keep(room.end)
    return packet_of(start - address_size, address_size, start, size, room, engine.time)


cdef bytes key_of(const Name* name):
    """Return the wire form of a socket's address."""
    cdef uint8_t wire[19]
    cdef int size = wire_before(name, wire + 19)
    return PyBytes_FromStringAndSize(<char*>wire + 19 - size, size)


cdef bytes _host_key(const Name* name):
    """The same without the port."""
    cdef uint8_t wire[19]
    cdef int size = wire_before(name, wire + 19)
    return PyBytes_FromStringAndSize(<char*>wire + 19 - size, size - 2)
