/* One connection through the relay: two threads, one for each direction. */
#ifndef RELAY_H
#define RELAY_H

#include <stdint.h>

#include "records.h"

enum role { SERVER, LOCAL, PROXY };

struct service {
    enum role role;
    struct key key;       /* not for PROXY */
    uint16_t server_port; /* for LOCAL: where the server is, on 127.0.0.1 */
};

/* Serve one accepted connection to its end; closes `fd`. */
void serve(const struct service *service, int fd);

#endif
