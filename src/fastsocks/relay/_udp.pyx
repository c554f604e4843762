# cython: boundscheck=False, wraparound=False
"""The UDP relay on raw descriptors, in batches (Linux). The twin of ``_udp_py.py``.

One extension module of several files, whose classes know each other. What happens to a datagram:

1. The event loop watches one epoll descriptor for all sockets of an engine. `DatagramEngine._poll`
   asks it which are readable, and `Port.readable` receives a batch of each into slots
   (``_udp_ports.pxi``).
2. `take` of the `ClientPort` opens it (`ShadowsocksPort`), takes its header off (`SocksPort`), or
   knows its target (`ForwardPort`), and finds the `Association` that it belongs to
   (``_udp_clients.pxi``). For a new one `DatagramEngine.admit` makes room in the
   `AssociationTable` (``_udp_table.pxi``).
3. `Association.forward` asks for the way to its target (``_udp_association.pxi``).
4. `CurrentWay.send` seals it for a server (``_udp_packet_way.pxi``), or `Targets.send` leads it to
   the target itself, for whose name it may have to wait (``_udp_targets.pxi``). Either queues it.
5. `DatagramEngine.flush` sends what the sockets that became readable together had to say.
6. What answers comes to `take` of a `ServerPort` or a `TargetPort`. `Association.backward` has the
   `ClientPort` seal it, or put a header before it, and queue it.

`DatagramEngine._sweep` ends the associations that are idle; what is not carried is counted by
`drop`, with its reason.

.. danger::
   No Python object is made of a datagram: slots are received into, codecs write into the arena
   beside them, and what is queued in the outbox points into both. They are used again after
   `flush`, and not before. One flush serves all sockets that became readable together, so that
   answers from many targets leave by one call; with something queued in a slot, the next
   socket's turn begins with one. The arena is emptied between two datagrams only.

   Whoever hands a payload on hands on a Packet, whose `room` says what around the payload may
   be written. In the sanitizer build all else is closed: what was not lent, and what is queued.
"""

import asyncio
import os
import time
from collections import Counter, OrderedDict

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject
from libc.errno cimport ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, errno
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from fastsocks.address._header cimport (
    INCOMPLETE,
    LARGEST_ADDRESS,
    UNKNOWN_TYPE,
    header_size,
    take_address,
)
from fastsocks.address._host_name cimport canonical, is_plain
from fastsocks.address._reader cimport Reader, reader_over
from fastsocks.crypto._room cimport Room, room_of
from fastsocks.net._arena cimport (
    Arena,
    arena_left,
    close_arena,
    empty_arena,
    keep,
    lend,
    open_arena,
)
from fastsocks.net._datagrams cimport (
    BATCH,
    Arrival,
    Inbox,
    Name,
    Outbox,
    arrival_of,
    close_inbox,
    coalesce,
    flush_outbox,
    message_at,
    message_size,
    name_of_wire,
    open_inbox,
    queue_datagram,
    receive_batch,
    same_name,
    segment_size,
    set_port_of,
    take_scope,
    wire_before,
)
from fastsocks.net._epoll cimport (
    AF_INET,
    AF_INET6,
    EPOLL_CLOEXEC,
    EPOLL_CTL_ADD,
    EPOLLIN,
    close,
    epoll_create1,
    epoll_event,
    epoll_wait,
    watch,
)
from fastsocks.net._sockets cimport now
from fastsocks.relay._meter cimport Meter
from fastsocks.shadowsocks._packets cimport (
    SEAL_HEADROOM,
    Packet,
    PacketCodec,
    PacketSession,
    packet_of,
    put_before,
)

from fastsocks.address import Address
from fastsocks.errors import FastsocksError, HostNameError, ProtocolError
from fastsocks.net import has_route, open_datagram_socket, watch_arrivals
from fastsocks.relay.packet_way import REFUSED, SILENT
from fastsocks.shadowsocks.packet_faults import packet_error
from fastsocks.socks.datagrams import Reassembler

cdef enum:
    EVENT_BATCH = 64
    # What has come in the meantime is handled without going back to the event loop, so often.
    ROUNDS = 4
    SLOT_SIZE = 0x10000
    # In front of a payload: what sealing it may need there.
    ROOM_IN_FRONT = ((SEAL_HEADROOM + 63) >> 6) << 6
    ARENA_SIZE = BATCH * SLOT_SIZE
    # What one datagram takes of the arena at most: once opened, and once sealed, for a chain of
    # servers (shadowsocks.layers.MOST_LAYERS).
    MOST_FOR_ONE = 3 * SLOT_SIZE
    # RSV and FRAG (RFC 1928 section 7).
    SOCKS_HEADER = 3
    LARGEST_PAYLOAD = 65507
    # Reasons and clients of drops that are told apart within a TELLING_INTERVAL.
    UNTOLD = 256

# Seconds between two times at which drops are told.
cdef double TELLING_INTERVAL = 1.0
# Seconds between two looks for idle associations, at most.
cdef double SWEEP_INTERVAL = 15.0
# SIP022 3.2.4 wants sessions to live at least this long, in seconds.
cdef double SHORTEST_SESSION = 60.0


include "_udp_table.pxi"
include "_udp_ports.pxi"
include "_udp_association.pxi"
include "_udp_clients.pxi"
include "_udp_packet_way.pxi"
include "_udp_targets.pxi"


@cython.final
cdef class DatagramCounters:
    """What went through a datagram engine; sizes are of payload, in bytes."""

    cdef AssociationTable table
    cdef readonly uint64_t associations
    cdef readonly uint64_t packets_up
    cdef readonly uint64_t packets_down
    cdef readonly uint64_t bytes_up
    cdef readonly uint64_t bytes_down
    #: Datagrams dropped, by reason.
    cdef readonly object dropped

    def __cinit__(self, AssociationTable table not None):
        self.table = table
        self.dropped = Counter()

    @property
    def waiting(self):
        """Datagrams that wait now for a look-up."""
        return self.table.waiting


@cython.final
cdef class DatagramEngine:
    """Relays datagrams on one event loop; see the twin in ``_udp_py.py`` for its parameters."""

    cdef readonly DatagramCounters counters
    cdef object loop
    cdef object resolver
    cdef object address_filter
    cdef object verdict_on
    # Whether anybody decides on targets, so that their names need to have one form.
    cdef bint canonical_names
    cdef object find_way
    cdef object client_of
    cdef object meter_of
    cdef object began
    cdef object over
    cdef object limit_hit
    # What is told of drops, and what it was not told yet: how many by reason and client.
    cdef object dropped
    cdef dict untold
    cdef object telling
    # Not before then, by the clock of now().
    cdef double tells_after
    cdef double timeout
    cdef double names_kept
    cdef double longest_wait
    cdef double patience
    cdef double interval
    cdef object sweeping
    cdef set tasks
    cdef AssociationTable table
    cdef list serving
    # The address to send to targets from, by family.
    cdef dict local
    # Wire forms of IP targets that may be reached, as given and as they are dialed.
    cdef dict targets
    # Ports by their tokens; those of connected sockets, which ICMP speaks of, by descriptor, too.
    cdef dict ports
    cdef dict connected
    # Reasons of packets that do not open, by what the codec returns.
    cdef dict faults
    cdef uint64_t serial
    cdef int epoll
    # Unix time in seconds, read once for a batch.
    cdef int64_t time
    # Slots to receive into, and the arena to open and seal in; two blocks, so that
    # AddressSanitizer sees where each of them ends. Owner: this object.
    cdef uint8_t* slots
    cdef Arena arena
    # Whether something that is queued lies in a slot.
    cdef bint slots_queued
    cdef Inbox* inbox
    # Where the datagram that is being handled came to, if its port is everywhere.
    cdef Arrival arrival
    cdef Outbox* outbox

    def __cinit__(self):
        self.epoll = -1
        cdef uint8_t* memory = <uint8_t*>PyMem_Malloc(ARENA_SIZE)
        if memory is NULL:
            raise MemoryError
        open_arena(&self.arena, memory, ARENA_SIZE)
        self.slots = <uint8_t*>PyMem_Malloc(BATCH * SLOT_SIZE)
        self.inbox = <Inbox*>PyMem_Malloc(sizeof(Inbox))
        self.outbox = <Outbox*>PyMem_Malloc(sizeof(Outbox))
        if self.slots is NULL or self.inbox is NULL or self.outbox is NULL:
            raise MemoryError
        open_inbox(self.inbox, self.slots, SLOT_SIZE)
        memset(self.outbox, 0, sizeof(Outbox))

    def __init__(
        self,
        loop,
        resolver,
        *,
        address_filter=None,
        verdict_on=None,
        find_way=None,
        double timeout=300.0,
        Py_ssize_t capacity=4096,
        Py_ssize_t capacity_per_client=0,
        Py_ssize_t capacity_per_user=0,
        client_of=None,
        limit_hit=None,
        dropped=None,
        double names_kept=60.0,
        double longest_wait=10.0,
        double patience=15.0,
        local_addresses=(),
        meter_of=None,
        began=None,
        over=None,
    ):
        self.loop = loop
        self.resolver = resolver
        self.set(address_filter, verdict_on, find_way, meter_of, began, over)
        self.timeout = timeout
        self.interval = min(SWEEP_INTERVAL, timeout / 4)
        self.limit_hit = limit_hit
        self.client_of = client_of
        self.dropped = dropped
        self.untold = {}
        self.names_kept = names_kept
        self.longest_wait = longest_wait
        self.patience = patience
        self.table = AssociationTable(capacity, capacity_per_client, capacity_per_user)
        self.counters = DatagramCounters(self.table)
        self.tasks = set()
        self.serving = []
        self.local = {AF_INET: "0.0.0.0", AF_INET6: "::"}
        for host in local_addresses:
            self.local[AF_INET6 if ":" in host else AF_INET] = host
        self.targets = {}
        self.ports = {}
        self.connected = {}
        self.faults = {}
        self.epoll = epoll_create1(EPOLL_CLOEXEC)
        if self.epoll < 0:
            raise OSError(errno, os.strerror(errno))
        loop.add_reader(self.epoll, self._poll)

    def __dealloc__(self):
        if self.epoll >= 0:
            close(self.epoll)
        if self.slots is not NULL and self.inbox is not NULL:
            close_inbox(self.inbox)
        if self.arena.memory is not NULL:
            close_arena(&self.arena)
        PyMem_Free(self.arena.memory)
        PyMem_Free(self.slots)
        PyMem_Free(self.inbox)
        PyMem_Free(self.outbox)

    def serve(self, sock, PacketCodec packets not None):
        """Serve Shadowsocks clients at `sock`; see the twin."""
        cdef ShadowsocksPort port = ShadowsocksPort.__new__(ShadowsocksPort)
        port.packets = packets
        self.open_shared(port, sock, self.find_way)

    def forward(self, sock, target not None, find_way=None):
        """Forward whatever comes to `sock` to a fixed target; see the twin."""
        cdef ForwardPort port = ForwardPort.__new__(ForwardPort)
        port.target = target.wire
        if not target.is_name:
            name_of_wire(&port.target_name, <const uint8_t*>PyBytes_AS_STRING(port.target))
        self.open_shared(port, sock, find_way)

    cdef int open_shared(self, SharedPort port, sock, find_way) except -1:
        port.find_way = find_way
        try:
            port.everywhere = watch_arrivals(sock)
            port.open(self, sock)
        except BaseException:
            sock.close()
            raise
        self.serving.append(port)
        return 0

    def associate(self, sock, client, int port, packet_way, user=None):
        """Relay for one SOCKS client at `sock`; see the twin."""
        cdef SocksPort facing = SocksPort.__new__(SocksPort)
        cdef Association association = Association(self, facing)
        association.user = user
        facing.association = association
        try:
            _name_of(&facing.expected, client, port)
            facing.learned = port != 0
            association.client = facing.expected
            facing.open(self, sock)
            if packet_way is not None:
                association.packet_way = CurrentWay(association, None)
                association.packet_way.lead(packet_way)
            elif self.find_way is not None:
                association.packet_way = CurrentWay(association, self.find_way)
        except BaseException:
            facing.shut()
            sock.close()
            raise
        self.admit(association)
        return association

    def stop_serving(self):
        """Close the sockets of :meth:`serve` and :meth:`forward`, and what answers through them."""
        cdef SharedPort port
        cdef Association association
        self.flush()
        for association in list(self.table.entries):
            if isinstance(association.facing, SharedPort):
                association.end_by_itself()
        for port in self.serving:
            port.shut()
        self.serving.clear()

    def close(self):
        """Close everything."""
        cdef Association association
        self.stop_serving()
        for association in list(self.table.entries):
            association.end_by_itself()
        for task in self.tasks:
            task.cancel()
        if self.sweeping is not None:
            self.sweeping.cancel()
            self.sweeping = None
        if self.telling is not None:
            self.telling.cancel()
            self._tell()
        if self.epoll >= 0:
            self.loop.remove_reader(self.epoll)
            close(self.epoll)
            self.epoll = -1

    def change(self, *, address_filter, verdict_on, find_way, meter_of, began, over):
        """Have others decide from now on; see the twin."""
        self.set(address_filter, verdict_on, find_way, meter_of, began, over)
        for port in self.serving:
            (<SharedPort>port).find_way = find_way
        self.forget_verdicts()

    cdef int set(
        self, address_filter, verdict_on, find_way, meter_of, began, over
    ) except -1:
        self.address_filter = address_filter
        self.verdict_on = verdict_on
        self.canonical_names = address_filter is not None or verdict_on is not None
        self.find_way = find_way
        self.meter_of = meter_of
        self.began = began
        self.over = over
        return 0

    def forget_verdicts(self):
        """Ask about all targets again; see the twin."""
        cdef Association association
        self.targets.clear()
        for association in self.table.entries:
            association.forget_verdicts()

    def _poll(self):
        cdef epoll_event events[EVENT_BATCH]
        cdef int rounds = ROUNDS, count, i
        cdef object port
        self.time = <int64_t>time.time()
        while rounds:
            rounds -= 1
            count = epoll_wait(self.epoll, events, EVENT_BATCH, 0)
            if count <= 0:
                break
            for i in range(count):
                port = self.ports.get(events[i].data.u64)
                if port is None:
                    continue
                try:
                    (<Port>port).readable()
                except OSError:
                    # No random bytes, say: what is left of the batch is lost.
                    self.count_drop("not-sent")
                except Exception as error:
                    self.loop.call_exception_handler(
                        {"message": "relaying datagrams failed", "exception": error}
                    )
            self.flush()

    cdef int admit(self, Association association) except -1:
        """Count an association in, and end others where it is one too many."""
        cdef Association gone
        association.client_id = association.client_host
        if self.client_of is not None:
            association.client_id = self.client_of(association.client_id)
        while True:
            found = self.table.in_the_way(association.client_id, association.user)
            if found is None:
                break
            gone, cap, whose = found
            gone.end_by_itself()
            if self.limit_hit is not None:
                self.limit_hit(cap, whose)
        self.table.add(association, association.client_id, association.user)
        if self.meter_of is not None:
            association.use(self.meter_of(association.user))
        self.counters.associations = len(self.table.entries)
        if self.began is not None:
            self.began(association)
        if self.sweeping is None:
            self.sweeping = self.loop.call_later(self.interval, self._sweep)
        return 0

    cdef int forget(self, Association association) except -1:
        """Count an association out."""
        if association.waiting:
            self.counters.dropped["closed"] += association.waiting
        self.table.remove(association)
        self.counters.associations = len(self.table.entries)
        if association.meter is not None:
            association.meter.end()
        if self.over is not None:
            self.over(association)
        return 0

    def _sweep(self):
        cdef double limit = now() - self.timeout
        cdef double session_limit = min(limit, now() - SHORTEST_SESSION)
        cdef Association association
        self.sweeping = None
        for association in self.table.idle_since(limit):
            if association.session is None or association.touched < session_limit:
                association.end_by_itself()
        if self.table.entries:
            self.sweeping = self.loop.call_later(self.interval, self._sweep)

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


cdef int _name_of(Name* name, str host, int port) except -1:
    cdef bytes wire = Address.of(host, port).wire
    name_of_wire(name, <const uint8_t*>PyBytes_AS_STRING(wire))
    return 0


cdef Packet packet_in_arena(DatagramEngine engine, bytes address, bytes payload) except *:
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
