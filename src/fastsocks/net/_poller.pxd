from libc.stdint cimport uint32_t, uint64_t

# What is called when a watched descriptor is ready: with what was added, 0 or 1 for which of
# its two descriptors, and the events of epoll.
ctypedef int (*Handler)(object owner, int end, uint32_t events) except -1

cdef struct Slot:
    # A strong reference; NULL where the slot is free.
    void* owner
    Handler handler
    # Tells the tokens apart that one slot has had.
    uint32_t generation
    int next_free


cdef class Poller:
    cdef object _loop
    cdef int _epoll
    # Owner: this object.
    cdef Slot* _slots
    cdef int _room
    cdef int _free
    cdef int _used
    cdef bint _held

    # The token of a new member.
    cdef uint64_t add(self, object owner, Handler handler) except 0
    # Has the same token call something else from now on.
    cdef int pass_on(self, uint64_t token, object owner, Handler handler) except -1
    # Ends what `add` began; its descriptors must be closed, or taken out by `unwatch`.
    cdef int remove(self, uint64_t token) except -1
    cdef int watch(self, uint64_t token, int end, int fd, uint32_t events) except -1
    # The same for one that is watched already; what is ready now is told again.
    cdef int watch_again(self, uint64_t token, int end, int fd, uint32_t events) except -1
    cdef int unwatch(self, int fd) except -1
    # The same for one that may not be watched at all.
    cdef void forget(self, int fd) noexcept
    # Between the two the poller stays ready though it has no member.
    cdef int hold(self) except -1
    cdef int release(self) except -1
    cdef int _open(self) except -1
    cdef int _shut(self) except -1
    cdef int _grow(self) except -1
