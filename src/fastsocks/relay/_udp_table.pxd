from cpython.object cimport PyObject

cimport cython


# The place of an entry in a ring, in the order of use; the ring's own, without an entry, lies
# between the newest and the oldest.
cdef struct Place:
    PyObject* entry
    Place* older
    Place* newer


cdef class Holder:
    cdef readonly str name
    cdef Py_ssize_t associations
    cdef Py_ssize_t waiting_bytes
    cdef Place ring


cdef class Entry:
    # None while it is in no table.
    cdef Holder client_holder
    # None also where users have no cap.
    cdef Holder user_holder
    cdef Place in_all
    cdef Place of_client
    cdef Place of_user
    # When it was last used, by the clock of now().
    cdef double touched
    # Its datagrams that wait for a look-up, and the memory that they take.
    cdef Py_ssize_t waiting
    cdef Py_ssize_t waiting_bytes


@cython.final
cdef class AssociationTable:
    cdef Py_ssize_t capacity
    cdef Py_ssize_t capacity_per_client
    cdef Py_ssize_t capacity_per_user
    # Owner of the entries, whose rings only borrow them.
    cdef readonly set entries
    cdef dict clients
    cdef dict users
    # Clients by how many associations they have, and the highest of these numbers.
    cdef dict by_number
    cdef Py_ssize_t most
    cdef Place ring
    cdef readonly Py_ssize_t waiting
    cdef Py_ssize_t waiting_bytes

    cpdef int add(self, Entry entry, str client, object user) except -1
    cpdef int touch(self, Entry entry) noexcept
    cpdef int remove(self, Entry entry) except -1
    cdef int count(self, Holder holder, Py_ssize_t difference) except -1
    cpdef list idle_since(self, double limit)
    cpdef bint let_wait(self, Entry entry, Py_ssize_t size) noexcept
    cpdef int release(self, Entry entry, Py_ssize_t size) noexcept
