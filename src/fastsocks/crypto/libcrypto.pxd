"""The part of libcrypto (OpenSSL 3.0 or later) that fastsocks calls."""

cdef extern from "openssl/crypto.h" nogil:
    ctypedef struct OSSL_LIB_CTX:
        pass
    int OPENSSL_VERSION
    OSSL_LIB_CTX *OSSL_LIB_CTX_new()
    const char *OpenSSL_version(int kind)
    void OPENSSL_cleanse(void *start, size_t size)

cdef extern from "openssl/err.h" nogil:
    void ERR_clear_error()

cdef extern from "openssl/provider.h" nogil:
    ctypedef struct OSSL_PROVIDER:
        pass
    OSSL_PROVIDER *OSSL_PROVIDER_load(OSSL_LIB_CTX *library, const char *name)

cdef extern from "openssl/params.h" nogil:
    ctypedef struct OSSL_PARAM:
        pass
    OSSL_PARAM OSSL_PARAM_construct_utf8_string(const char *key, char *buffer, size_t size)
    OSSL_PARAM OSSL_PARAM_construct_size_t(const char *key, size_t *value)
    OSSL_PARAM OSSL_PARAM_construct_octet_string(const char *key, void *buffer, size_t size)
    OSSL_PARAM OSSL_PARAM_construct_end()

cdef extern from "openssl/core_names.h" nogil:
    const char *OSSL_CIPHER_PARAM_AEAD_TAG
    const char *OSSL_MAC_PARAM_DIGEST
    const char *OSSL_MAC_PARAM_SIZE

cdef extern from "openssl/evp.h" nogil:
    ctypedef struct EVP_CIPHER:
        pass
    ctypedef struct EVP_CIPHER_CTX:
        pass
    ctypedef struct EVP_MAC:
        pass
    ctypedef struct EVP_MAC_CTX:
        pass

    EVP_CIPHER *EVP_CIPHER_fetch(
        OSSL_LIB_CTX *library, const char *algorithm, const char *properties
    )
    EVP_CIPHER_CTX *EVP_CIPHER_CTX_new()
    void EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *context)
    int EVP_CIPHER_CTX_set_padding(EVP_CIPHER_CTX *context, int pad)
    int EVP_CIPHER_CTX_get_params(EVP_CIPHER_CTX *context, OSSL_PARAM *params)
    int EVP_CipherInit_ex2(
        EVP_CIPHER_CTX *context,
        const EVP_CIPHER *cipher,
        const unsigned char *key,
        const unsigned char *iv,
        int encrypt,
        const OSSL_PARAM *params,
    )
    int EVP_CipherUpdate(
        EVP_CIPHER_CTX *context,
        unsigned char *out,
        int *out_size,
        const unsigned char *data,
        int size,
    )
    int EVP_CipherFinal_ex(EVP_CIPHER_CTX *context, unsigned char *out, int *out_size)

    EVP_MAC *EVP_MAC_fetch(OSSL_LIB_CTX *library, const char *algorithm, const char *properties)
    EVP_MAC_CTX *EVP_MAC_CTX_new(EVP_MAC *mac)
    void EVP_MAC_CTX_free(EVP_MAC_CTX *context)
    int EVP_MAC_CTX_set_params(EVP_MAC_CTX *context, const OSSL_PARAM *params)
    int EVP_MAC_init(
        EVP_MAC_CTX *context, const unsigned char *key, size_t size, const OSSL_PARAM *params
    )
    int EVP_MAC_update(EVP_MAC_CTX *context, const unsigned char *data, size_t size)
    int EVP_MAC_final(
        EVP_MAC_CTX *context, unsigned char *out, size_t *out_size, size_t capacity
    )
