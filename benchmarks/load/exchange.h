/* What a client asks of the target: the first bytes of every connection.
 *
 * The target reads `request` bytes, answers with `reply` bytes, and does so
 * `times` times (0: until the client closes). Both streams carry the pattern
 * of pattern.h, starting over at `seed` in every exchange; each connection has
 * a seed of its own, so bytes that cross between connections are noticed.
 * The header is in host byte order: both ends are one process. */
#ifndef EXCHANGE_H
#define EXCHANGE_H

#include <stdint.h>

#define EXCHANGE_MAGIC 0x66736231u

struct exchange {
    uint32_t magic;
    uint32_t times;
    uint64_t request;  /* bytes after this header, 0 or more */
    uint64_t reply;    /* bytes, 1 or more */
    uint64_t rate;     /* bytes a second the target sends at; 0: as fast as it can */
    uint64_t interval; /* nanoseconds between two sends of a paced reply */
    uint64_t seed;
};

#endif
