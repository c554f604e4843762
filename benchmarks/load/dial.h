/* Connecting to the target, straight or through a SOCKS5 proxy (RFC 1928, no
 * authentication, CONNECT to an IPv4 address), without blocking. Each message
 * waits for the answer to the one before, as curl and most clients do. */
#ifndef DIAL_H
#define DIAL_H

#include <netinet/in.h>
#include <stddef.h>

enum dial_stage { DIAL_CONNECTING, DIAL_GREETING, DIAL_REQUEST, DIAL_DONE, DIAL_FAILED };

struct dial {
    int fd;
    enum dial_stage stage;
    const char *error; /* static text, once stage is DIAL_FAILED */
    unsigned char reply[262];
    size_t have;
};

/* Open a socket and begin to connect to `proxy`, or to `target` where proxy is
 * NULL, from the address `source` where that is not NULL. stage is DIAL_FAILED
 * when not even that worked. */
void dial_start(struct dial *d, const struct sockaddr_in *proxy, const struct sockaddr_in *target,
                const struct sockaddr_in *source);

/* Go as far as possible without blocking; call when the socket is ready. */
void dial_advance(struct dial *d, const struct sockaddr_in *proxy, const struct sockaddr_in *target);

#endif
