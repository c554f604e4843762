/* Blocking sockets. */
#ifndef SOCKETS_H
#define SOCKETS_H

#include <stddef.h>
#include <stdint.h>

/* Listen on 127.0.0.1; exits the process when that fails. */
int listen_on(uint16_t port);

/* Connect to ATYP ADDR PORT (RFC 1928; names are not resolved); -1 when that fails. */
int dial(const unsigned char *address, size_t size);

/* The size of the ATYP ADDR PORT header that begins at `data`: 0 while it is incomplete,
 * -1 for an unknown type. */
int address_size(const unsigned char *data, size_t size);

/* 1 when all of it went through, 0 when the connection failed. */
int send_all(int fd, const void *data, size_t size);
int receive_all(int fd, void *data, size_t size);

#endif
