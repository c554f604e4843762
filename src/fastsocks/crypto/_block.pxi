# AES on single blocks.

cdef EVP_CIPHER_CTX *new_block_context(
    const EVP_CIPHER *cipher, const uint8_t *key, bint encrypt
) noexcept nogil:
    cdef EVP_CIPHER_CTX *context = new_context(cipher, key, NULL, encrypt)
    # With padding, a block would wait for the one behind it.
    if context != NULL:
        EVP_CIPHER_CTX_set_padding(context, 0)
    return context


cdef class BlockCipher:
    """AES on single blocks of 16 bytes, as SIP022 and SIP023 use it for headers."""

    def __cinit__(self, key):
        cdef Py_buffer view
        PyObject_GetBuffer(key, &view, PyBUF_SIMPLE)
        try:
            if view.len == 16:
                self._cipher = fetch("AES-128-ECB", b"AES-128-ECB")
            elif view.len == 32:
                self._cipher = fetch("AES-256-ECB", b"AES-256-ECB")
            else:
                raise ValueError(f"a key of {view.len} bytes where 16 or 32 belong")
            memcpy(self._key, view.buf, view.len)
        finally:
            PyBuffer_Release(&view)

    def __dealloc__(self):
        EVP_CIPHER_CTX_free(self._encrypting)
        EVP_CIPHER_CTX_free(self._decrypting)
        OPENSSL_cleanse(self._key, sizeof(self._key))

    def __repr__(self):
        return "<BlockCipher>"

    @cython.critical_section
    def encrypt(self, block):
        """Encrypt one block of 16 bytes."""
        return self._convert(block, True)

    @cython.critical_section
    def decrypt(self, block):
        """Decrypt one block of 16 bytes."""
        return self._convert(block, False)

    cdef bytes _convert(self, block, bint encrypt):
        cdef Py_buffer view
        cdef const uint8_t *src
        cdef uint8_t out[16]
        cdef int result
        PyObject_GetBuffer(block, &view, PyBUF_SIMPLE)
        try:
            check_size("a block", view.len, 16)
            src = <const uint8_t *>view.buf
            result = self.encrypt_raw(src, out) if encrypt else self.decrypt_raw(src, out)
            if result:
                failed()
        finally:
            PyBuffer_Release(&view)
        return PyBytes_FromStringAndSize(<char *>out, 16)

    cdef int encrypt_raw(self, const uint8_t *src, uint8_t *dst) noexcept nogil:
        if self._encrypting == NULL:
            self._encrypting = new_block_context(self._cipher, self._key, True)
        return convert_block(self._encrypting, src, dst)

    cdef int decrypt_raw(self, const uint8_t *src, uint8_t *dst) noexcept nogil:
        if self._decrypting == NULL:
            self._decrypting = new_block_context(self._cipher, self._key, False)
        return convert_block(self._decrypting, src, dst)


cdef int convert_block(EVP_CIPHER_CTX *context, const uint8_t *src, uint8_t *dst) noexcept nogil:
    cdef int written = 0
    will_read(src, 16)
    will_write(dst, 16)
    if context != NULL and EVP_CipherUpdate(context, dst, &written, src, 16) == 1:
        return 0
    ERR_clear_error()
    return -1
