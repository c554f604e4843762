"""SOCKS5 messages in Cython; the twin of ``_messages_py.py``, which documents them."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer

from fastsocks.address._header cimport take_address
from fastsocks.address._reader cimport Reader, left, peek, reader_over, take

from fastsocks.errors import ProtocolError, VersionError

cdef enum:
    SOCKS = 0x05
    SUBNEGOTIATION = 0x01

# A message from `reader`, whose bytes end at offset `size`; None while it is incomplete.
ctypedef object (*Parser)(Reader* reader, Py_ssize_t size)


def read_greeting(data, Py_ssize_t start=0):
    """Read VER NMETHODS METHODS."""
    return _read(_greeting, data, start)


def read_choice(data, Py_ssize_t start=0):
    """Read VER METHOD."""
    return _read(_choice, data, start)


def read_credentials(data, Py_ssize_t start=0):
    """Read VER ULEN UNAME PLEN PASSWD."""
    return _read(_credentials, data, start)


def read_status(data, Py_ssize_t start=0):
    """Read VER STATUS."""
    return _read(_status, data, start)


def read_request(data, Py_ssize_t start=0):
    """Read VER CMD RSV ATYP DST.ADDR DST.PORT."""
    return _read(_request, data, start)


def read_reply(data, Py_ssize_t start=0):
    """Read VER REP RSV ATYP BND.ADDR BND.PORT."""
    return _read(_request, data, start)


cdef object _read(Parser parser, data, Py_ssize_t start):
    cdef Py_buffer view
    cdef Reader reader
    if start < 0:
        raise ValueError("start is negative")
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        reader = reader_over(<const unsigned char*> view.buf, view.len)
        if take(&reader, start) == NULL:
            return None
        return parser(&reader, view.len)
    finally:
        PyBuffer_Release(&view)


cdef int _check_version(const Reader* reader, int version) except -1:
    cdef int found = peek(reader, 0)
    if found >= 0 and found != version:
        raise VersionError(f"version {found:#04x} instead of {version:#04x}")
    return 0


cdef object _greeting(Reader* reader, Py_ssize_t size):
    cdef int count
    cdef const unsigned char* methods
    _check_version(reader, SOCKS)
    count = peek(reader, 1)
    if count < 0:
        return None
    if count == 0:
        raise ProtocolError("a greeting without methods")
    take(reader, 2)
    methods = take(reader, count)
    if methods == NULL:
        return None
    return methods[:count], size - left(reader)


cdef object _choice(Reader* reader, Py_ssize_t size):
    cdef const unsigned char* message
    _check_version(reader, SOCKS)
    message = take(reader, 2)
    if message == NULL:
        return None
    return message[1], size - left(reader)


cdef object _credentials(Reader* reader, Py_ssize_t size):
    cdef const unsigned char* username
    cdef const unsigned char* password
    cdef int username_size
    cdef int password_size
    _check_version(reader, SUBNEGOTIATION)
    username_size = peek(reader, 1)
    if username_size < 0:
        return None
    take(reader, 2)
    username = take(reader, username_size)
    password_size = peek(reader, 0)
    if username == NULL or password_size < 0:
        return None
    take(reader, 1)
    password = take(reader, password_size)
    if password == NULL:
        return None
    return username[:username_size], password[:password_size], size - left(reader)


cdef object _status(Reader* reader, Py_ssize_t size):
    cdef const unsigned char* message = take(reader, 2)
    if message == NULL:
        return None
    return message[1], size - left(reader)


cdef object _request(Reader* reader, Py_ssize_t size):
    cdef const unsigned char* head
    _check_version(reader, SOCKS)
    head = take(reader, 3)
    if head == NULL:
        return None
    address = take_address(reader)
    if address is None:
        return None
    return head[1], address, size - left(reader)
