/* UDP: datagrams sent over associations at a steady rate, echoed by the target.
 *
 * Client and target are a thread each. Every datagram says which association
 * and which number it has, and when it was sent; the rest is the pattern, at an
 * offset of its own. Both sides check all of it. */
#ifndef DATAGRAMS_H
#define DATAGRAMS_H

#include <netinet/in.h>
#include <stdint.h>

#include "samples.h"

/* The least and the most payload of a datagram; the least holds the header. */
#define DATAGRAM_LEAST 24
#define DATAGRAM_MOST 65000

struct datagram_plan {
    const struct sockaddr_in *proxy; /* SOCKS5 (RFC 1928, UDP ASSOCIATE); NULL: to the target */
    uint32_t associations;
    uint64_t count;    /* datagrams in all, over the associations in turn */
    uint64_t size;     /* bytes of payload of each */
    uint64_t rate;     /* datagrams a second, in all */
    uint64_t interval; /* nanoseconds between two bursts */
    uint64_t deadline_ns;
};

struct datagram_outcome {
    const char *error; /* of what did not work; NULL: all did, but datagrams may be lost */
    uint64_t sent, reached, returned; /* from the client, at the target, back at the client */
    uint64_t duplicates, reordered, mismatches;
    uint64_t started_ns, finished_ns;
    struct samples round_trip;
};

/* Start the target and set up every association: one datagram goes there and
 * back on each. 0, or -1 with an error in the outcome. */
int datagrams_open(const struct datagram_plan *plan, struct datagram_outcome *outcome);

/* Send and receive; ends when all came back, or none for half a second. */
void datagrams_run(const struct datagram_plan *plan, struct datagram_outcome *outcome);

void datagrams_close(void);

#endif
