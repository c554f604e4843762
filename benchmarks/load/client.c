#include "client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "dial.h"
#include "exchange.h"
#include "pattern.h"

#define EVENTS 256

struct flow {
    struct dial dial;
    struct exchange exchange;
    size_t header_sent;
    uint32_t exchanges_done;
    uint64_t sent, received; /* bytes of the current request and reply */
    uint64_t opened_ns, exchange_ns;
    int got_first_byte;
};

static const struct plan *plan;
static struct outcome *out;
static struct flow *flows, **spare;
static uint32_t spare_count, opened, opening, running;
static int epoll;
static unsigned char buffer[PATTERN_RUN];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void close_flow(struct flow *f)
{
    if (!f->got_first_byte)
        opening--;
    running--;
    if (f->dial.fd >= 0)
        close(f->dial.fd);
    f->dial.fd = -1;
    spare[spare_count++] = f;
}

static void fail_flow(struct flow *f, const char *error)
{
    out->failed++;
    if (!out->error)
        out->error = error;
    close_flow(f);
}

static void open_flow(void)
{
    struct flow *f = spare[--spare_count];
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = f};

    memset(f, 0, sizeof *f);
    f->exchange.magic = EXCHANGE_MAGIC;
    f->exchange.times = plan->times;
    f->exchange.request = plan->request;
    f->exchange.reply = plan->reply;
    f->exchange.rate = plan->rate;
    f->exchange.interval = plan->interval;
    f->exchange.seed = (uint64_t)opened * 7919;
    f->opened_ns = now_ns();
    opened++;
    opening++;
    running++;
    dial_start(&f->dial, plan->proxy, &plan->target);
    if (f->dial.stage == DIAL_FAILED)
        fail_flow(f, f->dial.error);
    else if (epoll_ctl(epoll, EPOLL_CTL_ADD, f->dial.fd, &event) < 0)
        die("epoll_ctl");
}

/* Each returns 1 when it got further, 0 when it must wait, -1 when the flow is gone. */

static int stuck(struct flow *f, ssize_t n)
{
    if (n < 0 && errno == EINTR)
        return 1;
    if (n < 0 && errno == EAGAIN)
        return 0;
    fail_flow(f, n == 0 ? "closed before the exchange was complete" : strerror(errno));
    return -1;
}

static int send_request(struct flow *f)
{
    uint64_t left = f->exchange.request - f->sent;
    const unsigned char *data = pattern_at(f->exchange.seed + f->sent);
    struct iovec parts[2];
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    size_t header_left = sizeof f->exchange - f->header_sent;
    ssize_t n;

    if (f->sent == 0 && f->header_sent == 0)
        f->exchange_ns = now_ns();
    parts[0].iov_base = (unsigned char *)&f->exchange + f->header_sent;
    parts[0].iov_len = header_left;
    parts[1].iov_base = (void *)(uintptr_t)data;
    parts[1].iov_len = left < PATTERN_RUN ? (size_t)left : PATTERN_RUN;
    n = sendmsg(f->dial.fd, &message, MSG_NOSIGNAL);
    if (n < 0)
        return stuck(f, n);
    if ((size_t)n < header_left) {
        f->header_sent += (size_t)n;
    } else {
        f->header_sent = sizeof f->exchange;
        f->sent += (uint64_t)n - header_left;
        out->sent += (uint64_t)n - header_left;
    }
    return 1;
}

static int end_exchange(struct flow *f)
{
    samples_add(&out->exchange, now_ns() - f->exchange_ns);
    if (++f->exchanges_done < plan->times) {
        f->sent = f->received = 0;
        f->exchange_ns = now_ns();
        return 1;
    }
    out->completed++;
    out->finished_ns = now_ns();
    if (plan->hold)
        return 0;
    close_flow(f);
    return -1;
}

static int receive_reply(struct flow *f)
{
    uint64_t left = f->exchange.reply - f->received;
    ssize_t n = recv(f->dial.fd, buffer, left < sizeof buffer ? left : sizeof buffer, 0);

    if (n <= 0)
        return stuck(f, n);
    if (!f->got_first_byte) {
        samples_add(&out->first_byte, now_ns() - f->opened_ns);
        f->got_first_byte = 1;
        opening--;
    }
    if (!pattern_matches(buffer, (size_t)n, f->exchange.seed + f->received)) {
        fail_flow(f, "received bytes that were not sent");
        return -1;
    }
    f->received += (uint64_t)n;
    out->received += (uint64_t)n;
    return f->received == f->exchange.reply ? end_exchange(f) : 1;
}

static void advance(struct flow *f)
{
    int more = 1;

    if (f->exchanges_done == plan->times) { /* held: only its end can have come */
        if (recv(f->dial.fd, buffer, 1, MSG_PEEK) >= 0 || errno != EAGAIN) {
            out->lost++;
            close_flow(f);
        }
        return;
    }
    if (f->dial.stage != DIAL_DONE) {
        dial_advance(&f->dial, plan->proxy, &plan->target);
        if (f->dial.stage == DIAL_FAILED)
            fail_flow(f, f->dial.error);
        if (f->dial.stage != DIAL_DONE)
            return;
    }
    while (more > 0) {
        if (f->header_sent < sizeof f->exchange || f->sent < f->exchange.request)
            more = send_request(f);
        else
            more = receive_reply(f);
    }
}

static void open_due(void)
{
    while (opened < plan->connections && running < plan->concurrency && opening < plan->opening)
        open_flow();
}

static uint32_t pending(void)
{
    return plan->connections - out->completed - out->failed;
}

void client_run(const struct plan *the_plan, struct outcome *outcome)
{
    struct epoll_event events[EVENTS];

    plan = the_plan;
    out = outcome;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    flows = calloc(plan->concurrency, sizeof *flows);
    spare = calloc(plan->concurrency, sizeof *spare);
    if (epoll < 0 || !flows || !spare)
        die("load");
    for (uint32_t i = 0; i < plan->concurrency; i++) {
        flows[i].dial.fd = -1;
        spare[spare_count++] = &flows[i];
    }
    out->started_ns = now_ns();
    open_due();
    while (pending() > 0) {
        uint64_t now = now_ns();
        int n;

        if (now >= plan->deadline_ns) {
            out->failed += pending();
            if (!out->error)
                out->error = "deadline";
            break;
        }
        n = epoll_wait(epoll, events, EVENTS, (int)((plan->deadline_ns - now) / NS_PER_MS) + 1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++)
            advance(events[i].data.ptr);
        open_due();
    }
}

void client_close(struct outcome *outcome)
{
    struct epoll_event events[EVENTS];
    int n;

    out = outcome;
    while ((n = epoll_wait(epoll, events, EVENTS, 0)) > 0)
        for (int i = 0; i < n; i++)
            advance(events[i].data.ptr);
    for (uint32_t i = 0; i < plan->concurrency; i++)
        if (flows[i].dial.fd >= 0)
            close_flow(&flows[i]);
}
