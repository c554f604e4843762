cdef class Stored:
    cdef readonly bytes wire
    cdef public str _host
    cdef public object _ip
