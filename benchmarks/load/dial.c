#include "dial.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

static void fail(struct dial *d, const char *error)
{
    d->stage = DIAL_FAILED;
    d->error = error;
}

void dial_start(struct dial *d, const struct sockaddr_in *proxy, const struct sockaddr_in *target,
                const struct sockaddr_in *source)
{
    const struct sockaddr_in *to = proxy ? proxy : target;
    int on = 1;

    d->have = 0;
    d->error = NULL;
    d->stage = DIAL_CONNECTING;
    d->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->fd < 0) {
        fail(d, strerror(errno));
        return;
    }
    setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* The kernel chooses the port when it knows both ends, so that it can be one in use. */
    if (source && (setsockopt(d->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) < 0 ||
        bind(d->fd, (const struct sockaddr *)source, sizeof *source) < 0)) {
        fail(d, strerror(errno));
        return;
    }
    if (connect(d->fd, (const struct sockaddr *)to, sizeof *to) < 0 && errno != EINPROGRESS)
        fail(d, strerror(errno));
}

static int send_message(struct dial *d, const void *message, size_t size)
{
    if (send(d->fd, message, size, MSG_NOSIGNAL) != (ssize_t)size) {
        fail(d, "cannot send to the proxy");
        return 0;
    }
    return 1;
}

/* Receive until `size` bytes of the reply are there; 1 when they are. */
static int receive_reply(struct dial *d, size_t size)
{
    while (d->have < size) {
        ssize_t n = recv(d->fd, d->reply + d->have, size - d->have, 0);
        if (n > 0) {
            d->have += (size_t)n;
        } else if (n == 0) {
            fail(d, "the proxy closed the connection during the handshake");
            return 0;
        } else {
            if (errno != EAGAIN && errno != EINTR)
                fail(d, strerror(errno));
            return 0;
        }
    }
    return 1;
}

static void connecting(struct dial *d, int through_proxy)
{
    static const unsigned char greeting[] = {5, 1, 0};
    int error = 0;
    socklen_t size = sizeof error;

    if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error) {
        fail(d, strerror(error ? error : errno));
        return;
    }
    if (!through_proxy)
        d->stage = DIAL_DONE;
    else if (send_message(d, greeting, sizeof greeting))
        d->stage = DIAL_GREETING;
}

static void greeted(struct dial *d, const struct sockaddr_in *target)
{
    unsigned char request[10] = {5, 1, 0, 1};

    if (!receive_reply(d, 2))
        return;
    if (d->reply[0] != 5 || d->reply[1] != 0) {
        fail(d, "the proxy wants authentication or is no SOCKS5 proxy");
        return;
    }
    memcpy(request + 4, &target->sin_addr, 4);
    memcpy(request + 8, &target->sin_port, 2);
    d->have = 0;
    if (send_message(d, request, sizeof request))
        d->stage = DIAL_REQUEST;
}

static void replied(struct dial *d)
{
    size_t size;

    if (!receive_reply(d, 5))
        return;
    if (d->reply[0] != 5 || d->reply[1] != 0) {
        fail(d, "the proxy refused the CONNECT request");
        return;
    }
    switch (d->reply[3]) {
    case 1:
        size = 4 + 4 + 2;
        break;
    case 3:
        size = 4 + 1 + (size_t)d->reply[4] + 2;
        break;
    case 4:
        size = 4 + 16 + 2;
        break;
    default:
        fail(d, "the proxy's reply has an unknown address type");
        return;
    }
    if (receive_reply(d, size))
        d->stage = DIAL_DONE;
}

void dial_advance(struct dial *d, const struct sockaddr_in *proxy, const struct sockaddr_in *target)
{
    if (d->stage == DIAL_CONNECTING)
        connecting(d, proxy != NULL);
    if (d->stage == DIAL_GREETING)
        greeted(d, target);
    if (d->stage == DIAL_REQUEST)
        replied(d);
}
