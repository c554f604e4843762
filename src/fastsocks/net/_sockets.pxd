# Socket calls that set-up and relay make without a Python object.

cdef extern from * nogil:
    """
    #include <sys/types.h>
    #include <sys/socket.h>
    #include <netinet/in.h>
    #include <netinet/tcp.h>
    #include <errno.h>
    #include <limits.h>
    #include <stdint.h>
    #include <time.h>
    #ifdef __linux__
    #include <sys/ioctl.h>
    /* Since 5.14; the headers that wheels are built with are older. */
    #ifndef SO_BUF_LOCK
    #define SO_BUF_LOCK 72
    #endif
    #ifndef SO_MEMINFO
    #define SO_MEMINFO 55
    #endif
    #endif

    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0
    #endif
    #ifdef CLOCK_MONOTONIC_COARSE
    #define FASTSOCKS_CLOCK CLOCK_MONOTONIC_COARSE
    #else
    #define FASTSOCKS_CLOCK CLOCK_MONOTONIC
    #endif

    static inline double fastsocks_now(void)
    {
        struct timespec now;
        clock_gettime(FASTSOCKS_CLOCK, &now);
        return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
    }

    static inline ssize_t fastsocks_send(int fd, const void *data, size_t size)
    {
        ssize_t sent;
        do {
            sent = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        } while (sent < 0 && errno == EINTR);
        return sent < 0 ? -errno : sent;
    }

    static inline ssize_t fastsocks_recv(int fd, void *data, size_t size)
    {
        ssize_t received;
        do {
            received = recv(fd, data, size, MSG_DONTWAIT);
        } while (received < 0 && errno == EINTR);
        return received < 0 ? -errno : received;
    }

    static inline int fastsocks_unacknowledged(int fd)
    {
        int size = 0;
    #ifdef __linux__
        if (ioctl(fd, TIOCOUTQ, &size) < 0)
            return 0;
    #endif
        return size;
    }

    static inline void fastsocks_keep_alive(int fd, int idle, int interval, int probes)
    {
        int on = 1;
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    #ifdef TCP_KEEPIDLE
        (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    #elif defined(TCP_KEEPALIVE)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPALIVE, &idle, sizeof idle);
    #endif
    #ifdef TCP_KEEPINTVL
        (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    #endif
    }

    static inline void fastsocks_no_delay(int fd)
    {
        int on = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }

    static inline void fastsocks_limit_send_buffer(int fd, int size, int round_trip)
    {
    #ifdef __linux__
        /* linux/tcp.h: struct tcp_info up to tcpi_min_rtt, which that of the C library lacks. */
        uint32_t info[38];
        int locked = 0;
        socklen_t length = sizeof locked;
        if (getsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &locked, &length) < 0 || locked & 1)
            return;
        length = sizeof info;
        if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &length) < 0 || length < sizeof info)
            return;
        if (info[37] < (uint32_t)round_trip)
            (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    #endif
    }

    static inline int fastsocks_send_room(int fd)
    {
    #ifdef __linux__
        /* linux/sock_diag.h: SK_MEMINFO_SNDBUF is 3, SK_MEMINFO_WMEM_QUEUED 5. */
        uint32_t info[6];
        socklen_t length = sizeof info;
        if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &length) == 0 && length == sizeof info)
            return info[5] < info[3] ? (int)(info[3] - info[5]) : 0;
    #endif
        return INT_MAX;
    }

    static inline void fastsocks_finish_sending(int fd)
    {
        (void)shutdown(fd, SHUT_WR);
    }

    static inline void fastsocks_reset_on_close(int fd)
    {
        struct linger linger = {1, 0};
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    """
    # Seconds of a monotonic clock; coarse (some milliseconds), and cheap.
    double now "fastsocks_now"() noexcept
    # Bytes sent or received, or -errno. Never blocks, never raises SIGPIPE.
    Py_ssize_t send "fastsocks_send"(int fd, const void* data, size_t size) noexcept
    Py_ssize_t receive "fastsocks_recv"(int fd, void* data, size_t size) noexcept
    # Bytes sent that the peer has not acknowledged; 0 where the system does not tell.
    int unacknowledged "fastsocks_unacknowledged"(int fd) noexcept
    # Has what is sent go at once (TCP_NODELAY).
    void no_delay "fastsocks_no_delay"(int fd) noexcept
    # Gives a socket a send buffer of `size` bytes where the round trip takes less than
    # `round_trip` microseconds and nobody has set that buffer; see net.tcp.
    void limit_send_buffer "fastsocks_limit_send_buffer"(int fd, int size, int round_trip) noexcept
    # Bytes that the send buffer has room for; INT_MAX where the system does not tell.
    int send_room "fastsocks_send_room"(int fd) noexcept
    # Sends the end of the stream.
    void finish_sending "fastsocks_finish_sending"(int fd) noexcept
    # Makes the coming close() send RST rather than FIN.
    void reset_on_close "fastsocks_reset_on_close"(int fd) noexcept
    # Has the kernel probe a silent peer: after `idle` seconds, every `interval` seconds.
    void keep_alive "fastsocks_keep_alive"(int fd, int idle, int interval, int probes) noexcept
