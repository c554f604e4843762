# Accepting, connecting and waiting on bare descriptors (Linux).

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef extern from * nogil:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <arpa/inet.h>
    #include <errno.h>
    #include <netinet/in.h>
    #include <string.h>
    #include <sys/epoll.h>
    #include <sys/socket.h>
    #include <unistd.h>

    #define FASTSOCKS_ARRIVALS ((unsigned int)(EPOLLIN | EPOLLRDHUP | EPOLLET))

    typedef union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } fastsocks_sockaddr;

    typedef struct {
        /* In network order; of IPv4 the last four bytes. */
        unsigned char address[16];
        int port;
        int family;
    } fastsocks_peer;

    static inline int fastsocks_accept(int listener, fastsocks_peer *peer)
    {
        fastsocks_sockaddr address;
        socklen_t size = sizeof address;
        int fd;
        do {
            fd = accept4(listener, &address.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        } while (fd < 0 && errno == EINTR);
        if (fd < 0)
            return -errno;
        peer->family = address.any.sa_family;
        if (peer->family == AF_INET6) {
            memcpy(peer->address, &address.v6.sin6_addr, 16);
            peer->port = ntohs(address.v6.sin6_port);
        } else {
            memset(peer->address, 0, 12);
            memcpy(peer->address + 12, &address.v4.sin_addr, 4);
            peer->port = ntohs(address.v4.sin_port);
        }
        return fd;
    }

    static inline int fastsocks_same_host(const fastsocks_peer *one, const fastsocks_peer *other)
    {
        return one->family == other->family && memcmp(one->address, other->address, 16) == 0;
    }

    /* text: INET6_ADDRSTRLEN bytes. */
    static inline void fastsocks_host(const fastsocks_peer *peer, char *text)
    {
        const unsigned char *start = peer->address + (peer->family == AF_INET6 ? 0 : 12);
        inet_ntop(peer->family, start, text, INET6_ADDRSTRLEN);
    }

    /* wire: ATYP ADDR PORT with ATYP 1 (7 bytes) or 4 (19 bytes). */
    static inline int fastsocks_connect(int fd, const unsigned char *wire)
    {
        fastsocks_sockaddr address;
        socklen_t size;
        memset(&address, 0, sizeof address);
        if (wire[0] == 1) {
            address.v4.sin_family = AF_INET;
            memcpy(&address.v4.sin_addr, wire + 1, 4);
            memcpy(&address.v4.sin_port, wire + 5, 2);
            size = sizeof address.v4;
        } else {
            address.v6.sin6_family = AF_INET6;
            memcpy(&address.v6.sin6_addr, wire + 1, 16);
            memcpy(&address.v6.sin6_port, wire + 17, 2);
            size = sizeof address.v6;
        }
        return connect(fd, &address.any, size) < 0 ? -errno : 0;
    }

    /* Writes ATYP ADDR PORT of this end of a connection; returns its size or -errno. */
    static inline int fastsocks_local_address(int fd, unsigned char *wire)
    {
        fastsocks_sockaddr address;
        socklen_t size = sizeof address;
        if (getsockname(fd, &address.any, &size) < 0)
            return -errno;
        if (address.any.sa_family == AF_INET6) {
            wire[0] = 4;
            memcpy(wire + 1, &address.v6.sin6_addr, 16);
            memcpy(wire + 17, &address.v6.sin6_port, 2);
            return 19;
        }
        wire[0] = 1;
        memcpy(wire + 1, &address.v4.sin_addr, 4);
        memcpy(wire + 5, &address.v4.sin_port, 2);
        return 7;
    }

    static inline int fastsocks_open(int family)
    {
        int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
        return fd < 0 ? -errno : fd;
    }

    static inline int fastsocks_pending_error(int fd)
    {
        int error = 0;
        socklen_t size = sizeof error;
        return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? errno : error;
    }

    static inline int fastsocks_watch(
        int epoll, int operation, int fd, unsigned int events, unsigned long long token)
    {
        struct epoll_event event;
        event.events = events;
        event.data.u64 = token;
        return epoll_ctl(epoll, operation, fd, &event) < 0 ? -errno : 0;
    }
    """
    ctypedef struct Peer "fastsocks_peer":
        int port
        int family

    # Every function returns -errno where it fails.
    int accept_peer "fastsocks_accept"(int listener, Peer* peer) noexcept
    bint same_host "fastsocks_same_host"(const Peer* one, const Peer* other) noexcept
    # Writes an IP address of at most HOST_SIZE bytes, NUL among them.
    void write_host "fastsocks_host"(const Peer* peer, char* text) noexcept
    int open_socket "fastsocks_open"(int family) noexcept
    int connect_to "fastsocks_connect"(int fd, const uint8_t* wire) noexcept
    int local_address "fastsocks_local_address"(int fd, uint8_t* wire) noexcept
    # The errno that the socket holds, or 0.
    int pending_error "fastsocks_pending_error"(int fd) noexcept
    int watch "fastsocks_watch"(
        int epoll, int operation, int fd, uint32_t events, uint64_t token
    ) noexcept

    int setsockopt(int fd, int level, int name, const void* value, uint32_t size) noexcept
    int shutdown(int fd, int how) noexcept
    int close(int fd) noexcept
    int epoll_create1(int flags) noexcept
    int epoll_wait(int epoll, epoll_event* events, int most, int timeout) noexcept

    union epoll_data_t:
        uint64_t u64

    struct epoll_event:
        uint32_t events
        epoll_data_t data

    # Events that tell once of each arrival, and of the end of the stream.
    uint32_t ARRIVALS "FASTSOCKS_ARRIVALS"

    enum:
        HOST_SIZE "INET6_ADDRSTRLEN"
        AF_INET
        AF_INET6
        EPOLLIN
        EPOLLOUT
        EPOLLERR
        EPOLLHUP
        EPOLLRDHUP
        EPOLL_CTL_ADD
        EPOLL_CTL_MOD
        EPOLL_CTL_DEL
        EPOLL_CLOEXEC
        SHUT_WR
