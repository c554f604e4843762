# libcrypto itself: the library context that everything here lives in, and its ciphers.
#
# libcrypto may be one that this process shares with the `ssl` module or with others. So there is
# an OSSL_LIB_CTX of our own: it never reads the system's configuration file, sees only the
# providers loaded here, and changes nothing for anybody else. For the same reason the thread's
# error queue is emptied after every failure.

# All of these live as long as the process.
cdef OSSL_LIB_CTX *library = NULL
# Name in libcrypto -> EVP_CIPHER *.
cdef dict fetched = {}


def libcrypto_version():
    """Return the version of the libcrypto in use: ``OpenSSL 3.5.4 30 Sep 2025``."""
    return (<bytes>OpenSSL_version(OPENSSL_VERSION)).decode()


cdef int not_initialised() except -1:
    ERR_clear_error()
    raise ImportError(f"{libcrypto_version()} does not initialise")


cdef int load_library() except -1:
    global library
    library = OSSL_LIB_CTX_new()
    # Named, because loading another provider later would end the implicit loading of this one.
    if library == NULL or OSSL_PROVIDER_load(library, b"default") == NULL:
        not_initialised()
    return 0


cdef const EVP_CIPHER *fetch(str name, bytes libcrypto_name) except NULL:
    cdef EVP_CIPHER *cipher
    address = fetched.get(libcrypto_name)
    if address is not None:
        return <const EVP_CIPHER *><size_t>address
    if name == "RC4":
        OSSL_PROVIDER_load(library, b"legacy")
    cipher = EVP_CIPHER_fetch(library, libcrypto_name, NULL)
    if cipher == NULL:
        ERR_clear_error()
        raise MethodError(missing(name))
    fetched[libcrypto_name] = <size_t>cipher
    return cipher


cdef EVP_CIPHER_CTX *new_context(
    const EVP_CIPHER *cipher, const uint8_t *key, const uint8_t *iv, bint encrypt
) noexcept nogil:
    cdef EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new()
    if context != NULL and EVP_CipherInit_ex2(context, cipher, key, iv, encrypt, NULL) != 1:
        EVP_CIPHER_CTX_free(context)
        return NULL
    return context


cdef int failed() except -1:
    ERR_clear_error()
    raise MemoryError("libcrypto failed")


load_library()
