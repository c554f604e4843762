#include "samples.h"

#include <stdlib.h>

void samples_init(struct samples *s, size_t room)
{
    s->ns = calloc(room ? room : 1, sizeof *s->ns);
    if (!s->ns) {
        fputs("load: no memory for samples\n", stderr);
        exit(1);
    }
    s->count = 0;
    s->room = room;
}

void samples_add(struct samples *s, uint64_t ns)
{
    if (s->count < s->room)
        s->ns[s->count++] = ns;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Nearest rank: the smallest value that `part` of all values do not exceed. */
static double percentile_us(const struct samples *s, double part)
{
    size_t rank = (size_t)(part * (double)s->count);
    if (rank >= s->count)
        rank = s->count - 1;
    return (double)s->ns[rank] / 1e3;
}

void samples_print(struct samples *s, const char *name, FILE *out)
{
    if (s->count == 0) {
        fprintf(out, "\"%s\": null", name);
        return;
    }
    qsort(s->ns, s->count, sizeof *s->ns, compare);
    fprintf(out, "\"%s\": {\"count\": %zu, \"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"max\": %.1f}",
            name, s->count, percentile_us(s, 0.5), percentile_us(s, 0.9), percentile_us(s, 0.99),
            (double)s->ns[s->count - 1] / 1e3);
}

void samples_free(struct samples *s)
{
    free(s->ns);
    s->ns = NULL;
}
