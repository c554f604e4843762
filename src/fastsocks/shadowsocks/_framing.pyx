# cython: boundscheck=False, wraparound=False
"""The byte streams of Shadowsocks over TCP, behind the first header: on libcrypto.

The twin of ``_framing_py.py``. The methods on raw pointers serve the relay, which
hands in its own buffers; `seal` and `open` serve everyone else.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

from fastsocks.crypto._primitives cimport TAG_SIZE, Aead, StreamCipher
from fastsocks.crypto._room cimport will_write

from fastsocks.crypto._messages import TAG_MISMATCH
from fastsocks.errors import HeaderError, TagError

cdef enum:
    _LENGTH_SIZE = 2 + TAG_SIZE
    _LARGEST_RECORD = 0xFFFF
    # The longest salt and the longest response header with its tag.
    _LARGEST_PREAMBLE = 32 + 43 + TAG_SIZE
    _BEGIN_SIZE = 128

    # What _open_records reports instead of a size.
    _BAD_TAG = -1
    _TOO_LONG = -2
    _TOO_EMPTY = -3

#: Empty records a peer may send on one connection; see ``_framing_py.py``.
EMPTY_RECORDS = 16


cdef inline void _write_nonce(uint8_t* nonce, uint64_t counter) noexcept nogil:
    cdef int i
    for i in range(LARGEST_NONCE):
        nonce[i] = <uint8_t>(counter & 0xFF)
        counter >>= 8


cdef int check_limit(Py_ssize_t limit) except -1:
    if not 1 <= limit <= _LARGEST_RECORD:
        raise ValueError(f"a limit of {limit} bytes: a record has 1 to 65535")
    return 0


# `bound` counts on it.
cdef int check_preamble(bytes preamble) except -1:
    if len(preamble) > _LARGEST_PREAMBLE:
        raise ValueError(f"a preamble of {len(preamble)} bytes, more than any method has")
    return 0


cdef class Sealer:
    """What the classes that seal one direction have in common."""

    cdef void stand_alone(self) noexcept:
        """Work in a context of libcrypto that is not others', too; see Aead.with_key."""

    cdef Py_ssize_t bound(self, Py_ssize_t size) noexcept:
        """Most bytes that sealing `size` bytes can give."""
        return size

    cdef Py_ssize_t seal_into(
        self, const uint8_t* source, Py_ssize_t size, uint8_t* target
    ) except -1:
        """Seal `size` bytes into `target`, which has room for `bound(size)`."""
        raise NotImplementedError

    def seal(self, plaintext):
        """Seal `plaintext`, of any size; returns the bytes to send, none for an empty one."""
        cdef Py_buffer view
        cdef Py_ssize_t sealed
        cdef bytes out
        PyObject_GetBuffer(plaintext, &view, PyBUF_SIMPLE)
        try:
            if view.len == 0:
                return b""
            out = PyBytes_FromStringAndSize(NULL, self.bound(view.len))
            sealed = self.seal_into(
                <const uint8_t*>view.buf, view.len, <uint8_t*>PyBytes_AS_STRING(out)
            )
            return out[:sealed]
        finally:
            PyBuffer_Release(&view)


cdef class RecordSealer(Sealer):
    """Seals one direction into length-prefixed AEAD records (SIP004, SIP022).

    The parameters are those of the twin in ``_framing_py.py``.
    """

    def __init__(
        self,
        Aead aead not None,
        Py_ssize_t nonce_size,
        Py_ssize_t limit,
        *,
        uint64_t counter=0,
        bytes preamble not None=b"",
        opening=None,
    ):
        check_limit(limit)
        check_preamble(preamble)
        self._aead = aead
        self._limit = limit
        self._counter = counter
        self._preamble = preamble
        self._opening = opening

    cdef void stand_alone(self) noexcept:
        if self._aead is not None:
            self._aead.stand_alone()

    cdef Py_ssize_t bound(self, Py_ssize_t size) noexcept:
        cdef Py_ssize_t records = (size + self._limit - 1) // max(self._limit, 1)
        return _LARGEST_PREAMBLE + size + records * (_LENGTH_SIZE + TAG_SIZE)

    cdef Py_ssize_t seal_into(
        self, const uint8_t* source, Py_ssize_t size, uint8_t* target
    ) except -1:
        cdef bytes preamble = self._preamble
        cdef bint bare = False
        cdef Py_ssize_t start = 0, sealed
        if self._aead is None:
            raise TypeError("a sealer without a cipher")
        if size == 0:
            return 0
        if self._opening is not None:
            preamble = self._opening(min(size, self._limit))
            self._opening = None
            bare = True
            check_preamble(preamble)
        if preamble is not None:
            start = len(preamble)
            memcpy(target, PyBytes_AS_STRING(preamble), start)
            self._preamble = None
        sealed = self._seal_records(source, size, target + start, bare)
        if sealed < 0:
            raise MemoryError("libcrypto could not seal a record")
        return start + sealed

    cdef int _seal_one(
        self, const uint8_t* source, Py_ssize_t size, uint8_t* target
    ) noexcept nogil:
        cdef uint8_t nonce[LARGEST_NONCE]
        _write_nonce(nonce, self._counter)
        self._counter = self._counter + 1
        return self._aead.seal_raw(nonce, source, size, target)

    cdef Py_ssize_t _seal_records(
        self, const uint8_t* source, Py_ssize_t size, uint8_t* target, bint bare
    ) noexcept nogil:
        cdef Py_ssize_t start = 0, position = 0, length
        cdef uint8_t prefix[2]
        while start < size:
            length = min(self._limit, size - start)
            if not bare:
                prefix[0] = <uint8_t>(length >> 8)
                prefix[1] = <uint8_t>(length & 0xFF)
                if self._seal_one(prefix, 2, target + position) < 0:
                    return -1
                position += _LENGTH_SIZE
            bare = False
            if self._seal_one(source + start, length, target + position) < 0:
                return -1
            position += length + TAG_SIZE
            start += length
        return position


cdef class StreamSealer(Sealer):
    """Encrypts one direction with a running stream cipher."""

    def __cinit__(self, StreamCipher cipher not None, bytes preamble not None=b""):
        check_preamble(preamble)
        self._cipher = cipher
        self._preamble = preamble

    cdef Py_ssize_t bound(self, Py_ssize_t size) noexcept:
        return _LARGEST_PREAMBLE + size

    cdef Py_ssize_t seal_into(
        self, const uint8_t* source, Py_ssize_t size, uint8_t* target
    ) except -1:
        cdef Py_ssize_t start = 0
        if size == 0:
            return 0
        if self._preamble is not None:
            start = len(self._preamble)
            memcpy(target, PyBytes_AS_STRING(self._preamble), start)
            self._preamble = None
        if self._cipher.update_raw(source, size, target + start) < 0:
            raise MemoryError("libcrypto could not encrypt")
        return start + size


cdef class Opener:
    """What the classes that open one direction have in common."""

    cdef void stand_alone(self) noexcept:
        """Work in a context of libcrypto that is not others', too; see Aead.with_key."""

    cdef Py_ssize_t wants(self) noexcept:
        """Bytes without which open_into cannot get anywhere."""
        return 1

    cdef bint halfway(self) noexcept:
        """Whether a record's length was read, but not yet its payload."""
        return False

    cdef Py_ssize_t open_into(
        self, const uint8_t* source, Py_ssize_t size, uint8_t* target, Py_ssize_t* used
    ) except -1:
        """Open what is complete into `target`, which has room for `size` bytes.

        Returns the size of the plaintext; `used` tells how much of `source` it cost.
        """
        raise NotImplementedError

    @property
    def inside(self):
        """Whether a record's length was read, but not yet its payload."""
        return self.halfway()

    @property
    def wanted(self):
        """How many bytes the next call of :meth:`open` needs to get anywhere."""
        return self.wants()

    def open(self, const uint8_t[::1] data not None):
        """Open what is complete; returns the plaintext and how much of `data` it cost."""
        cdef Py_ssize_t used = 0, size = data.shape[0]
        if size == 0:
            return b"", 0
        cdef bytes out = PyBytes_FromStringAndSize(NULL, size)
        cdef Py_ssize_t opened = self.open_into(
            &data[0], size, <uint8_t*>PyBytes_AS_STRING(out), &used
        )
        return out[:opened], used


cdef class RecordOpener(Opener):
    """Opens one direction's AEAD records (SIP004, SIP022).

    The parameters are those of the twin in ``_framing_py.py``.
    """

    def __cinit__(self):
        self._length = -1

    def __init__(
        self,
        Aead aead not None,
        Py_ssize_t nonce_size,
        Py_ssize_t limit,
        *,
        uint64_t counter=0,
        Py_ssize_t length=-1,
        int empty_records=0,
    ):
        check_limit(limit)
        self._aead = aead
        self._limit = limit
        self._counter = counter
        self._length = length
        self._empty_records = empty_records

    @property
    def counter(self):
        """The next nonce."""
        return self._counter

    cdef void stand_alone(self) noexcept:
        if self._aead is not None:
            self._aead.stand_alone()

    cdef bint halfway(self) noexcept:
        return self._length >= 0

    cdef Py_ssize_t wants(self) noexcept:
        return _LENGTH_SIZE if self._length < 0 else self._length + TAG_SIZE

    cdef Py_ssize_t open_into(
        self, const uint8_t* source, Py_ssize_t size, uint8_t* target, Py_ssize_t* used
    ) except -1:
        cdef Py_ssize_t opened
        if self._aead is None:
            raise TypeError("an opener without a cipher")
        opened = self._open_records(source, size, target, used)
        if opened == _BAD_TAG:
            raise TagError(TAG_MISMATCH)
        if opened == _TOO_LONG:
            raise HeaderError(
                f"a record of {self._length} bytes, where {self._limit} is the most"
            )
        if opened == _TOO_EMPTY:
            raise HeaderError("too many empty records")
        return opened

    cdef int _open_one(
        self, const uint8_t* source, Py_ssize_t size, uint8_t* target
    ) noexcept nogil:
        cdef uint8_t nonce[LARGEST_NONCE]
        _write_nonce(nonce, self._counter)
        if self._aead.open_raw(nonce, source, size, target) < 0:
            return -1
        self._counter = self._counter + 1
        return 0

    cdef Py_ssize_t _open_records(
        self, const uint8_t* source, Py_ssize_t size, uint8_t* target, Py_ssize_t* used
    ) noexcept nogil:
        cdef Py_ssize_t position = 0, produced = 0, end
        cdef uint8_t prefix[2]
        while True:
            if self._length < 0:
                if size - position < _LENGTH_SIZE:
                    break
                if self._open_one(source + position, _LENGTH_SIZE, prefix) < 0:
                    return _BAD_TAG
                position += _LENGTH_SIZE
                self._length = (prefix[0] << 8) | prefix[1]
                if self._length > self._limit:
                    return _TOO_LONG
                if self._length == 0:
                    self._empty_records = self._empty_records - 1
                    if self._empty_records < 0:
                        return _TOO_EMPTY
            end = position + self._length + TAG_SIZE
            if end > size:
                break
            if self._open_one(
                source + position, self._length + TAG_SIZE, target + produced
            ) < 0:
                return _BAD_TAG
            position = end
            produced += self._length
            self._length = -1
        used[0] = position
        return produced


cdef class StreamOpener(Opener):
    """Decrypts one direction with a running stream cipher."""

    def __cinit__(self, StreamCipher cipher not None):
        self._cipher = cipher

    cdef Py_ssize_t open_into(
        self, const uint8_t* source, Py_ssize_t size, uint8_t* target, Py_ssize_t* used
    ) except -1:
        if self._cipher.update_raw(source, size, target) < 0:
            raise MemoryError("libcrypto could not decrypt")
        used[0] = size
        return size


cdef class Codec:
    """Both directions of one Shadowsocks connection, once its first header is through.

    See the twin in ``_framing_py.py``. For the relay: `send` and `receive_raw` on raw pointers.
    """

    #: Most bytes that :meth:`begin` ever looks at.
    HEAD_SIZE = _BEGIN_SIZE

    def __init__(self):
        self.sealer = None
        self.opener = None
        self.transparent = False

    def __dealloc__(self):
        self._drop_kept()

    # The one that Cython would make reads `_kept` as text with a NUL at its end.
    def __reduce__(self):
        raise TypeError("a codec can be neither copied nor pickled")

    def begin(self, head):
        """Make the opener from the peer's first bytes; see the twin."""
        raise HeaderError("nothing may be received yet")

    @property
    def incomplete(self):
        """Whether an end of the stream now would cut a header or a record."""
        return self.cut_now()

    def seal(self, plaintext):
        """Turn `plaintext`, of any size, into what goes on the wire."""
        if self.transparent:
            return bytes(plaintext)
        if self.sealer is None:
            raise HeaderError("nothing may be sent yet")
        return self.sealer.seal(plaintext)

    def open(self, ciphertext):
        """Turn bytes from the wire into plaintext; see the twin."""
        cdef Py_buffer view
        if self.transparent:
            return bytes(ciphertext)
        PyObject_GetBuffer(ciphertext, &view, PyBUF_SIMPLE)
        try:
            return self.open_bytes(<const uint8_t*>view.buf, view.len)
        finally:
            PyBuffer_Release(&view)

    cdef bytes open_bytes(self, const uint8_t* ciphertext, Py_ssize_t size):
        cdef Py_ssize_t opened, used = 0
        cdef uint8_t* work
        cdef bytes plaintext
        if size == 0:
            return b""
        plaintext = PyBytes_FromStringAndSize(NULL, self._kept_size + size)
        if self.opener is not None and not self._kept_size:
            opened = self.opener.open_into(
                ciphertext, size, <uint8_t*>PyBytes_AS_STRING(plaintext), &used
            )
            if used < size:
                self._keep(ciphertext + used, size - used)
            return plaintext[:opened]
        work = <uint8_t*>PyMem_Malloc(HEADROOM + size)
        if work is NULL:
            raise MemoryError
        try:
            memcpy(work + HEADROOM, ciphertext, size)
            opened = self.receive_raw(
                work + HEADROOM, size, <uint8_t*>PyBytes_AS_STRING(plaintext)
            )
        finally:
            PyMem_Free(work)
        return plaintext[:opened]

    cdef void stand_alone(self) noexcept:
        if self.sealer is not None:
            self.sealer.stand_alone()
        if self.opener is not None:
            self.opener.stand_alone()

    cdef bint cut_now(self) noexcept:
        return self._kept_size > 0 or (self.opener is not None and self.opener.halfway())

    cdef Py_ssize_t bound(self, Py_ssize_t size) noexcept:
        """Most bytes that sending `size` bytes can give."""
        return self.sealer.bound(size) if self.sealer is not None else size

    cdef Py_ssize_t send(
        self, const uint8_t* source, Py_ssize_t size, uint8_t* target
    ) except -1:
        """Seal `size` bytes into `target`, which has room for `bound(size)`."""
        if self.sealer is None:
            raise HeaderError("nothing may be sent yet")
        will_write(target, self.sealer.bound(size))
        return self.sealer.seal_into(source, size, target)

    cdef Py_ssize_t receive_raw(
        self, uint8_t* data, Py_ssize_t size, uint8_t* target
    ) except -1:
        """Open `size` bytes that came from the wire; returns the size of the plaintext.

        HEADROOM bytes in front of `data` are this method's to write: what was kept of
        earlier reads is put there, so that records lie in one piece. `target` has room
        for that and `size` bytes more.
        """
        cdef Py_ssize_t used = 0, opened
        will_write(data - HEADROOM, HEADROOM)
        will_write(target, self._kept_size + size)
        if self._kept_size:
            if self.opener is not None and self._kept_size + size < self.opener.wants():
                self._keep(data, size)
                return 0
            data -= self._kept_size
            size += self._kept_size
            memcpy(data, self._kept, self._kept_size)
            self._drop_kept()
        if self.opener is None:
            begun = self.begin(
                PyBytes_FromStringAndSize(<char*>data, min(size, _BEGIN_SIZE))
            )
            if begun is None:
                self._keep(data, size)
                return 0
            self.opener, used = begun
            data += used
            size -= used
            used = 0
        opened = self.opener.open_into(data, size, target, &used)
        if used < size:
            self._keep(data + used, size - used)
        return opened

    cdef int _keep(self, const uint8_t* data, Py_ssize_t size) except -1:
        cdef Py_ssize_t room = self._kept_size + size
        cdef uint8_t* grown
        if room > HEADROOM:
            raise HeaderError("an incomplete record that is too long")
        if room > self._kept_room:
            if self.opener is not None:
                room = max(room, self.opener.wants())
            grown = <uint8_t*>PyMem_Realloc(self._kept, room)
            if grown is NULL:
                raise MemoryError
            self._kept = grown
            self._kept_room = room
        memcpy(self._kept + self._kept_size, data, size)
        self._kept_size += size
        return 0

    cdef void _drop_kept(self) noexcept:
        PyMem_Free(self._kept)
        self._kept = NULL
        self._kept_size = 0
        self._kept_room = 0
