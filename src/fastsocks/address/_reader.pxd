# The one way to read wire bytes in Cython: a position that cannot pass its end.
# Raw pointer arithmetic on input belongs here and nowhere else.


cdef struct Reader:
    # Borrowed: whoever made the reader keeps the bytes in place while it is used.
    const unsigned char* pos
    const unsigned char* end


cdef inline Reader reader_over(const unsigned char* data, Py_ssize_t size) noexcept nogil:
    cdef Reader reader
    reader.pos = data
    reader.end = data + (size if size > 0 else 0)
    return reader


cdef inline Py_ssize_t left(const Reader* reader) noexcept nogil:
    return reader.end - reader.pos


# The byte `offset` bytes ahead, or -1 where there is none. Moves nothing.
cdef inline int peek(const Reader* reader, Py_ssize_t offset) noexcept nogil:
    if offset < 0 or offset >= reader.end - reader.pos:
        return -1
    return reader.pos[offset]


# The next `size` bytes, which the reader then has behind it; NULL where there are fewer.
cdef inline const unsigned char* take(Reader* reader, Py_ssize_t size) noexcept nogil:
    cdef const unsigned char* start = reader.pos
    if size < 0 or size > reader.end - reader.pos:
        return NULL
    reader.pos = start + size
    return start
