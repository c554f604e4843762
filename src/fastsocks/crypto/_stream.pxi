# Stream ciphers.

cdef enum:
    LARGEST_UPDATE = 1 << 30

# Name -> (name in libcrypto, key size, IV size), sizes in bytes.
cdef dict STREAMS = {
    "AES-128-CFB": (b"AES-128-CFB", 16, 16),
    "AES-192-CFB": (b"AES-192-CFB", 24, 16),
    "AES-256-CFB": (b"AES-256-CFB", 32, 16),
    "AES-128-CTR": (b"AES-128-CTR", 16, 16),
    "AES-192-CTR": (b"AES-192-CTR", 24, 16),
    "AES-256-CTR": (b"AES-256-CTR", 32, 16),
    "CAMELLIA-128-CFB": (b"CAMELLIA-128-CFB", 16, 16),
    "CAMELLIA-192-CFB": (b"CAMELLIA-192-CFB", 24, 16),
    "CAMELLIA-256-CFB": (b"CAMELLIA-256-CFB", 32, 16),
    "ChaCha20": (b"ChaCha20", 32, 12),
    "RC4": (b"RC4", 16, 0),
}


cdef class StreamCipher:
    """A running stream cipher; it keeps its place in the keystream."""

    def __cinit__(self, str cipher not None, key, iv, bint encrypt):
        cdef Py_buffer key_view, iv_view
        cdef const EVP_CIPHER *fetched_cipher
        cdef uint8_t counter_and_iv[16]
        cdef const uint8_t *start
        kind = STREAMS.get(cipher)
        if kind is None:
            raise MethodError(missing(cipher))
        libcrypto_name, key_size, iv_size = kind
        self.name = cipher
        memset(&key_view, 0, sizeof(key_view))
        memset(&iv_view, 0, sizeof(iv_view))
        try:
            PyObject_GetBuffer(key, &key_view, PyBUF_SIMPLE)
            PyObject_GetBuffer(iv, &iv_view, PyBUF_SIMPLE)
            check_size("a key", key_view.len, key_size)
            check_size("an IV", iv_view.len, iv_size)
            self._iv_size = iv_size
            fetched_cipher = fetch(cipher, libcrypto_name)
            start = <const uint8_t *>iv_view.buf
            if iv_view.len == 12:
                # RFC 8439's block counter is the first four bytes here, and starts at 0.
                memset(counter_and_iv, 0, 4)
                memcpy(counter_and_iv + 4, iv_view.buf, 12)
                start = counter_and_iv
            elif iv_view.len == 0:
                start = NULL
            self._context = new_context(
                fetched_cipher, <const uint8_t *>key_view.buf, start, encrypt
            )
            if self._context == NULL:
                failed()
        finally:
            PyBuffer_Release(&key_view)
            PyBuffer_Release(&iv_view)

    def __dealloc__(self):
        EVP_CIPHER_CTX_free(self._context)

    def __repr__(self):
        return f"<StreamCipher {self.name}>"

    @cython.critical_section
    def update(self, data):
        """Encrypt or decrypt the next piece, of any size; returns as many bytes."""
        cdef Py_buffer view
        cdef bytes out
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            out = PyBytes_FromStringAndSize(NULL, view.len)
            if self.update_raw(
                <const uint8_t *>view.buf, view.len, <uint8_t *>PyBytes_AS_STRING(out)
            ):
                failed()
            return out
        finally:
            PyBuffer_Release(&view)

    cdef int restart_raw(self, const uint8_t *iv) noexcept nogil:
        cdef uint8_t start[16]
        if self._iv_size == 0:
            return -1
        memset(start, 0, 4)
        memcpy(start + 16 - self._iv_size, iv, self._iv_size)
        if EVP_CipherInit_ex2(self._context, NULL, NULL, start, -1, NULL) == 1:
            return 0
        ERR_clear_error()
        return -1

    cdef int update_raw(self, const uint8_t *src, size_t n, uint8_t *dst) noexcept nogil:
        cdef size_t piece
        cdef int written = 0
        will_read(src, n)
        will_write(dst, n)
        while n:
            piece = min(n, <size_t>LARGEST_UPDATE)
            if EVP_CipherUpdate(self._context, dst, &written, src, <int>piece) != 1:
                ERR_clear_error()
                return -1
            src += piece
            dst += piece
            n -= piece
        return 0
