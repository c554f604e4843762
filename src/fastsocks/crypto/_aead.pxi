# Authenticated ciphers.

cdef enum:
    # What fits EVP's int sizes together with a tag.
    LARGEST_RECORD = 0x7FFFFFFF - 16
    # Of the AEADs of libcrypto.
    NONCE_SIZE = 12
    # Of XChaCha20-Poly1305.
    EXTENDED_NONCE_SIZE = 24

# Name -> (name in libcrypto, key size, nonce size), sizes in bytes.
cdef dict AEADS = {
    "AES-128-GCM": (b"AES-128-GCM", 16, NONCE_SIZE),
    "AES-192-GCM": (b"AES-192-GCM", 24, NONCE_SIZE),
    "AES-256-GCM": (b"AES-256-GCM", 32, NONCE_SIZE),
    "ChaCha20-Poly1305": (b"ChaCha20-Poly1305", 32, NONCE_SIZE),
    "XChaCha20-Poly1305": (b"ChaCha20-Poly1305", 32, EXTENDED_NONCE_SIZE),
}


cdef extern from *:
    """
    #ifdef Py_GIL_DISABLED
    #define FASTSOCKS_LENDS 0
    #else
    #define FASTSOCKS_LENDS 1
    #endif
    """
    # Whether the GIL keeps apart those who work in one context.
    const bint LENDS "FASTSOCKS_LENDS"


# It refers to its lender only, which has none.
@cython.no_gc
cdef class Aead:
    """An authenticated cipher under one key, without associated data."""

    def __cinit__(self):
        self._place = &self._own

    def __init__(self, str cipher not None, key):
        cdef Py_buffer view
        if self._cipher != NULL:
            raise TypeError("a cipher is keyed once")
        kind = AEADS.get(cipher)
        if kind is None:
            raise MethodError(missing(cipher))
        libcrypto_name, key_size, self.nonce_size = kind
        self.name = cipher
        self._cipher = fetch(cipher, libcrypto_name)
        PyObject_GetBuffer(key, &view, PyBUF_SIMPLE)
        try:
            check_size("a key", view.len, key_size)
            self._key_size = key_size
            if self.nonce_size == EXTENDED_NONCE_SIZE:
                self._extended = new_extended_nonce(<const uint8_t *>view.buf)
            else:
                memcpy(self._key, view.buf, view.len)
        finally:
            PyBuffer_Release(&view)

    def __dealloc__(self):
        self._forget_key()
        EVP_CIPHER_CTX_free(self._own.context)
        free_extended_nonce(self._extended)
        OPENSSL_cleanse(self._key, sizeof(self._key))

    def __repr__(self):
        return f"<Aead {self.name}>"

    @cython.critical_section
    def seal(self, nonce, plaintext):
        """Encrypt; returns the ciphertext and behind it the tag of 16 bytes."""
        return self._convert(nonce, plaintext, True)

    @cython.critical_section
    def open(self, nonce, ciphertext):
        """Decrypt what `seal` returned; raises TagError."""
        return self._convert(nonce, ciphertext, False)

    cdef bytes _convert(self, nonce, data, bint seal):
        cdef Py_buffer nonce_view, view
        cdef const uint8_t *start
        cdef const uint8_t *src
        cdef bytes out
        memset(&nonce_view, 0, sizeof(nonce_view))
        memset(&view, 0, sizeof(view))
        try:
            PyObject_GetBuffer(nonce, &nonce_view, PyBUF_SIMPLE)
            PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
            check_size("a nonce", nonce_view.len, self.nonce_size)
            start = <const uint8_t *>nonce_view.buf
            src = <const uint8_t *>view.buf
            if seal:
                if view.len > LARGEST_RECORD:
                    raise OverflowError("more than libcrypto seals at once")
                out = PyBytes_FromStringAndSize(NULL, view.len + TAG_SIZE)
                if self.seal_raw(start, src, view.len, <uint8_t *>PyBytes_AS_STRING(out)):
                    failed()
            else:
                if view.len < TAG_SIZE:
                    raise TagError(TAG_MISMATCH)
                out = PyBytes_FromStringAndSize(NULL, view.len - TAG_SIZE)
                if self.open_raw(start, src, view.len, <uint8_t *>PyBytes_AS_STRING(out)):
                    raise TagError(TAG_MISMATCH)
            return out
        finally:
            PyBuffer_Release(&nonce_view)
            PyBuffer_Release(&view)

    cdef Aead with_key(self, const uint8_t *key):
        cdef Aead other
        if self._extended != NULL:
            return Aead(self.name, PyBytes_FromStringAndSize(<const char *>key, self._key_size))
        other = Aead.__new__(Aead)
        other.name = self.name
        other.nonce_size = self.nonce_size
        other._cipher = self._cipher
        other._key_size = self._key_size
        if LENDS:
            other._lender = self if self._lender is None else self._lender
            other._place = self._place
        memcpy(other._key, key, self._key_size)
        return other

    cdef void stand_alone(self) noexcept:
        if self._lender is None:
            return
        self._forget_key()
        self._place = &self._own
        self._lender = None

    cdef void _forget_key(self) noexcept nogil:
        if self._place.keyed_for == <const void *>self:
            self._place.keyed_for = NULL

    cdef int seal_raw(
        self, const uint8_t *nonce, const uint8_t *src, size_t n, uint8_t *dst
    ) noexcept nogil:
        cdef OSSL_PARAM tag[2]
        cdef int written = 0
        if n > LARGEST_RECORD:
            return -1
        will_read(src, n)
        will_write(dst, n + TAG_SIZE)
        certain(src + n <= dst or dst + n + TAG_SIZE <= src)
        tag[0] = OSSL_PARAM_construct_octet_string(
            OSSL_CIPHER_PARAM_AEAD_TAG, dst + n, TAG_SIZE
        )
        tag[1] = OSSL_PARAM_construct_end()
        if (
            self._begin(nonce, True, NULL) == 1
            and (n == 0 or EVP_CipherUpdate(self._place.context, dst, &written, src, <int>n) == 1)
            and EVP_CipherFinal_ex(self._place.context, dst + n, &written) == 1
            and EVP_CIPHER_CTX_get_params(self._place.context, tag) == 1
        ):
            return 0
        ERR_clear_error()
        return -1

    cdef int open_raw(
        self, const uint8_t *nonce, const uint8_t *src, size_t n_with_tag, uint8_t *dst
    ) noexcept nogil:
        cdef OSSL_PARAM tag[2]
        cdef uint8_t nothing[TAG_SIZE]
        cdef int written = 0
        cdef size_t n = n_with_tag - TAG_SIZE
        if n_with_tag < TAG_SIZE or n > LARGEST_RECORD:
            return -1
        will_read(src, n_with_tag)
        will_write(dst, n)
        certain(src + n_with_tag <= dst or dst + n <= src)
        # Handed over with the nonce, the tag costs no call of its own; it is only read.
        tag[0] = OSSL_PARAM_construct_octet_string(
            OSSL_CIPHER_PARAM_AEAD_TAG, <void *>(src + n), TAG_SIZE
        )
        tag[1] = OSSL_PARAM_construct_end()
        if (
            self._begin(nonce, False, tag) == 1
            and (n == 0 or EVP_CipherUpdate(self._place.context, dst, &written, src, <int>n) == 1)
            and EVP_CipherFinal_ex(self._place.context, nothing, &written) == 1
        ):
            return 0
        ERR_clear_error()
        return -1

    # A key goes to libcrypto with the next nonce: one call for both.
    cdef int _begin(
        self, const uint8_t *nonce, bint encrypt, const OSSL_PARAM *params
    ) noexcept nogil:
        cdef uint8_t inner[NONCE_SIZE]
        cdef int changed
        cdef Workplace *place
        if self._extended != NULL:
            changed = next_subkey(self._extended, nonce, self._key)
            if changed < 0:
                return -1
            if changed:
                self._forget_key()
            memset(inner, 0, 4)
            memcpy(inner + 4, nonce + 16, 8)
            nonce = inner
        place = self._place
        if place.keyed_for == <const void *>self:
            return EVP_CipherInit_ex2(place.context, NULL, NULL, nonce, encrypt, params)
        place.keyed_for = NULL
        if place.context == NULL:
            place.context = EVP_CIPHER_CTX_new()
            if place.context == NULL:
                return -1
        if EVP_CipherInit_ex2(
            place.context, self._cipher, self._key, nonce, encrypt, params
        ) != 1:
            return -1
        place.keyed_for = <const void *>self
        return 1

    cdef int rekey_raw(self, const uint8_t *key) noexcept nogil:
        if self._extended == NULL:
            memcpy(self._key, key, self._key_size)
            self._forget_key()
            return 0
        if rekey_extended_nonce(self._extended, key) == 0:
            return 0
        ERR_clear_error()
        return -1
