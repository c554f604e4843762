#include "records.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef WITH_BLAKE3
#include <blake3.h>
#endif

#define LEAST_LIMIT ((size_t)0x3fff)
#define LIMIT_2022 ((size_t)0xffff)

static const struct method methods[] = {
    {"aes-128-gcm", "AES-128-GCM", 16, LEAST_LIMIT, 0},
    {"aes-256-gcm", "AES-256-GCM", 32, LEAST_LIMIT, 0},
    {"chacha20-ietf-poly1305", "ChaCha20-Poly1305", 32, LEAST_LIMIT, 0},
#ifdef WITH_BLAKE3
    {"2022-blake3-aes-128-gcm", "AES-128-GCM", 16, LIMIT_2022, 1},
    {"2022-blake3-aes-256-gcm", "AES-256-GCM", 32, LIMIT_2022, 1},
    {"2022-blake3-chacha20-poly1305", "ChaCha20-Poly1305", 32, LIMIT_2022, 1},
#endif
};

static void require(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "relay: libcrypto: %s\n", what);
        exit(1);
    }
}

static int decode_key(struct key *key, const char *text)
{
    unsigned char decoded[3 * 16]; /* with the zeros that stand for padding */
    size_t length = strlen(text), wanted = (key->method->key_size + 2) / 3 * 4;

    if (length != wanted ||
        EVP_DecodeBlock(decoded, (const unsigned char *)text, (int)length) < 0)
        return 0;
    memcpy(key->bytes, decoded, key->method->key_size);
    return 1;
}

int key_init(struct key *key, const char *method, const char *password)
{
    EVP_CIPHER *sized; /* EVP_BytesToKey takes the key's size from a cipher */

    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (strcmp(method, methods[i].name) != 0)
            continue;
        key->method = &methods[i];
        key->cipher = EVP_CIPHER_fetch(NULL, methods[i].cipher, NULL);
        require(key->cipher != NULL, "EVP_CIPHER_fetch");
        if (methods[i].is_2022)
            return decode_key(key, password);
        sized = EVP_CIPHER_fetch(NULL, methods[i].key_size == 16 ? "AES-128-CBC" : "AES-256-CBC",
                                 NULL);
        require(sized != NULL, "EVP_CIPHER_fetch");
        require(EVP_BytesToKey(sized, EVP_md5(), NULL, (const unsigned char *)password,
                               (int)strlen(password), 1, key->bytes, NULL) > 0,
                "EVP_BytesToKey");
        EVP_CIPHER_free(sized);
        return 1;
    }
    return 0;
}

#ifdef WITH_BLAKE3
static void derive_2022(const struct key *key, const unsigned char *salt, unsigned char *subkey)
{
    blake3_hasher hasher;

    blake3_hasher_init_derive_key(&hasher, "shadowsocks 2022 session subkey");
    blake3_hasher_update(&hasher, key->bytes, key->method->key_size);
    blake3_hasher_update(&hasher, salt, key->method->key_size);
    blake3_hasher_finalize(&hasher, subkey, key->method->key_size);
}

static void put_header(struct records *r, const struct key *key, const unsigned char *request_salt)
{
    uint64_t now = (uint64_t)time(NULL);
    size_t salt_size = request_salt ? key->method->key_size : 0;

    r->header[0] = request_salt ? 1 : 0;
    for (int i = 0; i < 8; i++)
        r->header[1 + i] = (unsigned char)(now >> (56 - 8 * i));
    if (request_salt)
        memcpy(r->header + 9, request_salt, salt_size);
    r->header_size = 1 + 8 + salt_size + 2;
}
#endif

static void derive(const struct key *key, const unsigned char *salt, unsigned char *subkey)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
    size_t size = key->method->key_size;
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA1", 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)key->bytes, size),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt, size),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)"ss-subkey", 9),
        OSSL_PARAM_construct_end(),
    };

    require(context && EVP_KDF_derive(context, subkey, size, parameters) == 1, "HKDF");
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
}

void records_init(struct records *r, const struct key *key, const unsigned char *salt,
                  const unsigned char *request_salt, int seal)
{
    unsigned char subkey[32];

    r->counter = 0;
    r->length = 0;
    r->limit = key->method->limit;
    r->header_size = 2;
    (void)request_salt;
#ifdef WITH_BLAKE3
    if (key->method->is_2022) {
        put_header(r, key, request_salt);
        derive_2022(key, salt, subkey);
    } else
#endif
        derive(key, salt, subkey);
    r->context = EVP_CIPHER_CTX_new();
    require(r->context && EVP_CipherInit_ex2(r->context, key->cipher, subkey, NULL, seal, NULL),
            "EVP_CipherInit");
}

void records_free(struct records *r)
{
    EVP_CIPHER_CTX_free(r->context);
    r->context = NULL;
}

size_t records_bound(size_t size)
{
    return size + (size / LEAST_LIMIT + 1) * RECORD_OVERHEAD + FIXED_HEADER_LIMIT;
}

static void set_nonce(struct records *r)
{
    unsigned char nonce[12] = {0};

    for (int i = 0; i < 8; i++)
        nonce[i] = (unsigned char)(r->counter >> (8 * i));
    r->counter++;
    require(EVP_CipherInit_ex2(r->context, NULL, NULL, nonce, -1, NULL), "the nonce");
}

static unsigned char *seal_one(struct records *r, const unsigned char *in, size_t size,
                               unsigned char *out)
{
    int written;

    set_nonce(r);
    require(EVP_CipherUpdate(r->context, out, &written, in, (int)size) &&
                EVP_CipherFinal_ex(r->context, out + size, &written) &&
                EVP_CIPHER_CTX_ctrl(r->context, EVP_CTRL_AEAD_GET_TAG, (int)TAG_SIZE, out + size),
            "sealing");
    return out + size + TAG_SIZE;
}

static int open_one(struct records *r, const unsigned char *in, size_t size, unsigned char *out)
{
    int written;

    set_nonce(r);
    require(EVP_CIPHER_CTX_ctrl(r->context, EVP_CTRL_AEAD_SET_TAG, (int)TAG_SIZE,
                                (void *)(uintptr_t)(in + size)),
            "the tag");
    return EVP_CipherUpdate(r->context, out, &written, in, (int)size) &&
           EVP_CipherFinal_ex(r->context, out + size, &written);
}

size_t records_seal(struct records *r, const unsigned char *in, size_t size, unsigned char *out)
{
    unsigned char *start = out;

    while (size > 0) {
        size_t length = size < r->limit ? size : r->limit;

        r->header[r->header_size - 2] = (unsigned char)(length >> 8);
        r->header[r->header_size - 1] = (unsigned char)length;
        out = seal_one(r, r->header, r->header_size, out);
        r->header_size = 2;
        out = seal_one(r, in, length, out);
        in += length;
        size -= length;
    }
    return (size_t)(out - start);
}

ssize_t records_open(struct records *r, const unsigned char *in, size_t size, unsigned char *out,
                     size_t *used)
{
    unsigned char *start = out;

    *used = 0;
    for (;;) {
        const unsigned char *at = in + *used;
        size_t left = size - *used;

        if (r->length == 0) {
            const unsigned char *last = r->header + r->header_size - 2;

            if (left < r->header_size + TAG_SIZE)
                break;
            if (!open_one(r, at, r->header_size, r->header))
                return -1;
            r->length = (size_t)(last[0] << 8 | last[1]);
            *used += r->header_size + TAG_SIZE;
            r->header_size = 2;
            if (r->length == 0 || r->length > r->limit)
                return -1;
        } else {
            if (left < r->length + TAG_SIZE)
                break;
            if (!open_one(r, at, r->length, out))
                return -1;
            out += r->length;
            *used += r->length + TAG_SIZE;
            r->length = 0;
        }
    }
    return out - start;
}
