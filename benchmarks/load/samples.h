/* Durations, kept one by one: percentiles are exact. */
#ifndef SAMPLES_H
#define SAMPLES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct samples {
    uint64_t *ns;
    size_t count, room;
};

/* Room for `room` durations; exits the process when there is no memory. */
void samples_init(struct samples *s, size_t room);

/* Keep one duration; beyond the room it is dropped. */
void samples_add(struct samples *s, uint64_t ns);

/* Write `"name": {...}` with percentiles in microseconds, or null without samples. */
void samples_print(struct samples *s, const char *name, FILE *out);

void samples_free(struct samples *s);

#endif
