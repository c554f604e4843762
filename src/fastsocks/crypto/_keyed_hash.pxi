# Keyed hashes of 64 bits: SipHash-2-4.

cdef enum:
    HASH_KEY_SIZE = 16
    HASH_SIZE = 8

# Lives as long as the process.
cdef EVP_MAC *siphash = EVP_MAC_fetch(library, b"SIPHASH", NULL)


cdef class KeyedHash:
    """Hashes of 64 bits under a secret key; see the twin."""

    def __cinit__(self, key):
        cdef Py_buffer view
        PyObject_GetBuffer(key, &view, PyBUF_SIMPLE)
        try:
            check_size("a key", view.len, HASH_KEY_SIZE)
            memcpy(self._key, view.buf, HASH_KEY_SIZE)
        finally:
            PyBuffer_Release(&view)
        self._context = new_siphash(self._key)
        if self._context == NULL:
            ERR_clear_error()
            raise MethodError(missing("SipHash"))

    def __dealloc__(self):
        EVP_MAC_CTX_free(self._context)
        OPENSSL_cleanse(self._key, sizeof(self._key))

    # The one that Cython would make copies the pointer.
    def __reduce__(self):
        raise TypeError("a keyed hash can be neither copied nor pickled")

    def __repr__(self):
        return "<KeyedHash>"

    def hash64(self, const uint8_t[::1] data not None):
        """Return the hash of `data` as a number."""
        cdef uint64_t found = 0
        if self.hash64_raw(&data[0] if data.shape[0] else NULL, data.shape[0], &found):
            failed()
        return found

    cdef int hash64_raw(self, const uint8_t *src, size_t n, uint64_t *out) noexcept nogil:
        cdef size_t size = 0
        cdef bint good
        # NULL while a thread computes in it; a second one then makes one of its own.
        cdef EVP_MAC_CTX *context = exchange(&self._context, NULL)
        if context == NULL:
            context = new_siphash(self._key)
        # A key of NULL means the one before.
        good = (
            context != NULL
            and EVP_MAC_init(context, NULL, 0, NULL) == 1
            and EVP_MAC_update(context, src, n) == 1
            and EVP_MAC_final(context, <uint8_t *>out, &size, HASH_SIZE) == 1
        )
        EVP_MAC_CTX_free(exchange(&self._context, context))
        if good:
            return 0
        ERR_clear_error()
        return -1


cdef EVP_MAC_CTX *new_siphash(const uint8_t *key) noexcept nogil:
    cdef EVP_MAC_CTX *context = NULL
    cdef size_t size = HASH_SIZE
    cdef OSSL_PARAM params[2]
    if siphash == NULL:
        return NULL
    params[0] = OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size)
    params[1] = OSSL_PARAM_construct_end()
    context = EVP_MAC_CTX_new(siphash)
    if context != NULL and EVP_MAC_init(context, key, HASH_KEY_SIZE, params) != 1:
        EVP_MAC_CTX_free(context)
        return NULL
    return context
