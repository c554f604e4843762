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
        char host[INET6_ADDRSTRLEN];
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
            inet_ntop(AF_INET6, &address.v6.sin6_addr, peer->host, sizeof peer->host);
            peer->port = ntohs(address.v6.sin6_port);
        } else {
            inet_ntop(AF_INET, &address.v4.sin_addr, peer->host, sizeof peer->host);
            peer->port = ntohs(address.v4.sin_port);
        }
        return fd;
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
        char* host
        int port
        int family

    # Every function returns -errno where it fails.
    int accept_peer "fastsocks_accept"(int listener, Peer* peer) noexcept
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
