#include "target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "exchange.h"
#include "pattern.h"

#define EVENTS 256

enum phase { HEADER, REQUEST, REPLY, ENDED };

struct conn {
    int fd;
    enum phase phase;
    size_t header_have;
    struct exchange exchange;
    uint32_t exchanges_done;
    int listens;                  /* a listener, no connection */
    uint64_t done;               /* bytes of the current request or reply */
    uint64_t pace_start, pace_next;
    struct conn *previous, *next; /* in the list of paced flows */
};

static int epoll, idle_event;
static struct conn *paced;
static atomic_uint mismatches;
static atomic_int active;
static unsigned char buffer[PATTERN_RUN];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void leave_paced(struct conn *c)
{
    if (c->previous)
        c->previous->next = c->next;
    else if (paced == c)
        paced = c->next;
    if (c->next)
        c->next->previous = c->previous;
}

static void drop(struct conn *c)
{
    uint64_t one = 1;

    leave_paced(c);
    close(c->fd);
    free(c);
    if (atomic_fetch_sub(&active, 1) == 1 && write(idle_event, &one, sizeof one) < 0)
        die("eventfd");
}

static void reset(struct conn *c)
{
    struct linger now = {1, 0};

    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    drop(c);
}

/* The outcome of one step: go on, wait for the next event, or the connection is gone. */
enum step { AGAIN, WAIT, GONE };

static enum step ended(struct conn *c, ssize_t n)
{
    if (n < 0 && errno == EINTR)
        return AGAIN;
    if (n < 0 && errno == EAGAIN)
        return WAIT;
    drop(c);
    return GONE;
}

static enum step read_header(struct conn *c)
{
    unsigned char *into = (unsigned char *)&c->exchange + c->header_have;
    ssize_t n = recv(c->fd, into, sizeof c->exchange - c->header_have, 0);

    if (n <= 0)
        return ended(c, n);
    c->header_have += (size_t)n;
    if (c->header_have < sizeof c->exchange)
        return AGAIN;
    if (c->exchange.magic != EXCHANGE_MAGIC) {
        atomic_fetch_add(&mismatches, 1);
        reset(c);
        return GONE;
    }
    c->phase = REQUEST;
    return AGAIN;
}

static void begin_reply(struct conn *c)
{
    c->phase = REPLY;
    c->done = 0;
    if (c->exchange.rate && !is_warm_up(&c->exchange, c->exchanges_done)) {
        c->pace_start = c->pace_next = now_ns();
        c->previous = NULL;
        c->next = paced;
        if (paced)
            paced->previous = c;
        paced = c;
    }
}

static enum step read_request(struct conn *c)
{
    uint64_t size = request_size(&c->exchange, c->exchanges_done), left = size - c->done;
    ssize_t n;

    if (left) {
        n = recv(c->fd, buffer, left < sizeof buffer ? left : sizeof buffer, 0);
        if (n <= 0)
            return ended(c, n);
        if (!pattern_matches(buffer, (size_t)n, c->exchange.seed + c->done)) {
            atomic_fetch_add(&mismatches, 1);
            reset(c);
            return GONE;
        }
        c->done += (uint64_t)n;
    }
    if (c->done == size)
        begin_reply(c);
    return AGAIN;
}

/* Bytes of the reply that may have been sent by now. */
static uint64_t due(const struct conn *c)
{
    uint64_t bytes;

    if (!c->exchange.rate || is_warm_up(&c->exchange, c->exchanges_done))
        return reply_size(&c->exchange, c->exchanges_done);
    bytes = (c->pace_next - c->pace_start + c->exchange.interval) * c->exchange.rate / NS_PER_S;
    return bytes < c->exchange.reply ? bytes : c->exchange.reply;
}

static enum step send_reply(struct conn *c)
{
    uint64_t left = due(c) - c->done;
    ssize_t n;

    if (left) {
        n = send(c->fd, pattern_at(c->exchange.seed + c->done),
                 left < PATTERN_RUN ? left : PATTERN_RUN, MSG_NOSIGNAL);
        if (n <= 0)
            return ended(c, n);
        c->done += (uint64_t)n;
    }
    if (c->done == reply_size(&c->exchange, c->exchanges_done)) {
        leave_paced(c);
        c->previous = c->next = NULL;
        c->done = 0;
        c->exchanges_done++;
        c->phase = c->exchanges_done == c->exchange.times ? ENDED : REQUEST;
        return AGAIN;
    }
    return c->done == due(c) ? WAIT : AGAIN;
}

static enum step read_end(struct conn *c)
{
    ssize_t n = recv(c->fd, buffer, 1, 0);

    if (n > 0) {
        atomic_fetch_add(&mismatches, 1);
        reset(c);
        return GONE;
    }
    return ended(c, n);
}

static void advance(struct conn *c)
{
    enum step step = AGAIN;

    while (step == AGAIN) {
        switch (c->phase) {
        case HEADER:
            step = read_header(c);
            break;
        case REQUEST:
            step = read_request(c);
            break;
        case REPLY:
            step = send_reply(c);
            break;
        case ENDED:
            step = read_end(c);
            break;
        }
    }
}

static void advance_paced(void)
{
    uint64_t now = now_ns();

    for (struct conn *c = paced, *next; c; c = next) {
        next = c->next;
        if (now >= c->pace_next + c->exchange.interval) {
            c->pace_next += c->exchange.interval;
            advance(c);
        }
    }
}

static void accept_all(int listener)
{
    for (;;) {
        int on = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
        struct conn *c;

        if (fd < 0) {
            if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR)
                return;
            die("accept");
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        c = calloc(1, sizeof *c);
        if (!c)
            die("calloc");
        c->fd = fd;
        event.data.ptr = c;
        atomic_fetch_add(&active, 1);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
            die("epoll_ctl");
    }
}

static void *run(void *unused)
{
    struct epoll_event events[EVENTS];

    (void)unused;
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, paced ? 1 : -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;

            if (c->listens)
                accept_all(c->fd);
            else
                advance(c);
        }
        if (paced)
            advance_paced();
    }
    return NULL;
}

static void listen_at(struct sockaddr_in *address)
{
    struct conn *c = calloc(1, sizeof *c);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    socklen_t size = sizeof *address;

    if (!c)
        die("calloc");
    c->listens = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || bind(c->fd, (struct sockaddr *)address, size) < 0 || listen(c->fd, 4096) < 0 ||
        getsockname(c->fd, (struct sockaddr *)address, &size) < 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("listen");
}

void target_start(struct sockaddr_in *addresses, uint32_t count)
{
    pthread_t thread;

    epoll = epoll_create1(EPOLL_CLOEXEC);
    idle_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (epoll < 0 || idle_event < 0)
        die("epoll");
    for (uint32_t i = 0; i < count; i++) {
        addresses[i] = (struct sockaddr_in){.sin_family = AF_INET,
                                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK + i)};
        listen_at(&addresses[i]);
    }
    errno = pthread_create(&thread, NULL, run, NULL);
    if (errno)
        die("pthread_create");
}

unsigned target_mismatches(void)
{
    return atomic_load(&mismatches);
}

int target_wait_idle(uint64_t deadline_ns)
{
    while (atomic_load(&active) > 0) {
        struct pollfd waiting = {.fd = idle_event, .events = POLLIN};
        uint64_t now = now_ns(), count;

        if (now >= deadline_ns)
            return 0;
        poll(&waiting, 1, (int)((deadline_ns - now) / NS_PER_MS) + 1);
        if (read(idle_event, &count, sizeof count) < 0 && errno != EAGAIN)
            die("eventfd");
    }
    return 1;
}
