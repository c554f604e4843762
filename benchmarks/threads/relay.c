#include "relay.h"

#include <openssl/rand.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sockets.h"

#define BUFFER ((size_t)256 * 1024)
#define PAYLOAD_WAIT_MS 10 /* for what the client has to say first */
#define HEADER_LIMIT ((size_t)262 + 3) /* with the padding of a 2022 header */

struct flow; /* one direction */
typedef void pump(struct flow *);

struct flow {
    int from, to;
    pump *run;
    const struct key *key;
    unsigned char *data, *other; /* BUFFER, and room for that sealed */
    size_t have;                 /* bytes in `data` already */
    struct records records;      /* without a context until the salt is there */
    unsigned char salt[SALT_LIMIT];
    const struct flow *request; /* where this is the direction of the response */
};

static void pass(struct flow *f)
{
    ssize_t n;

    while ((n = recv(f->from, f->data, BUFFER, 0)) > 0)
        if (!send_all(f->to, f->data, (size_t)n))
            break;
}

static const unsigned char *request_salt(const struct flow *f)
{
    return f->request ? f->request->salt : NULL;
}

/* Seal `size` bytes, behind the salt where they are the first ones. */
static int send_sealed(struct flow *f, const unsigned char *data, size_t size)
{
    unsigned char *at = f->other;

    if (!f->records.context) {
        size_t salt_size = f->key->method->key_size;

        if (RAND_bytes(at, (int)salt_size) != 1)
            return 0;
        memcpy(f->salt, at, salt_size);
        records_init(&f->records, f->key, at, request_salt(f), 1);
        at += salt_size;
    }
    at += records_seal(&f->records, data, size, at);
    return send_all(f->to, f->other, (size_t)(at - f->other));
}

static void seal(struct flow *f)
{
    ssize_t n;

    while ((n = recv(f->from, f->data, BUFFER, 0)) > 0)
        if (!send_sealed(f, f->data, (size_t)n))
            break;
}

/* Receive once and open what is complete, into f->other: payload bytes, -1 at the end. */
static ssize_t receive_opened(struct flow *f)
{
    size_t used = 0, salt_size = f->key->method->key_size;
    ssize_t opened, n = recv(f->from, f->data + f->have, BUFFER - f->have, 0);

    if (n <= 0)
        return -1;
    f->have += (size_t)n;
    if (!f->records.context) {
        if (f->have < salt_size)
            return 0;
        memcpy(f->salt, f->data, salt_size);
        records_init(&f->records, f->key, f->data, request_salt(f), 0);
        f->have -= salt_size;
        memmove(f->data, f->data + salt_size, f->have);
    }
    opened = records_open(&f->records, f->data, f->have, f->other, &used);
    f->have -= used;
    memmove(f->data, f->data + used, f->have);
    return opened;
}

static void open_records(struct flow *f)
{
    ssize_t n;

    while ((n = receive_opened(f)) >= 0)
        if (!send_all(f->to, f->other, (size_t)n))
            break;
}

static void flow_init(struct flow *f, int from, int to, pump *run, const struct key *key)
{
    memset(f, 0, sizeof *f);
    f->from = from;
    f->to = to;
    f->run = run;
    f->key = key;
    f->data = malloc(BUFFER);
    f->other = malloc(records_bound(BUFFER) + SALT_LIMIT);
    if (!f->data || !f->other)
        abort();
}

static void flow_free(struct flow *f)
{
    free(f->data);
    free(f->other);
    records_free(&f->records);
}

static void *run_flow(void *argument)
{
    struct flow *f = argument;

    f->run(f);
    shutdown(f->to, SHUT_WR);
    return NULL;
}

/* Run both directions to their ends: one in a thread of its own, the other here. */
static void run_both(struct flow *out, struct flow *back)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, run_flow, back) != 0)
        return;
    run_flow(out);
    pthread_join(thread, NULL);
}

/* Answer a SOCKS5 client at once; the size of the header it sent, -1 when it is no use. */
static int greet(int fd, unsigned char *header)
{
    static const unsigned char choice[] = {5, 0}, reply[10] = {5, 0, 0, 1};
    unsigned char start[257];
    int size;

    if (!receive_all(fd, start, 2) || start[0] != 5 || !receive_all(fd, start + 2, start[1]) ||
        !send_all(fd, choice, sizeof choice) || !receive_all(fd, start, 3) || start[1] != 1 ||
        !receive_all(fd, header, 2))
        return -1;
    size = header[0] == 1 ? 7 : header[0] == 4 ? 19 : 4 + header[1];
    if (!receive_all(fd, header + 2, (size_t)size - 2) || !send_all(fd, reply, sizeof reply))
        return -1;
    return size;
}

static int serve_proxy(int fd, struct flow *out, struct flow *back)
{
    unsigned char header[HEADER_LIMIT];
    int size = greet(fd, header), target = size < 0 ? -1 : dial(header, (size_t)size);

    if (target < 0)
        return -1;
    flow_init(out, fd, target, pass, NULL);
    flow_init(back, target, fd, pass, NULL);
    return target;
}

static int serve_local(const struct service *s, int fd, struct flow *out, struct flow *back)
{
    unsigned char header[HEADER_LIMIT];
    unsigned char server[7] = {1, 127, 0, 0, 1, (unsigned char)(s->server_port >> 8),
                               (unsigned char)s->server_port};
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    int greeted = greet(fd, header), target = greeted < 0 ? -1 : dial(server, sizeof server);
    size_t size = (size_t)greeted;
    ssize_t n = 0;

    if (target < 0)
        return -1;
    flow_init(out, fd, target, seal, &s->key);
    flow_init(back, target, fd, open_records, &s->key);
    back->request = out;
    memcpy(out->data, header, size);
    memset(out->data + size, 0, 3);
    if (s->key.method->is_2022)
        size += 2; /* the size of the padding: none */
    if (poll(&waiting, 1, PAYLOAD_WAIT_MS) > 0)
        n = recv(fd, out->data + size, BUFFER - size, 0);
    if (n <= 0 && s->key.method->is_2022)
        out->data[size++ - 1] = 1; /* there must be one of the two */
    send_sealed(out, out->data, size + (n > 0 ? (size_t)n : 0));
    return target;
}

static int serve_server(const struct service *s, int fd, struct flow *out, struct flow *back)
{
    int size = 0, target;
    ssize_t n = 0;

    flow_init(out, fd, -1, open_records, &s->key);
    flow_init(back, -1, fd, seal, &s->key);
    back->request = out;
    /* The header is in the first record: every client seals it in one. */
    while (n == 0)
        n = receive_opened(out);
    if (n > 0)
        size = address_size(out->other, (size_t)n);
    target = size > 0 ? dial(out->other, (size_t)size) : -1;
    if (target >= 0) {
        out->to = back->from = target;
        if (s->key.method->is_2022)
            size += 2 + (out->other[size] << 8 | out->other[size + 1]);
        if (size < n)
            send_all(target, out->other + size, (size_t)(n - size));
    }
    return target;
}

void serve(const struct service *service, int fd)
{
    struct flow out = {0}, back = {0};
    int target = -1;

    switch (service->role) {
    case SERVER:
        target = serve_server(service, fd, &out, &back);
        break;
    case LOCAL:
        target = serve_local(service, fd, &out, &back);
        break;
    case PROXY:
        target = serve_proxy(fd, &out, &back);
        break;
    }
    if (target >= 0) {
        run_both(&out, &back);
        close(target);
    }
    close(fd);
    flow_free(&out);
    flow_free(&back);
}
