cdef class Fields:
    cdef readonly bytes wire
    cdef public str _host
    cdef public object _ip
