/* The AEAD records of Shadowsocks (SIP004, SIP007; SIP022 for the 2022 edition) on libcrypto's
 * EVP calls. */
#ifndef RECORDS_H
#define RECORDS_H

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TAG_SIZE ((size_t)16)
#define RECORD_OVERHEAD (2 + 2 * TAG_SIZE)
#define SALT_LIMIT ((size_t)32)
/* The fixed header of the 2022 edition: type, timestamp, in responses the salt of the request,
 * and the size of the record behind it. */
#define FIXED_HEADER_LIMIT (1 + 8 + SALT_LIMIT + 2)

struct method {
    const char *name;
    const char *cipher; /* as libcrypto calls it */
    size_t key_size;    /* in bytes; the salt is as long */
    size_t limit;       /* the most payload of a record, in bytes */
    int is_2022;
};

struct key {
    const struct method *method;
    EVP_CIPHER *cipher;
    unsigned char bytes[32];
};

/* One direction of one connection. */
struct records {
    EVP_CIPHER_CTX *context;
    uint64_t counter;
    size_t length; /* of the record whose length was read, 0 before that */
    size_t limit;
    unsigned char header[FIXED_HEADER_LIMIT]; /* goes before the first record; its size last */
    size_t header_size;                       /* 2: nothing but that */
};

/* Derive the key from a password (EVP_BytesToKey), or decode it (base64, the 2022 edition).
 * 0 for an unknown method or no key. */
int key_init(struct key *key, const char *method, const char *password);

/* Key one direction with the subkey that `salt` (key_size bytes) gives. `request_salt` is that of
 * the request where this is the response's direction, else NULL. */
void records_init(struct records *r, const struct key *key, const unsigned char *salt,
                  const unsigned char *request_salt, int seal);

void records_free(struct records *r);

/* The most bytes that `size` bytes of payload take once sealed, without the salt. */
size_t records_bound(size_t size);

/* Seal `size` bytes into `out` (records_bound of room); the bytes written. */
size_t records_seal(struct records *r, const unsigned char *in, size_t size, unsigned char *out);

/* Open every complete record; the payload bytes written to `out` (`size` of room), -1 for a
 * bad tag. `*used` is how much of `in` was consumed. */
ssize_t records_open(struct records *r, const unsigned char *in, size_t size, unsigned char *out,
                     size_t *used);

#endif
