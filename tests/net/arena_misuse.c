/* What AddressSanitizer has to see of the arena, and what it has to let pass; see test_arena.py. */

#include <stdlib.h>

#include "fastsocks/net/arena.h"
#include "fastsocks/net/datagrams.h"

enum { SIZE = 4096, SLOT = 256 };

static fastsocks_outbox outbox;
static fastsocks_inbox inbox;

static int pair[2];

static void queue(unsigned char *data, int size)
{
    fastsocks_queue(&outbox, pair[0], NULL, NULL, data, size);
}

int main(int argc, char **argv)
{
    fastsocks_arena arena;
    unsigned char *memory = malloc(SIZE);
    unsigned char *slots = malloc(FASTSOCKS_BATCH * SLOT);
    const char *what = argc > 1 ? argv[1] : "";
    volatile unsigned char *start;
    if (!memory || !slots || socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
        return 2;
    fastsocks_open_arena(&arena, memory, SIZE);
    fastsocks_open_inbox(&inbox, slots, SLOT);
    outbox.closed = 1;

    fastsocks_room first = fastsocks_lend(&arena, 100);
    memset(first.start, 1, 100);
    fastsocks_keep(&arena, first.start + 80);
    queue(first.start, 80);
    fastsocks_room second = fastsocks_lend(&arena, 100);
    memset(second.start, 2, 100);
    start = second.start;

    if (!strcmp(what, "in front")) {
        start[-1] = 0;
    } else if (!strcmp(what, "behind")) {
        start[100] = 0;
    } else if (!strcmp(what, "queued")) {
        first.start[79 & ~7] = 0;
    } else if (!strcmp(what, "queued, by libcrypto")) {
        fastsocks_will_write(first.start + 20, 4);
    } else if (!strcmp(what, "returned")) {
        fastsocks_keep(&arena, second.end);
        fastsocks_flush(&outbox);
        fastsocks_empty_arena(&arena);
        start[0] = 0;
    } else if (!strcmp(what, "not kept")) {
        fastsocks_lend(&arena, 10);
        start[10] = 0;
    } else if (!strcmp(what, "kept too much")) {
        fastsocks_keep(&arena, second.end + 1);
    } else if (!strcmp(what, "earlier message") || !strcmp(what, "message")) {
        for (int size = 200; size >= 100; size -= 100) {
            unsigned char message[200] = {0};
            if (send(pair[1], message, size, 0) != size
                || fastsocks_receive_batch(&inbox, pair[0]) != 1)
                return 2;
        }
        start = fastsocks_message(&inbox, 0);
        start[what[0] == 'm' ? 99 : 104] = 1;
    } else if (!strcmp(what, "too much")) {
        return fastsocks_lend(&arena, SIZE).start ? 3 : 0;
    } else if (!strcmp(what, "well")) {
        unsigned char got[200];
        fastsocks_keep(&arena, second.end);
        queue(second.start, 100);
        fastsocks_flush(&outbox);
        if (recv(pair[1], got, sizeof got, 0) != 80 || got[0] != 1
            || recv(pair[1], got, sizeof got, 0) != 100 || got[99] != 2)
            return 3;
        fastsocks_empty_arena(&arena);
        first = fastsocks_lend(&arena, SIZE);
        memset(first.start, 3, SIZE);
    } else {
        return 2;
    }
    fastsocks_close_inbox(&inbox);
    fastsocks_close_arena(&arena);
    free(memory);
    free(slots);
    return 0;
}
