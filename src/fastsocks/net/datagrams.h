/* Datagrams in batches: recvmmsg with UDP_GRO, sendmmsg with UDP_SEGMENT (Linux). */

#ifndef FASTSOCKS_DATAGRAMS_H
#define FASTSOCKS_DATAGRAMS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "fastsocks/crypto/room.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef SOL_UDP
#define SOL_UDP 17
#endif

enum {
    FASTSOCKS_BATCH = 32,
    FASTSOCKS_MESSAGES = 64,
    FASTSOCKS_VECTORS = 512,
    /* What the kernel takes for one send with UDP_SEGMENT. */
    FASTSOCKS_SEGMENTS = 64,
    FASTSOCKS_LARGEST_SEND = 65000
};

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} fastsocks_name;

/* An address of ours that a datagram came to, or leaves from. */
typedef struct {
    /* 0 where it is not known, and the kernel chooses. */
    int family;
    /* Of a link-local address only: an answer may have another way than what it answers. */
    unsigned int interface;
    union {
        struct in_addr v4;
        struct in6_addr v6;
    } address;
} fastsocks_arrival;

static inline socklen_t fastsocks_name_size(const fastsocks_name *name)
{
    return name->any.sa_family == AF_INET ? sizeof name->v4 : sizeof name->v6;
}

static inline int fastsocks_same_name(const fastsocks_name *one, const fastsocks_name *other)
{
    if (one->any.sa_family != other->any.sa_family)
        return 0;
    if (one->any.sa_family == AF_INET)
        return one->v4.sin_port == other->v4.sin_port
            && one->v4.sin_addr.s_addr == other->v4.sin_addr.s_addr;
    return one->v6.sin6_port == other->v6.sin6_port
        && one->v6.sin6_scope_id == other->v6.sin6_scope_id
        && memcmp(&one->v6.sin6_addr, &other->v6.sin6_addr, 16) == 0;
}

/* Takes the scope of a link-local address over from another name of it, where it has none. */
static inline void fastsocks_take_scope(fastsocks_name *name, const fastsocks_name *from)
{
    if (name->any.sa_family == AF_INET6 && from->any.sa_family == AF_INET6
        && name->v6.sin6_scope_id == 0)
        name->v6.sin6_scope_id = from->v6.sin6_scope_id;
}

static inline int fastsocks_same_arrival(
    const fastsocks_arrival *one, const fastsocks_arrival *other)
{
    if (one->family != other->family || one->interface != other->interface)
        return 0;
    return one->family == 0
        || memcmp(&one->address, &other->address, one->family == AF_INET ? 4 : 16) == 0;
}

static inline void fastsocks_copy_port(fastsocks_name *name, const fastsocks_name *from)
{
    if (name->any.sa_family == AF_INET)
        name->v4.sin_port = from->v4.sin_port;
    else
        name->v6.sin6_port = from->v6.sin6_port;
}

/* wire: ATYP ADDR PORT with ATYP 1 or 4. An IPv4-mapped address becomes IPv4. */
static inline void fastsocks_name_of_wire(fastsocks_name *name, const unsigned char *wire)
{
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    memset(name, 0, sizeof *name);
    if (wire[0] == 1 || memcmp(wire + 1, mapped, 12) == 0) {
        size_t start = wire[0] == 1 ? 1 : 13;
        name->v4.sin_family = AF_INET;
        memcpy(&name->v4.sin_addr, wire + start, 4);
        memcpy(&name->v4.sin_port, wire + start + 4, 2);
    } else {
        name->v6.sin6_family = AF_INET6;
        memcpy(&name->v6.sin6_addr, wire + 1, 16);
        memcpy(&name->v6.sin6_port, wire + 17, 2);
    }
}

/* Writes ATYP ADDR PORT so that it ends right before `end`; returns its size, 7 or 19. */
static inline int fastsocks_wire_before(const fastsocks_name *name, unsigned char *end)
{
    if (name->any.sa_family == AF_INET) {
        end[-7] = 1;
        memcpy(end - 6, &name->v4.sin_addr, 4);
        memcpy(end - 2, &name->v4.sin_port, 2);
        return 7;
    }
    end[-19] = 4;
    memcpy(end - 18, &name->v6.sin6_addr, 16);
    memcpy(end - 2, &name->v6.sin6_port, 2);
    return 19;
}

/* Receiving */

typedef struct {
    struct mmsghdr messages[FASTSOCKS_BATCH];
    struct iovec vectors[FASTSOCKS_BATCH];
    fastsocks_name names[FASTSOCKS_BATCH];
    union {
        /* What UDP_GRO tells, and IPV6_RECVPKTINFO or the shorter IP_PKTINFO. */
        char bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct in6_pktinfo))];
        struct cmsghdr align;
    } controls[FASTSOCKS_BATCH];
} fastsocks_inbox;

/* memory: FASTSOCKS_BATCH slots of `slot` bytes. */
static inline void fastsocks_open_inbox(
    fastsocks_inbox *inbox, unsigned char *memory, size_t slot)
{
    memset(inbox, 0, sizeof *inbox);
    for (int i = 0; i < FASTSOCKS_BATCH; i++) {
        inbox->vectors[i].iov_base = memory + i * slot;
        inbox->vectors[i].iov_len = slot;
        inbox->messages[i].msg_hdr.msg_iov = &inbox->vectors[i];
        inbox->messages[i].msg_hdr.msg_iovlen = 1;
        inbox->messages[i].msg_hdr.msg_name = &inbox->names[i];
        inbox->messages[i].msg_hdr.msg_control = &inbox->controls[i];
    }
}

/* Returns how many messages came, or -errno. */
static inline int fastsocks_receive_batch(fastsocks_inbox *inbox, int fd)
{
    int count;
    for (int i = 0; i < FASTSOCKS_BATCH; i++) {
        inbox->messages[i].msg_hdr.msg_namelen = sizeof inbox->names[i];
        inbox->messages[i].msg_hdr.msg_controllen = sizeof inbox->controls[i];
        inbox->messages[i].msg_hdr.msg_flags = 0;
        fastsocks_open_memory(inbox->vectors[i].iov_base, inbox->vectors[i].iov_len);
    }
    do {
        count = recvmmsg(fd, inbox->messages, FASTSOCKS_BATCH, MSG_DONTWAIT, NULL);
    } while (count < 0 && errno == EINTR);
    for (int i = 0; i < count; i++) {
        /* What an earlier message left there is nobody's. */
        size_t size = inbox->messages[i].msg_len;
        fastsocks_close_memory(
            (char *)inbox->vectors[i].iov_base + size, inbox->vectors[i].iov_len - size);
    }
    return count < 0 ? -errno : count;
}

/* Before the slots are freed. */
static inline void fastsocks_close_inbox(fastsocks_inbox *inbox)
{
    for (int i = 0; i < FASTSOCKS_BATCH; i++)
        fastsocks_open_memory(inbox->vectors[i].iov_base, inbox->vectors[i].iov_len);
}

static inline unsigned char *fastsocks_message(fastsocks_inbox *inbox, int i)
{
    return inbox->vectors[i].iov_base;
}

/* Size in bytes of message i, or -1 if the kernel cut it. */
static inline int fastsocks_message_size(const fastsocks_inbox *inbox, int i)
{
    const struct mmsghdr *message = &inbox->messages[i];
    return message->msg_hdr.msg_flags & MSG_TRUNC ? -1 : (int)message->msg_len;
}

/* Size in bytes of each datagram in message i; the last one may be shorter. */
static inline int fastsocks_segment_size(fastsocks_inbox *inbox, int i)
{
    struct msghdr *header = &inbox->messages[i].msg_hdr;
    struct cmsghdr *control = CMSG_FIRSTHDR(header);
    for (; control; control = CMSG_NXTHDR(header, control)) {
        if (control->cmsg_level == SOL_UDP && control->cmsg_type == UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(control), sizeof size);
            if (size > 0)
                return size;
        }
    }
    return (int)inbox->messages[i].msg_len;
}

/* Where message i came to, on a socket that tells (see watch_arrivals in datagrams.py). */
static inline void fastsocks_arrival_of(fastsocks_inbox *inbox, int i, fastsocks_arrival *arrival)
{
    struct msghdr *header = &inbox->messages[i].msg_hdr;
    struct cmsghdr *control = CMSG_FIRSTHDR(header);
    memset(arrival, 0, sizeof *arrival);
    for (; control; control = CMSG_NXTHDR(header, control)) {
        if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(control), sizeof info);
            arrival->family = AF_INET;
            arrival->address.v4 = info.ipi_spec_dst;
        } else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(control), sizeof info);
            if (IN6_IS_ADDR_MULTICAST(&info.ipi6_addr))
                continue;
            arrival->family = AF_INET6;
            arrival->address.v6 = info.ipi6_addr;
            if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
                arrival->interface = info.ipi6_ifindex;
        }
    }
}

static inline void fastsocks_coalesce(int fd)
{
    int on = 1;
    (void)setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on);
}

/* Sending */

typedef struct {
    int fd;
    int messages_used;
    int vectors_used;
    /* Of the message that is being filled: bytes in it, and whether it takes no more. */
    int filled;
    int closed;
    unsigned long long dropped;
    /* What ICMP last said of a socket, or its route, and of which; the reader sets it to 0. */
    int refused;
    int refused_fd;
    struct mmsghdr messages[FASTSOCKS_MESSAGES];
    struct iovec vectors[FASTSOCKS_VECTORS];
    fastsocks_name names[FASTSOCKS_MESSAGES];
    fastsocks_arrival arrivals[FASTSOCKS_MESSAGES];
    uint16_t segments[FASTSOCKS_MESSAGES];
    union {
        char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t))];
        struct cmsghdr align;
    } controls[FASTSOCKS_MESSAGES];
} fastsocks_outbox;

/* Writes from where to send; returns how many bytes of control messages that takes. */
static inline size_t fastsocks_put_arrival(
    struct cmsghdr *control, const fastsocks_arrival *arrival)
{
    if (arrival->family == AF_INET) {
        struct in_pktinfo info = {.ipi_spec_dst = arrival->address.v4};
        control->cmsg_level = IPPROTO_IP;
        control->cmsg_type = IP_PKTINFO;
        control->cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(control), &info, sizeof info);
        return CMSG_SPACE(sizeof info);
    }
    if (arrival->family == AF_INET6) {
        struct in6_pktinfo info = {arrival->address.v6, arrival->interface};
        control->cmsg_level = IPPROTO_IPV6;
        control->cmsg_type = IPV6_PKTINFO;
        control->cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(control), &info, sizeof info);
        return CMSG_SPACE(sizeof info);
    }
    return 0;
}

static inline void fastsocks_put_controls(fastsocks_outbox *outbox, int i)
{
    struct msghdr *header = &outbox->messages[i].msg_hdr;
    char *bytes = outbox->controls[i].bytes;
    size_t used = fastsocks_put_arrival(&outbox->controls[i].align, &outbox->arrivals[i]);
    if (header->msg_iovlen > 1) {
        struct cmsghdr *control = (struct cmsghdr *)(bytes + used);
        control->cmsg_level = SOL_UDP;
        control->cmsg_type = UDP_SEGMENT;
        control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
        memcpy(CMSG_DATA(control), &outbox->segments[i], sizeof(uint16_t));
        used += CMSG_SPACE(sizeof(uint16_t));
    }
    if (used) {
        header->msg_control = bytes;
        header->msg_controllen = used;
    }
}

static inline void fastsocks_send_singly(fastsocks_outbox *outbox, const struct msghdr *message)
{
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        struct msghdr single = *message;
        single.msg_iov = &message->msg_iov[i];
        single.msg_iovlen = 1;
        /* UDP_SEGMENT, which comes last, is for all of them. */
        single.msg_controllen -= CMSG_SPACE(sizeof(uint16_t));
        if (sendmsg(outbox->fd, &single, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            outbox->dropped++;
    }
}

/* Sends all that is queued; what the kernel does not take is dropped and counted. */
static inline void fastsocks_flush(fastsocks_outbox *outbox)
{
    int next = 0, retried = 0;
    for (int i = 0; i < outbox->vectors_used; i++)
        fastsocks_open_memory(outbox->vectors[i].iov_base, outbox->vectors[i].iov_len);
    for (int i = 0; i < outbox->messages_used; i++)
        fastsocks_put_controls(outbox, i);
    while (next < outbox->messages_used) {
        int sent = sendmmsg(
            outbox->fd, &outbox->messages[next], outbox->messages_used - next,
            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            next += sent;
            retried = 0;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            for (; next < outbox->messages_used; next++)
                outbox->dropped += outbox->messages[next].msg_hdr.msg_iovlen;
            break;
        }
        struct msghdr *failed = &outbox->messages[next].msg_hdr;
        if (errno == ECONNREFUSED || errno == EHOSTUNREACH || errno == ENETUNREACH)
            outbox->refused = errno, outbox->refused_fd = outbox->fd;
        if (errno == ECONNREFUSED && !retried) {
            /* An ICMP error of an earlier datagram, told once. */
            retried = 1;
            continue;
        }
        /* Larger than the path takes in one piece, or a device that cannot segment. */
        if (failed->msg_iovlen > 1)
            fastsocks_send_singly(outbox, failed);
        else
            outbox->dropped++;
        retried = 0;
        next++;
    }
    outbox->messages_used = outbox->vectors_used = 0;
    outbox->closed = 1;
}

/*
 * Queues one datagram; `data` is nobody else's until the flush. `name` is NULL on a connected
 * socket, `from` where the kernel chooses the address to send from. Datagrams of one size to one
 * place travel as one message.
 */
static inline void fastsocks_queue(
    fastsocks_outbox *outbox, int fd, const fastsocks_name *name, const fastsocks_arrival *from,
    unsigned char *data, int size)
{
    static const fastsocks_arrival anywhere;
    if (!from)
        from = &anywhere;
    if (outbox->messages_used
        && (outbox->fd != fd || outbox->vectors_used == FASTSOCKS_VECTORS))
        fastsocks_flush(outbox);
    fastsocks_close_memory(data, (size_t)size);
    outbox->fd = fd;
    if (outbox->messages_used && !outbox->closed) {
        int last = outbox->messages_used - 1;
        struct msghdr *header = &outbox->messages[last].msg_hdr;
        if (size > 0 && size <= outbox->segments[last]
            && outbox->filled + size <= FASTSOCKS_LARGEST_SEND
            && header->msg_iovlen < FASTSOCKS_SEGMENTS
            && (name ? header->msg_name && fastsocks_same_name(name, &outbox->names[last])
                     : !header->msg_name)
            && fastsocks_same_arrival(from, &outbox->arrivals[last])) {
            struct iovec *vector = &outbox->vectors[outbox->vectors_used++];
            vector->iov_base = data;
            vector->iov_len = size;
            header->msg_iovlen++;
            outbox->filled += size;
            outbox->closed = size < outbox->segments[last];
            return;
        }
    }
    if (outbox->messages_used == FASTSOCKS_MESSAGES)
        fastsocks_flush(outbox);
    int index = outbox->messages_used++;
    struct iovec *vector = &outbox->vectors[outbox->vectors_used++];
    vector->iov_base = data;
    vector->iov_len = size;
    struct msghdr *header = &outbox->messages[index].msg_hdr;
    memset(header, 0, sizeof *header);
    header->msg_iov = vector;
    header->msg_iovlen = 1;
    if (name) {
        outbox->names[index] = *name;
        header->msg_name = &outbox->names[index];
        header->msg_namelen = fastsocks_name_size(name);
    }
    outbox->arrivals[index] = *from;
    outbox->segments[index] = (uint16_t)size;
    outbox->filled = size;
    outbox->closed = size == 0;
}

#endif
