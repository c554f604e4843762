/* relay: the same relay in C with blocking threads and the same libcrypto, for comparison.
 *
 * Close to the least that bulk transfer can cost, and not the least for connections: two
 * threads and 1 MiB of buffers each. A yardstick, no product: it trusts its peers, has no
 * timeouts, no replay protection and no names, and listens on 127.0.0.1 only. */
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "relay.h"
#include "sockets.h"

struct accepted {
    const struct service *service;
    int fd;
};

static void *run(void *argument)
{
    struct accepted accepted = *(struct accepted *)argument;

    free(argument);
    serve(accepted.service, accepted.fd);
    return NULL;
}

static void usage(void)
{
    fputs("usage: relay server PORT METHOD PASSWORD\n"
          "       relay local PORT METHOD PASSWORD SERVER_PORT\n"
          "       relay proxy PORT\n"
          "       relay version\n",
          stderr);
    exit(2);
}

static uint16_t port(const char *text)
{
    long value = strtol(text, NULL, 10);

    if (value < 1 || value > 65535)
        usage();
    return (uint16_t)value;
}

int main(int argc, char **argv)
{
    struct service service = {0};
    pthread_attr_t detached;
    int listener;

    if (argc == 2 && strcmp(argv[1], "version") == 0) {
        printf("C threads, %s\n", OpenSSL_version(OPENSSL_VERSION));
        return 0;
    }
    if (argc == 5 && strcmp(argv[1], "server") == 0) {
        service.role = SERVER;
    } else if (argc == 6 && strcmp(argv[1], "local") == 0) {
        service.role = LOCAL;
        service.server_port = port(argv[5]);
    } else if (argc == 3 && strcmp(argv[1], "proxy") == 0) {
        service.role = PROXY;
    } else {
        usage();
    }
    if (service.role != PROXY && !key_init(&service.key, argv[3], argv[4])) {
        fprintf(stderr, "relay: unknown method %s\n", argv[3]);
        return 2;
    }
    listener = listen_on(port(argv[2]));
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        struct accepted *accepted = fd < 0 ? NULL : malloc(sizeof *accepted);
        pthread_t thread;

        if (!accepted)
            continue;
        accepted->service = &service;
        accepted->fd = fd;
        if (pthread_create(&thread, &detached, run, accepted) != 0)
            abort();
    }
}
