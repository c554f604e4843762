"""C interface of the primitives, for the Cython modules of other packages.

Only ``_primitives`` links libcrypto; what cimports these classes calls through them.
The ``_raw`` methods may run without the GIL, but never two at once on one object.
"""

from libc.stdint cimport uint8_t, uint64_t

from .libcrypto cimport EVP_CIPHER, EVP_CIPHER_CTX, EVP_MAC_CTX, OSSL_PARAM

cdef enum:
    TAG_SIZE = 16

# What XChaCha20-Poly1305 has beside ChaCha20-Poly1305; owned by one Aead.
cdef struct ExtendedNonce:
    # The first 16 bytes of the nonce that the subkey in use was derived for.
    uint8_t head[16]
    bint derived
    # Owned: ChaCha20 under the key itself.
    EVP_CIPHER_CTX *block

# A context of libcrypto, and whose key it was given.
cdef struct Workplace:
    # Owned by the Aead whose field this is; made when first needed. It serves both directions.
    EVP_CIPHER_CTX *context
    # The Aead; only compared.
    const void *keyed_for

cdef class Aead:
    cdef readonly str name
    # In bytes.
    cdef readonly size_t nonce_size
    # Borrowed: fetched once and kept for the life of the process.
    cdef const EVP_CIPHER *_cipher
    cdef Workplace _own
    # Its own, or that of the lender.
    cdef Workplace *_place
    cdef Aead _lender
    # Owned; NULL unless this is XChaCha20-Poly1305.
    cdef ExtendedNonce *_extended
    # Of XChaCha20-Poly1305, the subkey in use.
    cdef uint8_t _key[32]
    cdef size_t _key_size

    # The same cipher with another key, of the same size. It works in the context of this one,
    # which is keyed anew whenever another has used it, until it is to stand alone; so it is to be
    # used with the GIL. Where there is no GIL it stands alone from the start.
    cdef Aead with_key(self, const uint8_t *key)
    cdef void stand_alone(self) noexcept
    # Another key of the same size, for what comes after. Returns 0, or -1 if libcrypto fails.
    cdef int rekey_raw(self, const uint8_t *key) noexcept nogil
    # Writes n + 16 bytes to dst. `src` and `dst` do not overlap; n < 2**31 - 16.
    # Returns 0, or -1 if libcrypto fails (out of memory).
    cdef int seal_raw(
        self, const uint8_t *nonce, const uint8_t *src, size_t n, uint8_t *dst
    ) noexcept nogil
    # Writes n_with_tag - 16 bytes to dst; worthless, and not to be used, unless it returns 0.
    # Returns -1 if the tag does not match or there is none.
    cdef int open_raw(
        self, const uint8_t *nonce, const uint8_t *src, size_t n_with_tag, uint8_t *dst
    ) noexcept nogil
    # Readies the context for one record. Returns 1, or anything else if libcrypto fails.
    cdef int _begin(
        self, const uint8_t *nonce, bint encrypt, const OSSL_PARAM *params
    ) noexcept nogil
    cdef void _forget_key(self) noexcept nogil
    cdef bytes _convert(self, nonce, data, bint seal)

cdef class StreamCipher:
    cdef readonly str name
    # Owned.
    cdef EVP_CIPHER_CTX *_context
    cdef size_t _iv_size

    # Begins anew with another IV of the same size and the same key.
    # Returns 0, or -1 if libcrypto fails or the cipher has no IV.
    cdef int restart_raw(self, const uint8_t *iv) noexcept nogil
    # Writes n bytes to dst. `src` and `dst` do not overlap.
    # Returns 0, or -1 if libcrypto fails.
    cdef int update_raw(self, const uint8_t *src, size_t n, uint8_t *dst) noexcept nogil

cdef class BlockCipher:
    # Borrowed.
    cdef const EVP_CIPHER *_cipher
    # Owned; each is made when first needed.
    cdef EVP_CIPHER_CTX *_encrypting
    cdef EVP_CIPHER_CTX *_decrypting
    cdef uint8_t _key[32]

    # Both write 16 bytes to dst, and return 0, or -1 if libcrypto fails.
    cdef int encrypt_raw(self, const uint8_t *src, uint8_t *dst) noexcept nogil
    cdef int decrypt_raw(self, const uint8_t *src, uint8_t *dst) noexcept nogil
    cdef bytes _convert(self, block, bint encrypt)

cdef class KeyedHash:
    # Owned.
    cdef EVP_MAC_CTX *_context
    cdef uint8_t _key[16]

    # Returns 0, or -1 if libcrypto fails. Threads may call it at the same time.
    cdef int hash64_raw(self, const uint8_t *src, size_t n, uint64_t *out) noexcept nogil

# HKDF-SHA1 of 1 to 5100 bytes into out; returns 0, or -1 if libcrypto fails.
cdef int hkdf_sha1_raw(
    const uint8_t *key,
    size_t key_size,
    const uint8_t *salt,
    size_t salt_size,
    const uint8_t *info,
    size_t info_size,
    uint8_t *out,
    size_t size,
) noexcept

# Fills out with n bytes of the kernel's generator; returns 0, or -1 if it fails.
# With the GIL, where there is one: they come from one store of the process.
cdef int random_raw(uint8_t *out, size_t n) noexcept
