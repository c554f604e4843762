from libc.stdint cimport int64_t, uint8_t, uint64_t

from fastsocks.net._datagrams cimport BATCH, Inbox, Name, Outbox
from fastsocks.shadowsocks._packets cimport SEAL_HEADROOM, PacketCodec, PacketSession

cdef enum:
    SLOT_SIZE = 0x10000
    # In front of a datagram: what sealing it may need there.
    SLOT_HEADROOM = ((SEAL_HEADROOM + 63) >> 6) << 6
    ARENA_SIZE = BATCH * SLOT_SIZE


cdef class DatagramCounters:
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
    cdef set tasks
    # The address to send to targets from, by family.
    cdef dict local
    # Wire forms of allowed IP targets, as given and as they are dialed.
    cdef dict targets
    # What of a name's addresses was chosen, and from which answer, by its wire form.
    cdef dict names
    cdef dict ports
    cdef dict faults
    cdef uint64_t serial
    # How often associations were used so far.
    cdef uint64_t uses
    cdef int epoll
    # Unix time in seconds, read once for a batch.
    cdef int64_t time
    # Slots to receive into, and behind them the arena. Owner: this object.
    cdef uint8_t* memory
    cdef uint8_t* arena
    cdef Py_ssize_t arena_used
    # Whether something that is queued lies in a slot.
    cdef bint slots_queued
    cdef Inbox* inbox
    cdef Outbox* outbox

    cdef uint8_t* room(self, Py_ssize_t size) noexcept
    cdef int commit(self, Py_ssize_t size) noexcept
    cdef int flush(self) noexcept
    cdef int touch(self, Association association) noexcept
    cdef int send_queued(self) noexcept
    cdef int not_sent(self, uint64_t count) noexcept
    cdef int drop(self, str reason) except -1
    cdef int drop_fault(self, Py_ssize_t fault) except -1
    cdef bytes check(self, Association association, address, resolved)
    cdef bytes choose(self, Association association, name, infos)
    cdef int admit(self, Association association) except -1
    cdef int forget(self, Association association) except -1


cdef class Port:
    cdef EngineBase engine
    cdef object sock
    # -1 once it is closed.
    cdef int fd
    cdef uint64_t token

    cdef int open(self, EngineBase engine, object sock) except -1
    cdef int shut(self) except -1
    cdef int take(self, const Name* source, uint8_t* data, Py_ssize_t size) except -1
    cdef int readable(self) except -1


cdef class ServingPort(Port):
    cdef PacketCodec packets
    cdef dict by_source
    cdef Name latest_source
    cdef Association latest

    cdef Association find(self, const Name* source)
    cdef Association begin(self, const Name* source, PacketSession session)


cdef class OutgoingPort(Port):
    cdef Association association


cdef class TunnelPort(Port):
    cdef Association association
    cdef PacketCodec packets


cdef class ClientPort(Port):
    cdef Association association
    # Where datagrams are accepted from; with port 0 the first one decides.
    cdef Name expected
    cdef bint learned
    cdef object reassembler

    cdef bint comes_from_client(self, const Name* source) noexcept
    cdef int learn(self, const Name* source) except -1
    cdef int take_fragment(self, const Name* source, const uint8_t* data, Py_ssize_t size) except -1


cdef class Association:
    #: Called once if it ends by itself, and not by :meth:`close`.
    cdef public object ended
    cdef readonly object user
    #: Payload so far, in bytes.
    cdef readonly uint64_t bytes_up
    cdef readonly uint64_t bytes_down
    cdef EngineBase engine
    # The client's side: one of both.
    cdef ServingPort serving
    cdef ClientPort client_port
    cdef PacketSession session
    cdef bytes source_key
    # Where answers go.
    cdef Name client
    # The target's side: a tunnel, or sockets that are opened when they are needed.
    cdef TunnelPort tunnel
    cdef OutgoingPort outgoing_v4
    cdef OutgoingPort outgoing_v6
    # The target of the last datagram, in its wire form and resolved.
    cdef uint8_t latest_wire[19]
    cdef Py_ssize_t latest_size
    cdef Name latest_target
    # When it was last used, by the clock of now().
    cdef double touched
    # The same as a number, each its own.
    cdef uint64_t use
    # Where the engine has a judge: its `targets` and `names`, of this association alone.
    cdef dict targets
    cdef dict names
    # Datagrams that wait for a name.
    cdef int waiting
    cdef bint closed

    cdef int end(self) except -1
    cdef int end_by_itself(self) except -1
    cdef int forward(
        self, const uint8_t* address, Py_ssize_t address_size, uint8_t* payload, Py_ssize_t size
    ) except -1
    cdef bint may_pass(self, const uint8_t* wire, Py_ssize_t wire_size) except -1
    cdef bint judged(self, address, resolved) except -1
    cdef int send_to_latest(self, uint8_t* payload, Py_ssize_t size) except -1
    cdef OutgoingPort open_outgoing(self, int family)
    cdef bint find_target(
        self, const uint8_t* wire, Py_ssize_t wire_size, const uint8_t* payload, Py_ssize_t size
    ) except -1
    cdef int resolve(self, object address, bytes payload) except -1
    cdef int resolved(self, address, list infos, bytes payload) except -1
    cdef int backward(
        self, uint8_t* address, Py_ssize_t address_size, uint8_t* payload, Py_ssize_t size
    ) except -1


cdef bytes key_of(const Name* name)
