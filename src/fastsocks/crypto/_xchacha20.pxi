# The nonce of XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): 16 bytes of it make the subkey of a
# ChaCha20-Poly1305, 8 are that one's nonce.

cdef ExtendedNonce *new_extended_nonce(const uint8_t *key) except NULL:
    cdef ExtendedNonce *extended = <ExtendedNonce *>calloc(1, sizeof(ExtendedNonce))
    if extended == NULL:
        raise MemoryError
    try:
        extended.block = new_context(fetch("ChaCha20", b"ChaCha20"), key, NULL, True)
        if extended.block == NULL:
            failed()
    except:
        free(extended)
        raise
    return extended


cdef void free_extended_nonce(ExtendedNonce *extended) noexcept:
    if extended != NULL:
        EVP_CIPHER_CTX_free(extended.block)
        free(extended)


# Writes the 32 bytes of the subkey of a nonce. Returns 1, or 0 if it is that of the nonce before:
# Shadowsocks counts nonces up from zero, so on TCP it stays the same for the whole connection.
# Returns -1 if libcrypto fails.
#
# HChaCha20 (section 2.2) is the ChaCha20 block without its last step, the addition of the initial
# state, so it is had by subtracting that state from one block of keystream.
cdef int next_subkey(
    ExtendedNonce *extended, const uint8_t *nonce, uint8_t *subkey
) noexcept nogil:
    cdef uint8_t block[64]
    cdef int written = 0
    if extended.derived and memcmp(extended.head, nonce, 16) == 0:
        return 0
    extended.derived = False
    memset(block, 0, sizeof(block))
    if (
        EVP_CipherInit_ex2(extended.block, NULL, NULL, nonce, True, NULL) != 1
        or EVP_CipherUpdate(extended.block, block, &written, block, sizeof(block)) != 1
    ):
        return -1
    subtract_words(subkey, block, b"expand 32-byte k")
    subtract_words(subkey + 16, block + 48, nonce)
    OPENSSL_cleanse(block, sizeof(block))
    memcpy(extended.head, nonce, 16)
    extended.derived = True
    return 1


# The next subkeys are those of another key of 32 bytes. Returns 0, or -1 if libcrypto fails.
cdef int rekey_extended_nonce(ExtendedNonce *extended, const uint8_t *key) noexcept nogil:
    extended.derived = False
    return 0 if EVP_CipherInit_ex2(extended.block, NULL, key, NULL, True, NULL) == 1 else -1


cdef uint32_t read_word(const uint8_t *at) noexcept nogil:
    return at[0] | at[1] << 8 | at[2] << 16 | <uint32_t>at[3] << 24


cdef void subtract_words(uint8_t *out, const uint8_t *left, const uint8_t *right) noexcept nogil:
    """Subtract four little-endian 32-bit words from four others."""
    cdef uint32_t word
    cdef int i
    for i in range(0, 16, 4):
        word = read_word(left + i) - read_word(right + i)
        out[i] = word & 0xFF
        out[i + 1] = word >> 8 & 0xFF
        out[i + 2] = word >> 16 & 0xFF
        out[i + 3] = word >> 24
