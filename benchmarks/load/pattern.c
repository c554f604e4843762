#include "pattern.h"

#include <string.h>

#define PERIOD ((size_t)1048573) /* the largest prime below 2^20 */

static unsigned char table[PERIOD + PATTERN_RUN];

void pattern_init(void)
{
    uint64_t state = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < PERIOD; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        table[i] = (unsigned char)(state >> 32);
    }
    memcpy(table + PERIOD, table, PATTERN_RUN);
}

const unsigned char *pattern_at(uint64_t offset)
{
    return table + offset % PERIOD;
}

int pattern_matches(const void *data, size_t size, uint64_t offset)
{
    return memcmp(data, pattern_at(offset), size) == 0;
}
