/* What a client asks of the target: the first bytes of every connection.
 *
 * The target reads `request` bytes, answers with `reply` bytes, and does so
 * `times` times. With `warm_up` the first time is of one byte each way. Both streams carry the pattern
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
    uint64_t warm_up;  /* 0 or 1 */
    uint64_t request;  /* bytes after this header, 0 or more */
    uint64_t reply;    /* bytes, 1 or more */
    uint64_t rate;     /* bytes a second the target sends at; 0: as fast as it can */
    uint64_t interval; /* nanoseconds between two sends of a paced reply */
    uint64_t seed;
};

/* The exchange after `done` others is the warm-up. */
static inline int is_warm_up(const struct exchange *e, uint32_t done)
{
    return e->warm_up && done == 0;
}

/* Bytes of the request, and of the reply, after `done` exchanges. */
static inline uint64_t request_size(const struct exchange *e, uint32_t done)
{
    return is_warm_up(e, done) ? 1 : e->request;
}

static inline uint64_t reply_size(const struct exchange *e, uint32_t done)
{
    return is_warm_up(e, done) ? 1 : e->reply;
}

#endif
