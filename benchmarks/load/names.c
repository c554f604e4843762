/* Connections to names, through a SOCKS5 proxy: how many a second, how long the first byte takes.
 *
 * names PROXY_PORT COUNT AT_ONCE SILENT DELAY_MS
 *
 * One thread is all of it: the name server, at 127.0.0.1:53, that answers each question after the
 * delay (127.0.0.1, TTL 60; no IPv6 address); the target, which echoes a byte and closes; and COUNT
 * connections to names that are all different, AT_ONCE at a time, beside SILENT ones to names that
 * the name server never answers for, opened again when they fail. Writes a line of JSON. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "samples.h"

#define MOST_WAITING 65536u
#define DEADLINE_S 60

enum kind { NAME_SERVER, LISTENER, TARGET, CLIENT };
enum stage { CONNECTING, GREETING, REQUESTING, ECHOING };

struct end {
    enum kind kind;
    enum stage stage;
    int fd;
    int silent;
    uint64_t begun_ns;
    char name[32];
};

struct answer {
    uint64_t due_ns;
    struct sockaddr_in to;
    size_t size;
    unsigned char data[128];
};

static int poller, name_server, proxy_port, target_port;
static uint32_t wanted, opened, done, failed, silent_asked, silent_opened;
static uint64_t delay_ns;
static struct answer *answers;
static uint32_t first, next;
static struct samples times;
static struct end ends[3];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void watch(struct end *end, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = end};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, end->fd, &event) < 0)
        die("epoll_ctl");
}

static struct end *make(enum kind kind, int fd, uint32_t events)
{
    struct end *end = calloc(1, sizeof *end);
    if (!end)
        die("calloc");
    end->kind = kind;
    end->fd = fd;
    watch(end, events);
    return end;
}

static void drop(struct end *end)
{
    close(end->fd);
    free(end);
}

static void open_client(int silent)
{
    struct sockaddr_in proxy = loopback(proxy_port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0)
        die("socket");
    if (connect(fd, (struct sockaddr *)&proxy, sizeof proxy) < 0 && errno != EINPROGRESS)
        die("connect");
    struct end *end = make(CLIENT, fd, EPOLLIN | EPOLLOUT | EPOLLET);
    end->silent = silent;
    end->begun_ns = now_ns();
    snprintf(end->name, sizeof end->name, silent ? "silent%u.test" : "name%u.test",
             silent ? silent_opened++ : opened++);
}

static void finish(struct end *end, int well)
{
    int silent = end->silent;
    if (!silent && well)
        samples_add(&times, now_ns() - end->begun_ns);
    drop(end);
    if (silent) {
        open_client(1);
        return;
    }
    done++;
    failed += !well;
    if (opened < wanted)
        open_client(0);
}

/* A few bytes always fit; what else is wrong the next recv tells. */
static void send_all(struct end *end, const void *data, size_t size)
{
    (void)!send(end->fd, data, size, MSG_NOSIGNAL);
}

static void ask(struct end *end)
{
    unsigned char request[64] = {5, 1, 0, 3};
    size_t size = strlen(end->name);
    request[4] = (unsigned char)size;
    memcpy(request + 5, end->name, size);
    request[5 + size] = (unsigned char)(target_port >> 8);
    request[6 + size] = (unsigned char)target_port;
    send_all(end, request, size + 7);
}

/* Proxies answer with an IPv4 or an IPv6 address, at once: the sizes are those of whole messages. */
static void client_ready(struct end *end)
{
    unsigned char data[64];
    if (end->stage == CONNECTING) {
        send_all(end, "\x05\x01\x00", 3);
        end->stage = GREETING;
    }
    for (;;) {
        ssize_t size = recv(end->fd, data, sizeof data, 0);
        if (size < 0 && errno == EAGAIN)
            return;
        if (size <= 0) {
            finish(end, 0);
            return;
        }
        if (end->stage == GREETING) {
            end->stage = REQUESTING;
            ask(end);
        } else if (end->stage == REQUESTING) {
            if (size < 10 || data[1]) {
                finish(end, 0);
                return;
            }
            end->stage = ECHOING;
            send_all(end, "x", 1);
        } else {
            finish(end, 1);
            return;
        }
    }
}

static void accept_all(void)
{
    int fd;
    while ((fd = accept4(ends[LISTENER].fd, NULL, NULL, SOCK_NONBLOCK)) >= 0)
        make(TARGET, fd, EPOLLIN);
}

static void target_ready(struct end *end)
{
    char byte;
    if (recv(end->fd, &byte, 1, 0) == 1)
        send_all(end, &byte, 1);
    drop(end);
}

static void questions_ready(void)
{
    static const unsigned char record[] = {0xC0, 0x0C, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1};
    unsigned char data[512];
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    ssize_t got;
    while ((got = recvfrom(name_server, data, sizeof data, 0, (struct sockaddr *)&from, &length)) > 12) {
        size_t end = 12;
        while (end < (size_t)got && data[end])
            end += data[end] + 1u;
        end += 5;
        if (end > (size_t)got || end + sizeof record > sizeof answers->data)
            continue;
        if (!memcmp(data + 13, "silent", 6)) {
            silent_asked++;
            continue;
        }
        struct answer *answer = &answers[next++ % MOST_WAITING];
        int known = data[end - 3] == 1;
        memcpy(answer->data, data, end);
        memcpy(answer->data + 2, known ? "\x81\x80\0\1\0\1\0\0\0\0" : "\x81\x80\0\1\0\0\0\0\0\0", 10);
        if (known)
            memcpy(answer->data + end, record, sizeof record);
        answer->size = end + (known ? sizeof record : 0);
        answer->to = from;
        answer->due_ns = now_ns() + delay_ns;
        length = sizeof from;
    }
}

/* Send the answers that are due, and return the milliseconds until the next one. */
static int answer_due(void)
{
    while (first != next) {
        struct answer *answer = &answers[first % MOST_WAITING];
        uint64_t now = now_ns();
        if (answer->due_ns > now)
            return (int)((answer->due_ns - now) / NS_PER_MS) + 1;
        sendto(name_server, answer->data, answer->size, 0, (struct sockaddr *)&answer->to,
               sizeof answer->to);
        first++;
    }
    return 100;
}

static void turn(void)
{
    struct epoll_event events[256];
    int count = epoll_wait(poller, events, 256, answer_due());
    for (int i = 0; i < count; i++) {
        struct end *end = events[i].data.ptr;
        if (end->kind == NAME_SERVER)
            questions_ready();
        else if (end->kind == LISTENER)
            accept_all();
        else if (end->kind == TARGET)
            target_ready(end);
        else
            client_ready(end);
    }
}

static void listen_all(void)
{
    struct sockaddr_in address = loopback(53);
    socklen_t length = sizeof address;
    int room = 4 << 20;
    name_server = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    setsockopt(name_server, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    if (bind(name_server, (struct sockaddr *)&address, length) < 0)
        die("port 53");
    ends[NAME_SERVER] = (struct end){.kind = NAME_SERVER, .fd = name_server};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    address = loopback(0);
    if (bind(listener, (struct sockaddr *)&address, length) < 0 || listen(listener, 4096) < 0)
        die("listen");
    getsockname(listener, (struct sockaddr *)&address, &length);
    target_port = ntohs(address.sin_port);
    ends[LISTENER] = (struct end){.kind = LISTENER, .fd = listener};
    watch(&ends[NAME_SERVER], EPOLLIN);
    watch(&ends[LISTENER], EPOLLIN);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "names PROXY_PORT COUNT AT_ONCE SILENT DELAY_MS\n");
        return 2;
    }
    proxy_port = atoi(argv[1]);
    wanted = (uint32_t)atoi(argv[2]);
    uint32_t at_once = (uint32_t)atoi(argv[3]), silent = (uint32_t)atoi(argv[4]);
    delay_ns = (uint64_t)atoi(argv[5]) * (uint64_t)NS_PER_MS;
    answers = calloc(MOST_WAITING, sizeof *answers);
    poller = epoll_create1(0);
    samples_init(&times, wanted);
    listen_all();
    for (uint32_t i = 0; i < silent; i++)
        open_client(1);
    uint64_t start = now_ns();
    /* A proxy that has no more threads asks for some of them only. */
    while (silent_asked < silent && now_ns() < start + NS_PER_S)
        turn();
    start = now_ns();
    for (uint32_t i = 0; i < at_once && opened < wanted; i++)
        open_client(0);
    while (done < wanted && now_ns() < start + DEADLINE_S * NS_PER_S)
        turn();
    double seconds = (double)(now_ns() - start) / (double)NS_PER_S;
    printf("{\"seconds\": %.4f, \"done\": %u, \"failed\": %u, \"silent_asked\": %u, ", seconds, done,
           failed, silent_asked);
    samples_print(&times, "first_byte", stdout);
    printf("}\n");
    return 0;
}
