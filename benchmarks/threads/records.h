/* The AEAD records of Shadowsocks (SIP004, SIP007) on libcrypto's EVP calls. */
#ifndef RECORDS_H
#define RECORDS_H

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TAG_SIZE ((size_t)16)
#define RECORD_LIMIT ((size_t)0x3fff)
#define RECORD_OVERHEAD (2 + 2 * TAG_SIZE)

struct method {
    const char *name;
    const char *cipher; /* as libcrypto calls it */
    size_t key_size;    /* in bytes; the salt is as long */
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
};

/* Derive the key from a password (EVP_BytesToKey). 0 for an unknown method. */
int key_init(struct key *key, const char *method, const char *password);

/* Key one direction with the subkey that `salt` (key_size bytes) gives. */
void records_init(struct records *r, const struct key *key, const unsigned char *salt, int seal);

void records_free(struct records *r);

/* Bytes that `size` bytes of payload take once sealed. */
size_t records_bound(size_t size);

/* Seal `size` bytes into `out` (records_bound of room); the bytes written. */
size_t records_seal(struct records *r, const unsigned char *in, size_t size, unsigned char *out);

/* Open every complete record; the payload bytes written to `out` (`size` of room), -1 for a
 * bad tag. `*used` is how much of `in` was consumed. */
ssize_t records_open(struct records *r, const unsigned char *in, size_t size, unsigned char *out,
                     size_t *used);

#endif
