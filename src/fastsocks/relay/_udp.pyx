# cython: boundscheck=False, wraparound=False
"""The UDP relay on raw descriptors, in batches (Linux).

The twin of ``_udp_py.py``; ``_udp_associations.pyx`` says what happens to a datagram. The event loop
watches one epoll descriptor for all sockets of an engine.
"""

import os
import time

from cpython.bytes cimport PyBytes_AS_STRING
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.errno cimport errno
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memset

from fastsocks.net._arena cimport close_arena, open_arena
from fastsocks.net._datagrams cimport (
    BATCH,
    Inbox,
    Name,
    Outbox,
    close_inbox,
    name_of_wire,
    open_inbox,
)
from fastsocks.net._epoll cimport (
    AF_INET,
    AF_INET6,
    EPOLL_CLOEXEC,
    close,
    epoll_create1,
    epoll_event,
    epoll_wait,
)
from fastsocks.net._sockets cimport now
from fastsocks.relay._udp_associations cimport (
    Association,
    ClientPort,
    ServingPort,
)
from fastsocks.relay._udp_ports cimport (
    ARENA_SIZE,
    SLOT_SIZE,
    AssociationBase,
    EngineBase,
    Port,
)
from fastsocks.relay._udp_table cimport AssociationTable
from fastsocks.relay._udp_packet_way cimport new_current_way
from fastsocks.shadowsocks._packets cimport PacketCodec

from fastsocks.address import Address
from fastsocks.net import watch_arrivals
from fastsocks.relay._udp_ports import DatagramCounters

cdef enum:
    EVENT_BATCH = 64
    # What has come in the meantime is handled without going back to the event loop, so often.
    ROUNDS = 4

# Seconds between two looks for idle associations, at most.
cdef double SWEEP_INTERVAL = 15.0
# SIP022 3.2.4 wants sessions to live at least this long, in seconds.
cdef double SHORTEST_SESSION = 60.0


cdef class DatagramEngine(EngineBase):
    """Relays datagrams on one event loop; see the twin in ``_udp_py.py`` for its parameters."""

    cdef double _timeout
    cdef double _interval
    cdef object _sweeping
    cdef object _began
    cdef object _over
    cdef object _limit_hit
    cdef list _serving

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
        permit=None,
        judge=None,
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
        began=None,
        over=None,
    ):
        self._began = began
        self._over = over
        self.loop = loop
        self.resolver = resolver
        self.permit = permit
        self.judge = judge
        self.decides = permit is not None or judge is not None
        self.find_way = find_way
        self._timeout = timeout
        self._interval = min(SWEEP_INTERVAL, timeout / 4)
        self._limit_hit = limit_hit
        self.client_of = client_of
        self.dropped = dropped
        self.untold = {}
        self.names_kept = names_kept
        self.longest_wait = longest_wait
        self.patience = patience
        self.table = AssociationTable(capacity, capacity_per_client, capacity_per_user)
        self.counters = DatagramCounters(self.table)
        self.tasks = set()
        self._serving = []
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
        cdef ServingPort port = ServingPort.__new__(ServingPort)
        port.packets = packets
        port.by_source = {}
        try:
            port.everywhere = watch_arrivals(sock)
            port.open(self, sock)
        except BaseException:
            sock.close()
            raise
        self._serving.append(port)

    def associate(self, sock, client, int port, packet_way, user=None):
        """Relay for one SOCKS client at `sock`; see the twin."""
        cdef Association association = Association.__new__(Association)
        cdef ClientPort facing = ClientPort.__new__(ClientPort)
        association.engine = self
        association.user = user
        association.client_port = facing
        facing.association = association
        try:
            _name_of(&facing.expected, client, port)
            facing.learned = port != 0
            association.client = facing.expected
            facing.open(self, sock)
            if packet_way is not None or self.find_way is not None:
                association.packet_way = new_current_way(association)
            if packet_way is not None:
                association.packet_way.finds = False
                association.packet_way.lead(packet_way)
        except BaseException:
            facing.shut()
            sock.close()
            raise
        self.admit(association)
        return association

    def stop_serving(self):
        """Close the sockets given to :meth:`serve`, and end who can be answered by them only."""
        cdef ServingPort port
        cdef Association association
        self.flush()
        for association in list(self.table.entries):
            if association.serving is not None:
                association.end_by_itself()
        for port in self._serving:
            port.shut()
        self._serving.clear()

    def close(self):
        """Close everything."""
        cdef Association association
        self.stop_serving()
        for association in list(self.table.entries):
            association.end_by_itself()
        for task in self.tasks:
            task.cancel()
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        if self.telling is not None:
            self.telling.cancel()
            self._tell()
        if self.epoll >= 0:
            self.loop.remove_reader(self.epoll)
            close(self.epoll)
            self.epoll = -1

    def decide_anew(self):
        """Ask about all targets again; see the twin."""
        cdef Association association
        self.targets.clear()
        for association in self.table.entries:
            association.decide_anew()

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

    cdef int admit(self, AssociationBase association) except -1:
        """Count an association in, and end others where it is one too many."""
        cdef AssociationBase gone
        association.client_id = association.client_host
        if self.client_of is not None:
            association.client_id = self.client_of(association.client_id)
        while True:
            found = self.table.in_the_way(association.client_id, association.user)
            if found is None:
                break
            gone, cap, whose = found
            gone.end_by_itself()
            if self._limit_hit is not None:
                self._limit_hit(cap, whose)
        self.table.add(association, association.client_id, association.user)
        self.counters.associations = len(self.table.entries)
        if self._began is not None:
            self._began(association)
        if self._sweeping is None:
            self._sweeping = self.loop.call_later(self._interval, self._sweep)
        return 0

    cdef int forget(self, AssociationBase association) except -1:
        if association.waiting:
            self.counters.dropped["closed"] += association.waiting
        self.table.remove(association)
        self.counters.associations = len(self.table.entries)
        if self._over is not None:
            self._over(association)
        return 0

    def _sweep(self):
        cdef double limit = now() - self._timeout
        cdef double session_limit = min(limit, now() - SHORTEST_SESSION)
        cdef Association association
        self._sweeping = None
        for association in self.table.idle_since(limit):
            if association.session is None or association.touched < session_limit:
                association.end_by_itself()
        if self.table.entries:
            self._sweeping = self.loop.call_later(self._interval, self._sweep)


cdef int _name_of(Name* name, str host, int port) except -1:
    cdef bytes wire = Address.of(host, port).wire
    name_of_wire(name, <const uint8_t*>PyBytes_AS_STRING(wire))
    return 0
