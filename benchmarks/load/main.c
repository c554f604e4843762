/* load: the load generator of the fastsocks benchmarks.
 *
 * Client and target live in this one process, each in a thread of its own, so
 * that both sides of a relay can be counted and verified. Loopback only. The
 * outcome is one line of JSON on standard output. What waits for a line on
 * standard input, or its end, has printed a line with "ready" before: `udp` when
 * its associations stand, to send, and again, to close; --warm-up when the
 * connections stand, to begin; --hold when all exchanges are done, to close.
 * Exit status: 0 done, 1 some connection failed, 2 wrong usage. */
#include <arpa/inet.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client.h"
#include "clock.h"
#include "datagrams.h"
#include "exchange.h"
#include "pattern.h"
#include "target.h"

#define DRAIN_NS (5 * NS_PER_S)
#define SPREAD_MOST 1000

enum mode { DOWNLOAD, UPLOAD, SHORT, PINGPONG, PACED, IDLE, UDP, MODES };

static const char *const mode_names[MODES] = {"download", "upload", "short", "pingpong",
                                              "paced",    "idle",   "udp"};

struct options {
    enum mode mode;
    struct sockaddr_in proxy;
    int through_proxy, warm_up, hold, until_told;
    uint64_t connections, concurrency, opening, times, bytes, rate, interval, deadline;
    uint64_t read_rate, spread, every;
};

static void usage(const char *problem)
{
    fprintf(stderr,
            "load: %s\n"
            "usage: load MODE [--proxy HOST:PORT] [options]\n"
            "  download, upload  --bytes N of each of --connections C, all at once\n"
            "  short             --connections N, --concurrency C, --bytes N of request and reply\n"
            "  pingpong          --times N exchanges of --bytes N on --connections C,\n"
            "                    one --every N milliseconds; one that is late counts from then\n"
            "  paced             --connections C, each sent --bytes N at --rate bytes a second,\n"
            "                    what is due every --interval milliseconds (100)\n"
            "  idle              --connections C, one byte each way, then held (--hold)\n"
            "  udp               --times N datagrams of --bytes N, echoed, over --connections C\n"
            "                    associations, --rate datagrams a second in all, in bursts\n"
            "                    every --interval milliseconds\n"
            "every mode: --deadline SECONDS; but udp: --opening N connections being set up at\n"
            "  once, --spread N loopback addresses of the client, and of the target, in turn,\n"
            "  --read-rate N bytes a second that each connection reads,\n"
            "  --warm-up: a byte each way on all connections, then wait for a line,\n"
            "  --hold: keep them until there is a line, --until-told: end at a line\n",
            problem);
    exit(2);
}

static uint64_t number(const char *text)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);

    if (end == text || *end || value == 0)
        usage("not a positive number");
    return value;
}

static void parse_proxy(struct options *o, const char *text)
{
    char host[INET_ADDRSTRLEN];
    const char *colon = strrchr(text, ':');

    if (!colon || (size_t)(colon - text) >= sizeof host)
        usage("--proxy wants IPV4:PORT");
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    o->proxy.sin_family = AF_INET;
    o->proxy.sin_port = htons((uint16_t)number(colon + 1));
    if (inet_pton(AF_INET, host, &o->proxy.sin_addr) != 1)
        usage("--proxy wants IPV4:PORT");
    if ((ntohl(o->proxy.sin_addr.s_addr) >> 24) != 127)
        usage("loopback proxies only");
    o->through_proxy = 1;
}

static enum mode parse_mode(const char *text)
{
    for (int mode = 0; mode < MODES; mode++)
        if (strcmp(text, mode_names[mode]) == 0)
            return (enum mode)mode;
    usage("unknown mode");
    return MODES;
}

static struct options parse(int argc, char **argv)
{
    static const struct option known[] = {
        {"proxy", required_argument, NULL, 'p'},       {"connections", required_argument, NULL, 'n'},
        {"concurrency", required_argument, NULL, 'c'}, {"opening", required_argument, NULL, 'o'},
        {"times", required_argument, NULL, 't'},       {"bytes", required_argument, NULL, 'b'},
        {"rate", required_argument, NULL, 'r'},        {"deadline", required_argument, NULL, 'd'},
        {"interval", required_argument, NULL, 'i'},    {"read-rate", required_argument, NULL, 'R'},
        {"every", required_argument, NULL, 'e'},
        {"spread", required_argument, NULL, 's'},      {"warm-up", no_argument, NULL, 'w'},
        {"hold", no_argument, NULL, 'h'},              {"until-told", no_argument, NULL, 'u'},
        {NULL, 0, NULL, 0}};
    struct options o = {.connections = 1, .opening = 64, .times = 1, .bytes = 1, .interval = 100,
                        .deadline = 60, .spread = 1};
    int c;

    if (argc < 2)
        usage("no mode");
    o.mode = parse_mode(argv[1]);
    while ((c = getopt_long(argc - 1, argv + 1, "", known, NULL)) != -1) {
        switch (c) {
        case 'p': parse_proxy(&o, optarg); break;
        case 'n': o.connections = number(optarg); break;
        case 'c': o.concurrency = number(optarg); break;
        case 'o': o.opening = number(optarg); break;
        case 't': o.times = number(optarg); break;
        case 'b': o.bytes = number(optarg); break;
        case 'r': o.rate = number(optarg); break;
        case 'i': o.interval = number(optarg); break;
        case 'd': o.deadline = number(optarg); break;
        case 'R': o.read_rate = number(optarg); break;
        case 'e': o.every = number(optarg); break;
        case 's': o.spread = number(optarg); break;
        case 'w': o.warm_up = 1; break;
        case 'h': o.hold = 1; break;
        case 'u': o.until_told = 1; break;
        default: usage("unknown option");
        }
    }
    if (optind != argc - 1)
        usage("unexpected argument");
    if (o.concurrency == 0)
        o.concurrency = o.mode == SHORT ? 1 : o.connections;
    if (o.mode == PACED && o.rate == 0)
        usage("paced needs --rate");
    if (o.mode == UDP && (o.rate == 0 || o.bytes < DATAGRAM_LEAST || o.bytes > DATAGRAM_MOST))
        usage("udp needs --rate, and --bytes from 24 to 65000");
    if (o.connections > UINT32_MAX || o.times >= UINT32_MAX || o.spread > SPREAD_MOST)
        usage("too many");
    if (o.warm_up && (o.mode == SHORT || o.mode == IDLE || o.mode == UDP))
        usage("no --warm-up in this mode");
    return o;
}

static struct plan make_plan(const struct options *o)
{
    struct plan p = {
        .proxy = o->through_proxy ? &o->proxy : NULL,
        .connections = (uint32_t)o->connections,
        .concurrency = (uint32_t)(o->concurrency < o->connections ? o->concurrency : o->connections),
        .opening = (uint32_t)o->opening,
        .spread = (uint32_t)o->spread,
        .times = 1,
        .request = 0,
        .reply = o->bytes,
        .read_rate = o->read_rate,
        .every = o->every * NS_PER_MS,
        .warm_up = o->warm_up,
        .hold = o->hold || o->mode == IDLE,
        .until_told = o->until_told,
        .deadline_ns = now_ns() + o->deadline * NS_PER_S,
    };

    switch (o->mode) {
    case DOWNLOAD:
        break;
    case UPLOAD:
        p.request = o->bytes;
        p.reply = 1; /* says that the target has received and verified it all */
        break;
    case SHORT: /* the header counts as part of the request */
        p.request = o->bytes > sizeof(struct exchange) ? o->bytes - sizeof(struct exchange) : 0;
        break;
    case PINGPONG:
        p.request = o->bytes;
        p.times = (uint32_t)o->times;
        break;
    case PACED:
        p.rate = o->rate;
        p.interval = o->interval * NS_PER_MS;
        break;
    case IDLE:
        p.request = p.reply = 1;
        break;
    case UDP:
    case MODES:
        break;
    }
    if (p.warm_up && p.request == 0)
        p.request = 1; /* for the target to wait for */
    return p;
}

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void print_outcome(enum mode mode, struct outcome *r, unsigned mismatches, int drained,
                          double cpu)
{
    double seconds = r->finished_ns > r->started_ns
                         ? (double)(r->finished_ns - r->started_ns) / 1e9
                         : 0;

    printf("{\"mode\": \"%s\", \"completed\": %u, \"failed\": %u, \"lost\": %u, \"mismatches\": %u, ",
           mode_names[mode], r->completed, r->failed, r->lost, mismatches);
    if (r->error)
        printf("\"error\": \"%s\", ", r->error);
    else
        printf("\"error\": null, ");
    printf("\"drained\": %s, \"sent\": %llu, \"received\": %llu, \"seconds\": %.6f, "
           "\"cpu_seconds\": %.6f, ",
           drained ? "true" : "false", (unsigned long long)r->sent,
           (unsigned long long)r->received, seconds, cpu);
    samples_print(&r->first_byte, "first_byte_us", stdout);
    printf(", ");
    samples_print(&r->exchange, "exchange_us", stdout);
    printf("}\n");
}

static void wait_for_line(void)
{
    char line;

    if (read(STDIN_FILENO, &line, 1) < 0)
        perror("stdin");
}

static void print_datagrams(struct datagram_outcome *r)
{
    printf("{\"mode\": \"udp\", \"error\": ");
    if (r->error)
        printf("\"%s\", ", r->error);
    else
        printf("null, ");
    printf("\"sent\": %llu, \"reached\": %llu, \"returned\": %llu, \"duplicates\": %llu, "
           "\"reordered\": %llu, \"mismatches\": %llu, \"seconds\": %.6f, \"cpu_seconds\": %.6f, ",
           (unsigned long long)r->sent, (unsigned long long)r->reached,
           (unsigned long long)r->returned, (unsigned long long)r->duplicates,
           (unsigned long long)r->reordered, (unsigned long long)r->mismatches,
           (double)(r->finished_ns - r->started_ns) / 1e9, cpu_seconds());
    samples_print(&r->round_trip, "round_trip_us", stdout);
    printf("}\n");
    fflush(stdout);
}

static int run_datagrams(const struct options *o)
{
    struct datagram_outcome outcome = {0};
    struct datagram_plan plan = {
        .proxy = o->through_proxy ? &o->proxy : NULL,
        .associations = (uint32_t)o->connections,
        .count = o->times,
        .size = o->bytes,
        .rate = o->rate,
        .interval = o->interval * NS_PER_MS,
        .deadline_ns = now_ns() + o->deadline * NS_PER_S,
    };

    samples_init(&outcome.round_trip, plan.count);
    if (datagrams_open(&plan, &outcome) == 0) {
        printf("{\"ready\": %u}\n", plan.associations);
        fflush(stdout);
        wait_for_line();
        datagrams_run(&plan, &outcome);
    }
    print_datagrams(&outcome);
    if (!outcome.error)
        wait_for_line();
    datagrams_close();
    samples_free(&outcome.round_trip);
    return outcome.error || outcome.mismatches ? 1 : 0;
}

static void tell_ready(uint32_t ready, const struct outcome *r)
{
    printf("{\"ready\": %u, \"failed\": %u}\n", ready, r->failed);
    fflush(stdout);
    wait_for_line();
}

int main(int argc, char **argv)
{
    static struct sockaddr_in targets[SPREAD_MOST];
    struct options o = parse(argc, argv);
    struct outcome outcome = {0};
    struct plan plan;
    unsigned mismatches;
    int drained;
    double cpu = 0;

    pattern_init();
    if (o.mode == UDP)
        return run_datagrams(&o);
    plan = make_plan(&o);
    plan.targets = targets;
    target_start(targets, plan.spread);
    samples_init(&outcome.first_byte, plan.connections);
    samples_init(&outcome.exchange, (size_t)plan.connections * plan.times);
    client_open(&plan, &outcome);
    if (plan.warm_up)
        tell_ready(plan.connections - outcome.failed, &outcome);
    cpu = plan.warm_up ? cpu_seconds() : 0; /* what comes before is not measured */
    client_run();
    if (plan.hold)
        tell_ready(outcome.completed, &outcome);
    client_close();
    drained = target_wait_idle(now_ns() + DRAIN_NS);
    mismatches = target_mismatches();
    print_outcome(o.mode, &outcome, mismatches, drained, cpu_seconds() - cpu);
    samples_free(&outcome.first_byte);
    samples_free(&outcome.exchange);
    return outcome.failed || outcome.lost || mismatches ? 1 : 0;
}
