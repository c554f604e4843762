from ._reader cimport Reader


cdef enum:
    INCOMPLETE = 0
    UNKNOWN_TYPE = -1
    EMPTY_NAME = -2
    NUL_IN_NAME = -3

    LARGEST_ADDRESS = 1 + 1 + 255 + 2


# Size in bytes of the ATYP ADDR PORT header ahead (7..259), or one of the above.
cdef Py_ssize_t header_size(const Reader* reader) noexcept nogil

# The Address ahead, which the reader then has behind it, or None while it is incomplete.
# Raises as read_address does.
cdef object take_address(Reader* reader)
