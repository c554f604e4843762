from libc.stdint cimport int64_t, uint8_t, uint64_t

from fastsocks.crypto._room cimport Room
from fastsocks.net._arena cimport Arena
from fastsocks.net._datagrams cimport BATCH, Arrival, Inbox, Name, Outbox
from fastsocks.relay._udp_table cimport AssociationTable, Entry
from fastsocks.shadowsocks._packets cimport SEAL_HEADROOM, Packet, PacketCodec

# What an engine's judge says of a target.
cdef enum Way:
    FORBIDDEN
    BY_SERVERS
    DIRECT

cdef enum:
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


cdef class DatagramCounters:
    cdef AssociationTable table
    cdef readonly uint64_t associations
    cdef readonly uint64_t packets_up
    cdef readonly uint64_t packets_down
    cdef readonly uint64_t bytes_up
    cdef readonly uint64_t bytes_down
    #: Datagrams dropped, by reason.
    cdef readonly object dropped


cdef class EngineBase:
    cdef readonly DatagramCounters counters
    cdef object loop
    cdef object resolver
    cdef object permit
    cdef object judge
    # Whether anybody decides on targets, so that their names need to have one form.
    cdef bint decides
    # Whether every association has a way through servers, and how that is found.
    cdef object find_way
    # What is told of drops, and what it was not told yet: how many by reason and client.
    cdef object dropped
    cdef dict untold
    cdef object telling
    # Not before then, by the clock of now().
    cdef double tells_after
    # Whether the guard refused, since that was last set to False.
    cdef bint guarded
    cdef set tasks
    cdef AssociationTable table
    # Returns what counts as one client, of an IP address.
    cdef object client_of
    # Seconds for which an address of a name is kept without answers, and for which a datagram
    # waits for a look-up at most.
    cdef double names_kept
    cdef double longest_wait
    # Seconds for which a packet way that has answered may stay silent.
    cdef double patience
    # The address to send to targets from, by family.
    cdef dict local
    # Wire forms of allowed IP targets, as given and as they are dialed.
    cdef dict targets
    cdef dict ports
    # Ports of connected sockets, which ICMP speaks of, by descriptor.
    cdef dict connected
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

    cdef int begin(self) noexcept
    cdef Room room(self, Py_ssize_t size) except *
    cdef int keep(self, const uint8_t* end) noexcept
    cdef int flush(self) noexcept
    cdef int send_queued(self) noexcept
    cdef int tell_refused(self) noexcept
    cdef int not_sent(self, uint64_t count) noexcept
    cdef int drop(self, str reason, const Name* client) except -1
    cdef int drop_fault(self, Py_ssize_t fault, const Name* client) except -1
    cdef int count_drop(self, str reason) except -1
    cdef int tell_of(self, str reason, const Name* client, uint64_t count) except -1
    cdef bytes check(self, AssociationBase association, address, resolved)
    cdef bytes choose(self, AssociationBase association, name, infos, bint* routed)
    cdef int admit(self, AssociationBase association) except -1
    cdef int forget(self, AssociationBase association) except -1


cdef class Port:
    cdef EngineBase engine
    cdef object sock
    # -1 once it is closed.
    cdef int fd
    cdef uint64_t token
    # Whether it is bound to every address, and tells to which one of them a datagram came.
    cdef bint everywhere

    cdef int open(self, EngineBase engine, object sock) except -1
    cdef int shut(self) except -1
    cdef int refused(self, int error) except -1
    cdef int take(self, const Name* source, uint8_t* data, Py_ssize_t size) except -1
    cdef int readable(self) except -1


cdef class AssociationBase(Entry):
    cdef readonly object user
    #: Payload so far, in bytes.
    cdef readonly uint64_t bytes_up
    cdef readonly uint64_t bytes_down
    cdef EngineBase engine
    # Where answers go.
    cdef Name client
    # When a target last answered, by the clock of now().
    cdef double answered
    # What counts as one client, by the address that it began with.
    cdef str client_id
    cdef bint closed

    cdef int sent(self, Py_ssize_t size) noexcept
    cdef int drop(self, str reason) except -1
    cdef int refuse(self) except -1
    cdef int end_by_itself(self) except -1
    cdef int judged(self, address, resolved) except -1
    cdef int way_to(self, const uint8_t* wire, Py_ssize_t wire_size) except -1
    cdef int backward(self, Packet* answer) except -1


cdef class OutgoingPort(Port):
    cdef AssociationBase association


cdef Packet packet_in_arena(EngineBase engine, bytes address, bytes payload) except *
cdef bytes key_of(const Name* name)
