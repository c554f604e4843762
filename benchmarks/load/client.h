/* The client side of every mode: opens connections through the proxy, runs the
 * exchanges of a plan on each, and measures. One thread, one epoll loop. */
#ifndef CLIENT_H
#define CLIENT_H

#include <netinet/in.h>
#include <stdint.h>

#include "samples.h"

struct plan {
    const struct sockaddr_in *proxy; /* NULL: straight to the target */
    struct sockaddr_in target;
    uint32_t connections; /* in all */
    uint32_t concurrency; /* open at once */
    uint32_t opening;     /* between connect and the first byte of the reply at once */
    uint32_t times;       /* exchanges on each connection */
    uint64_t request;     /* bytes of each, after the header */
    uint64_t reply;       /* bytes of each */
    uint64_t rate;        /* bytes a second of each reply; 0: as fast as possible */
    uint64_t interval;    /* nanoseconds between two sends of a paced reply */
    int hold;             /* keep connections open until told to close */
    uint64_t deadline_ns; /* on now_ns()'s clock */
};

struct outcome {
    uint32_t completed, failed;
    uint32_t lost;              /* held connections that the other side closed */
    const char *error;          /* of the first failure */
    uint64_t sent, received;    /* payload bytes, without headers and handshakes */
    uint64_t started_ns, finished_ns;
    struct samples first_byte;  /* connect to the first byte of the first reply */
    struct samples exchange;    /* first request byte to last reply byte */
};

/* Run the plan to its end or its deadline. `ready` is called, where the plan
 * holds, once every connection is open; it returns when they are to be closed. */
void client_run(const struct plan *plan, struct outcome *outcome);

/* Close the connections that a plan with `hold` left open; counts the lost ones. */
void client_close(struct outcome *outcome);

#endif
