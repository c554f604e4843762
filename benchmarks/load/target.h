/* The target: a thread with an epoll loop of its own that answers exchanges
 * (exchange.h) on loopback ports that the kernel chose. */
#ifndef TARGET_H
#define TARGET_H

#include <netinet/in.h>
#include <stdint.h>

/* Listen on `count` addresses from 127.0.0.1 on, each with a port of its own, and start the
 * thread; exits the process when that fails. */
void target_start(struct sockaddr_in *addresses, uint32_t count);

/* Requests whose bytes were not those sent; their connections were reset. */
unsigned target_mismatches(void);

/* Wait until the target has no connection left; 0 when `deadline_ns` came first. */
int target_wait_idle(uint64_t deadline_ns);

#endif
