#include "datagrams.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "pattern.h"

#define MAGIC 0x66736475u
#define EVENTS 256
#define SOCKS_HEADER 10 /* RSV, FRAG, ATYP, an IPv4 address, a port */
#define WARM_UP_TRIES 20
#define WARM_UP_MS 250
#define QUIET_NS (500 * NS_PER_MS)
/* A client that was late sends no more than this many intervals' datagrams at once. */
#define MOST_INTERVALS 2

struct header {
    uint32_t magic, association;
    uint64_t number; /* 0: to set up the association, not counted */
    uint64_t sent_ns;
};

struct association {
    int control, fd;
    uint32_t index;
    uint64_t sent, highest;
    unsigned char *seen; /* a byte for each number */
};

static struct association *associations;
static uint32_t open_count;
static int target, epoll = -1;
static struct sockaddr_in target_address;
static atomic_ullong reached, target_mismatched;
static unsigned char out[SOCKS_HEADER + DATAGRAM_MOST], in[SOCKS_HEADER + DATAGRAM_MOST + 1];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void enlarge_buffer(int fd)
{
    int size = 8 * 1024 * 1024;

    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

static uint64_t offset_of(const struct header *h)
{
    return (uint64_t)h->association * 7919 + h->number * 31;
}

static int is_whole(const unsigned char *data, size_t size, struct header *h)
{
    if (size < sizeof *h)
        return 0;
    memcpy(h, data, sizeof *h);
    return h->magic == MAGIC &&
           pattern_matches(data + sizeof *h, size - sizeof *h, offset_of(h));
}

static void *echo(void *unused)
{
    static unsigned char data[DATAGRAM_MOST + 1];

    (void)unused;
    for (;;) {
        struct sockaddr_in source;
        socklen_t length = sizeof source;
        struct header h;
        ssize_t n = recvfrom(target, data, sizeof data, 0, (struct sockaddr *)&source, &length);

        if (n < 0)
            continue;
        if (!is_whole(data, (size_t)n, &h)) {
            atomic_fetch_add(&target_mismatched, 1);
            continue;
        }
        if (h.number)
            atomic_fetch_add(&reached, 1);
        sendto(target, data, (size_t)n, 0, (struct sockaddr *)&source, length);
    }
    return NULL;
}

static void start_target(void)
{
    socklen_t length = sizeof target_address;
    pthread_t thread;

    target_address.sin_family = AF_INET;
    target_address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    target = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (target < 0 || bind(target, (struct sockaddr *)&target_address, length) < 0 ||
        getsockname(target, (struct sockaddr *)&target_address, &length) < 0)
        die("target");
    enlarge_buffer(target);
    errno = pthread_create(&thread, NULL, echo, NULL);
    if (errno)
        die("pthread_create");
}

static int receive_exactly(int fd, unsigned char *data, size_t size)
{
    return recv(fd, data, size, MSG_WAITALL) == (ssize_t)size;
}

/* Ask a SOCKS5 proxy to relay; NULL, or what went wrong. */
static const char *associate(struct association *a, const struct sockaddr_in *proxy)
{
    static const unsigned char greeting[] = {5, 1, 0};
    static const unsigned char request[10] = {5, 3, 0, 1};
    struct timeval limit = {.tv_sec = 10};
    struct sockaddr_in relay = {.sin_family = AF_INET};
    unsigned char reply[10];

    a->control = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (a->control < 0)
        return strerror(errno);
    setsockopt(a->control, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(a->control, (const struct sockaddr *)proxy, sizeof *proxy) < 0)
        return strerror(errno);
    if (send(a->control, greeting, sizeof greeting, MSG_NOSIGNAL) < 0 ||
        !receive_exactly(a->control, reply, 2) || reply[0] != 5 || reply[1] != 0)
        return "the proxy did not take the greeting";
    if (send(a->control, request, sizeof request, MSG_NOSIGNAL) < 0 ||
        !receive_exactly(a->control, reply, sizeof reply) || reply[1] != 0 || reply[3] != 1)
        return "the proxy did not take UDP ASSOCIATE";
    memcpy(&relay.sin_addr, reply + 4, 4);
    memcpy(&relay.sin_port, reply + 8, 2);
    if (connect(a->fd, (struct sockaddr *)&relay, sizeof relay) < 0)
        return strerror(errno);
    return NULL;
}

static size_t put_socks_header(const struct datagram_plan *plan)
{
    static const unsigned char start[] = {0, 0, 0, 1};

    if (!plan->proxy)
        return 0;
    memcpy(out, start, sizeof start);
    memcpy(out + 4, &target_address.sin_addr, 4);
    memcpy(out + 8, &target_address.sin_port, 2);
    return SOCKS_HEADER;
}

static int send_one(const struct datagram_plan *plan, struct association *a, uint64_t number)
{
    size_t at = put_socks_header(plan);
    struct header h = {.magic = MAGIC, .association = a->index, .number = number};

    h.sent_ns = now_ns();
    memcpy(out + at, &h, sizeof h);
    memcpy(out + at + sizeof h, pattern_at(offset_of(&h)), plan->size - sizeof h);
    return send(a->fd, out, at + plan->size, MSG_NOSIGNAL) >= 0;
}

/* 1: a datagram of this association, 0: none is there, -1: one that was not sent like that. */
static int receive_one(const struct datagram_plan *plan, struct association *a, struct header *h)
{
    ssize_t n = recv(a->fd, in, sizeof in, MSG_DONTWAIT);
    size_t at = plan->proxy ? SOCKS_HEADER : 0;

    if (n < 0)
        return 0;
    put_socks_header(plan);
    if ((size_t)n != at + plan->size || memcmp(in, out, at) != 0)
        return -1;
    if (!is_whole(in + at, (size_t)n - at, h) || h->association != a->index ||
        h->number > a->sent)
        return -1;
    return 1;
}

static const char *warm_up(const struct datagram_plan *plan, struct association *a)
{
    struct epoll_event event;
    struct header h;

    for (int i = 0; i < WARM_UP_TRIES; i++) {
        if (!send_one(plan, a, 0) && errno != ECONNREFUSED)
            return strerror(errno);
        if (epoll_wait(epoll, &event, 1, WARM_UP_MS) > 0 &&
            receive_one(plan, event.data.ptr, &h) > 0 && h.association == a->index)
            return NULL;
    }
    return "no datagram came back";
}

int datagrams_open(const struct datagram_plan *plan, struct datagram_outcome *outcome)
{
    uint64_t each = plan->count / plan->associations + 2;

    start_target();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    associations = calloc(plan->associations, sizeof *associations);
    if (epoll < 0 || !associations)
        die("load");
    while (open_count < plan->associations && !outcome->error) {
        struct association *a = &associations[open_count];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = a};

        a->index = open_count++;
        a->control = -1;
        a->seen = calloc(each, 1);
        a->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (!a->seen || a->fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, a->fd, &event) < 0)
            die("load");
        enlarge_buffer(a->fd);
        if (plan->proxy)
            outcome->error = associate(a, plan->proxy);
        else if (connect(a->fd, (struct sockaddr *)&target_address, sizeof target_address) < 0)
            outcome->error = strerror(errno);
        if (!outcome->error)
            outcome->error = warm_up(plan, a);
    }
    return outcome->error ? -1 : 0;
}

static void receive_all(const struct datagram_plan *plan, struct datagram_outcome *outcome,
                        struct association *a)
{
    struct header h;
    int got;

    while ((got = receive_one(plan, a, &h)) != 0) {
        uint64_t now = now_ns();

        if (got < 0) {
            outcome->mismatches++;
        } else if (h.number && a->seen[h.number]) {
            outcome->duplicates++;
        } else if (h.number) {
            a->seen[h.number] = 1;
            outcome->returned++;
            outcome->finished_ns = now;
            samples_add(&outcome->round_trip, now - h.sent_ns);
            if (h.number < a->highest)
                outcome->reordered++;
            else
                a->highest = h.number;
        }
    }
}

static void send_due(const struct datagram_plan *plan, struct datagram_outcome *outcome,
                     uint64_t due)
{
    while (outcome->sent < due) {
        struct association *a = &associations[outcome->sent % plan->associations];

        /* What the kernel refuses counts as sent, and so as lost. */
        a->sent++;
        send_one(plan, a, a->sent);
        outcome->sent++;
    }
}

void datagrams_run(const struct datagram_plan *plan, struct datagram_outcome *outcome)
{
    uint64_t start = now_ns(), next = start, quiet_since = start;
    uint64_t burst = plan->rate * plan->interval * MOST_INTERVALS / NS_PER_S + 1;

    outcome->started_ns = outcome->finished_ns = start;
    while (outcome->returned < plan->count) {
        struct epoll_event events[EVENTS];
        uint64_t now = now_ns(), before = outcome->returned;
        int n, wait;

        if (now >= plan->deadline_ns) {
            outcome->error = "deadline";
            break;
        }
        if (outcome->sent < plan->count && now >= next) {
            uint64_t due = (uint64_t)((double)(now - start) * (double)plan->rate / 1e9) + 1;

            if (due > outcome->sent + burst) {
                /* Late: what was missed is not made up for. */
                start += (uint64_t)((double)(due - outcome->sent - burst) * 1e9 /
                                    (double)plan->rate);
                due = outcome->sent + burst;
            }
            send_due(plan, outcome, due < plan->count ? due : plan->count);
            next += plan->interval;
            if (next < now)
                next = now + plan->interval;
            quiet_since = now;
        }
        if (outcome->sent == plan->count && now - quiet_since > QUIET_NS)
            break;
        now = now_ns();
        wait = outcome->sent == plan->count ? 20
               : next > now                 ? (int)((next - now + NS_PER_MS - 1) / NS_PER_MS)
                                            : 0;
        n = epoll_wait(epoll, events, EVENTS, wait);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++)
            receive_all(plan, outcome, events[i].data.ptr);
        if (outcome->returned != before)
            quiet_since = now_ns();
    }
    outcome->reached = atomic_load(&reached);
    outcome->mismatches += atomic_load(&target_mismatched);
}

void datagrams_close(void)
{
    for (uint32_t i = 0; i < open_count; i++) {
        close(associations[i].fd);
        if (associations[i].control >= 0)
            close(associations[i].control);
        free(associations[i].seen);
    }
    free(associations);
    associations = NULL;
    open_count = 0;
    if (epoll >= 0)
        close(epoll);
}
