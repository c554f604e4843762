#include "client.h"

#include <arpa/inet.h>
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
/* What a connection that reads slowly lets the kernel hold for it, in bytes. */
#define SLOW_BUFFER 65536
#define SLOW_INTERVAL (50 * NS_PER_MS)

struct flow {
    struct dial dial;
    struct exchange exchange;
    const struct sockaddr_in *target;
    size_t header_sent;
    uint32_t exchanges_done;
    uint64_t sent, received; /* bytes of the current request and reply */
    uint64_t opened_ns, exchange_ns, due_ns;
    int got_first_byte, waits;
};

static const struct plan *plan;
static struct outcome *out;
static struct flow *flows, **spare;
static uint32_t spare_count, opened, opening, running, warmed_up;
static int epoll, told, begun;
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
    struct sockaddr_in source = {.sin_family = AF_INET};
    int slow = SLOW_BUFFER;

    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + opened % plan->spread);
    memset(f, 0, sizeof *f);
    f->target = &plan->targets[opened % plan->spread];
    f->exchange.magic = EXCHANGE_MAGIC;
    f->exchange.times = plan->times + (plan->warm_up ? 1 : 0);
    f->exchange.warm_up = plan->warm_up ? 1 : 0;
    f->exchange.request = plan->request;
    f->exchange.reply = plan->reply;
    f->exchange.rate = plan->rate;
    f->exchange.interval = plan->interval;
    f->exchange.seed = (uint64_t)opened * 7919;
    f->opened_ns = now_ns();
    opened++;
    opening++;
    running++;
    dial_start(&f->dial, plan->proxy, f->target, plan->spread > 1 ? &source : NULL);
    if (plan->read_rate)
        setsockopt(f->dial.fd, SOL_SOCKET, SO_RCVBUF, &slow, sizeof slow);
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
    uint64_t left = request_size(&f->exchange, f->exchanges_done) - f->sent;
    const unsigned char *data = pattern_at(f->exchange.seed + f->sent);
    struct iovec parts[2];
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    size_t header_left = sizeof f->exchange - f->header_sent;
    ssize_t n;

    if (f->sent == 0 && f->header_sent == 0)
        f->exchange_ns = f->due_ns = now_ns();
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
    int warm_up = is_warm_up(&f->exchange, f->exchanges_done);

    if (!warm_up)
        samples_add(&out->exchange, now_ns() - f->exchange_ns);
    if (++f->exchanges_done < f->exchange.times) {
        f->sent = f->received = 0;
        f->exchange_ns = now_ns();
        if (warm_up) {
            warmed_up++;
            return 0; /* the others are waited for */
        }
        if (!plan->every)
            return 1;
        f->due_ns += plan->every;
        f->waits = f->due_ns > f->exchange_ns;
        if (!f->waits)
            f->exchange_ns = f->due_ns;
        return !f->waits;
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
    uint64_t size = reply_size(&f->exchange, f->exchanges_done), left = size - f->received;
    ssize_t n;

    if (plan->read_rate && !is_warm_up(&f->exchange, f->exchanges_done)) {
        uint64_t due = (now_ns() - f->exchange_ns) * plan->read_rate / NS_PER_S;

        if (due <= f->received)
            return 0;
        if (left > due - f->received)
            left = due - f->received;
    }
    n = recv(f->dial.fd, buffer, left < sizeof buffer ? left : sizeof buffer, 0);
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
    return f->received == size ? end_exchange(f) : 1;
}

static void advance(struct flow *f)
{
    int more = 1;

    if (f->waits || (!begun && f->exchanges_done == 1)) /* for the others' warm-up */
        return;
    if (f->exchanges_done == f->exchange.times) { /* held: only its end can have come */
        if (recv(f->dial.fd, buffer, 1, MSG_PEEK) >= 0 || errno != EAGAIN) {
            out->lost++;
            close_flow(f);
        }
        return;
    }
    if (f->dial.stage != DIAL_DONE) {
        dial_advance(&f->dial, plan->proxy, f->target);
        if (f->dial.stage == DIAL_FAILED)
            fail_flow(f, f->dial.error);
        if (f->dial.stage != DIAL_DONE)
            return;
    }
    while (more > 0) {
        if (f->header_sent < sizeof f->exchange ||
            f->sent < request_size(&f->exchange, f->exchanges_done))
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

static uint32_t left_to_complete(void)
{
    return plan->connections - out->completed - out->failed;
}

static uint32_t left_to_warm_up(void)
{
    return plan->connections - warmed_up - out->failed;
}

/* Let each connection read what it may by now. */
static void advance_slow(void)
{
    for (uint32_t i = 0; i < plan->concurrency; i++)
        if (flows[i].dial.fd >= 0 && flows[i].dial.stage == DIAL_DONE)
            advance(&flows[i]);
}

/* Let each connection begin the exchange that is due; when the next one is. */
static uint64_t advance_due(void)
{
    uint64_t next = UINT64_MAX;

    for (uint32_t i = 0; i < plan->concurrency; i++) {
        struct flow *f = &flows[i];
        uint64_t now = now_ns();

        if (f->dial.fd >= 0 && f->waits && f->due_ns <= now) {
            f->waits = 0;
            f->exchange_ns = now; /* what the timer was late is not the relay's */
            advance(f);
        }
        if (f->dial.fd >= 0 && f->waits && f->due_ns < next)
            next = f->due_ns;
    }
    return next;
}

static void loop(uint32_t (*left)(void))
{
    struct epoll_event events[EVENTS];
    uint64_t next_slow = now_ns() + SLOW_INTERVAL;

    while (left() > 0 && !told) {
        uint64_t due = plan->every ? advance_due() : UINT64_MAX;
        uint64_t now = now_ns(), until = due < plan->deadline_ns ? due : plan->deadline_ns;
        struct timespec timeout;
        int n;

        if (now >= plan->deadline_ns) {
            out->failed += left();
            if (!out->error)
                out->error = "deadline";
            break;
        }
        if (plan->read_rate && now >= next_slow) {
            next_slow = now + SLOW_INTERVAL;
            advance_slow();
        }
        if (plan->read_rate && next_slow < until)
            until = next_slow;
        until = until > now ? until - now : 0;
        timeout.tv_sec = (time_t)(until / NS_PER_S);
        timeout.tv_nsec = (long)(until % NS_PER_S);
        n = epoll_pwait2(epoll, events, EVENTS, &timeout, NULL);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                advance(events[i].data.ptr);
            else
                told = 1;
        }
        open_due();
    }
}

void client_open(const struct plan *the_plan, struct outcome *outcome)
{
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
    begun = !plan->warm_up;
    if (plan->warm_up)
        loop(left_to_warm_up);
}

void client_run(void)
{
    struct epoll_event line = {.events = EPOLLIN, .data.ptr = NULL};

    if (plan->until_told && epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &line) < 0)
        die("standard input");
    if (plan->warm_up) {
        begun = 1;
        out->sent = out->received = 0;
        out->started_ns = now_ns();
        for (uint32_t i = 0; i < plan->concurrency; i++) {
            flows[i].exchange_ns = flows[i].due_ns = out->started_ns;
            if (flows[i].dial.fd >= 0)
                advance(&flows[i]);
        }
    }
    loop(left_to_complete);
    if (told)
        out->finished_ns = now_ns();
}

void client_close(void)
{
    struct epoll_event events[EVENTS];
    int n;

    while (plan->hold && (n = epoll_wait(epoll, events, EVENTS, 0)) > 0)
        for (int i = 0; i < n; i++)
            advance(events[i].data.ptr);
    for (uint32_t i = 0; i < plan->concurrency; i++)
        if (flows[i].dial.fd >= 0)
            close_flow(&flows[i]);
}
