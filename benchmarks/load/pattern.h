/* The content of every stream: pseudo-random bytes with a prime period, so that
 * a lost, doubled, reordered or foreign block never matches by accident. */
#ifndef PATTERN_H
#define PATTERN_H

#include <stddef.h>
#include <stdint.h>

/* The most bytes one call may send, receive or check. */
#define PATTERN_RUN ((size_t)256 * 1024)

/* Fill the table; call once, before any thread starts. */
void pattern_init(void);

/* The stream's bytes from `offset` on; PATTERN_RUN of them may be read. */
const unsigned char *pattern_at(uint64_t offset);

/* Whether `data` is what the stream holds at `offset`. `size` <= PATTERN_RUN. */
int pattern_matches(const void *data, size_t size, uint64_t offset);

#endif
