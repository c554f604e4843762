# Whether a name is in its one form: lower case, no A-label, and no number at its end.
cdef bint is_plain(const unsigned char* name, Py_ssize_t size) noexcept nogil

# The Address with its host name in its one form: itself where there is nothing to change.
# Raises HostNameError.
cpdef object canonical(object address)
