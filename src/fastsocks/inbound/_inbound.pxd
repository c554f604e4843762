# See _inbound_py.py for what each is for.

cdef class Inbound:
    cdef readonly bint silent
    cdef readonly bint cuts_answers
    cdef readonly bint tells_address
    cdef readonly bint short_replies

    cpdef object begin(self, object accepted)
    cpdef object receive(self, object data)
    cpdef bytes take_outgoing(self)
    cpdef bytes connected(self, object bound)
    cpdef bytes failed(self, object error)
    # The properties `pending`, `codec` and `user`.
    cdef object awaited(self)
    cdef object relayed_by(self)
    cdef object logged_in(self)


cdef class Inbounds:
    cdef readonly bint needs_no_byte
    cdef readonly object is_front

    cpdef Inbound inbound(self, object accepted)


# What makes Inbounds, as set-up wants it: `role` itself, if it is compiled.
cdef Inbounds adapted(object role)
# The same of an Inbound.
cdef Inbound adapted_inbound(object role)
