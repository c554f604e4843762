# See _roles_py.py for what each is for.

cdef class Route:
    # None: that of the request.
    cdef readonly object address
    cdef readonly object codec
    cdef readonly double payload_wait
    cdef readonly object verdict_on
    cdef readonly object open
    cdef readonly object retry


cdef class Outbound:
    cdef readonly object dialer
    # Of the dialer; see there.
    cdef bint _plain
    cdef object _address_filter
    cdef object _associate
    cdef object _bind

    cpdef object canonical(self, object request)
    cpdef Route route(self, object request, object accepted)
    # Whether the dialer would say of an address that it is to be dialed as it is.
    cdef bint dials_at_once(self, object address, bytes wire, object verdict_on) except -1


# What leads to targets, as set-up wants it: `role` itself, if it is compiled.
cdef Outbound adapted(object role)
# The way that Route.open has made of `route`.
cdef Route route_opened(Route route, object opened)
