/* The client side of every mode: opens connections through the proxy, runs the
 * exchanges of a plan on each, and measures. One thread, one epoll loop. */
#ifndef CLIENT_H
#define CLIENT_H

#include <netinet/in.h>
#include <stdint.h>

#include "samples.h"

struct plan {
    const struct sockaddr_in *proxy; /* NULL: straight to the target */
    const struct sockaddr_in *targets; /* `spread` of them, in turn */
    uint32_t spread;                   /* loopback addresses to connect from, in turn; 1: any */
    uint32_t connections; /* in all */
    uint32_t concurrency; /* open at once */
    uint32_t opening;     /* between connect and the first byte of the reply at once */
    uint32_t times;       /* exchanges on each connection, after the warm-up */
    uint64_t request;     /* bytes of each, after the header */
    uint64_t reply;       /* bytes of each */
    uint64_t rate;        /* bytes a second of each reply; 0: as fast as possible */
    uint64_t interval;    /* nanoseconds between two sends of a paced reply */
    uint64_t every;       /* nanoseconds between two requests of a connection; 0: no pause. One that
                             is late counts from when it was due */
    uint64_t read_rate;   /* bytes a second that each connection reads; 0: all there is */
    int warm_up;          /* a byte each way on all connections, before the exchanges begin */
    int hold;             /* keep connections open until told to close */
    int until_told;       /* end when standard input has a line or ends, whatever is open */
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

/* Begin a plan; where it has a warm-up, return once that is done on every connection. */
void client_open(const struct plan *plan, struct outcome *outcome);

/* Run the plan to its end or its deadline, or until told. */
void client_run(void);

/* Close the connections that are left open; counts held ones that were lost. */
void client_close(void);

#endif
