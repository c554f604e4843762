#ifndef FASTSOCKS_CRYPTO_ENTROPY_H
#define FASTSOCKS_CRYPTO_ENTROPY_H

/*
 * Random bytes from the kernel, 256 with one system call: a salt costs an eighth of one.
 *
 * They wait in a page that the kernel empties for a forked child, so that no two processes give
 * out the same ones, and are wiped once they are given out. Where a page cannot be had on these
 * terms, each call is a system call; so it is without a GIL, which keeps threads apart here.
 */

#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

/* What getentropy(3) gives at a time. */
enum { FASTSOCKS_ENTROPY = 256 };

typedef struct {
    size_t left;
    unsigned char bytes[FASTSOCKS_ENTROPY];
} fastsocks_entropy;

static inline fastsocks_entropy *fastsocks_open_entropy(void)
{
#if defined(MADV_WIPEONFORK) && !defined(Py_GIL_DISABLED)
    void *page = mmap(
        NULL, sizeof(fastsocks_entropy), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    if (madvise(page, sizeof(fastsocks_entropy), MADV_WIPEONFORK) == 0)
        return page;
    munmap(page, sizeof(fastsocks_entropy));
#endif
    return NULL;
}

/* pool: of fastsocks_open_entropy, or NULL. Returns 0, or -1 if the kernel gives nothing. */
static inline int fastsocks_random(fastsocks_entropy *pool, unsigned char *out, size_t size)
{
    while (!pool || size > FASTSOCKS_ENTROPY) {
        size_t piece = size < FASTSOCKS_ENTROPY ? size : FASTSOCKS_ENTROPY;
        if (getentropy(out, piece))
            return -1;
        out += piece;
        size -= piece;
        if (!size)
            return 0;
    }
    if (pool->left < size) {
        if (getentropy(pool->bytes, FASTSOCKS_ENTROPY))
            return -1;
        pool->left = FASTSOCKS_ENTROPY;
    }
    pool->left -= size;
    memcpy(out, pool->bytes + pool->left, size);
    memset(pool->bytes + pool->left, 0, size);
    return 0;
}

#endif
