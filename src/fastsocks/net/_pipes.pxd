# Moving bytes between sockets without copying them, through a pipe (Linux).

cdef extern from * nogil:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <errno.h>
    #include <fcntl.h>
    #include <unistd.h>

    static inline int fastsocks_open_pipe(int ends[2], int size)
    {
        if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0)
            return -errno;
        if (fcntl(ends[1], F_SETPIPE_SZ, size) < size) {
            close(ends[0]);
            close(ends[1]);
            return -EPERM;
        }
        return 0;
    }

    static inline ssize_t fastsocks_splice(int from, int to, size_t size)
    {
        ssize_t moved;
        do {
            moved = splice(from, NULL, to, NULL, size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        } while (moved < 0 && errno == EINTR);
        return moved < 0 ? -errno : moved;
    }
    """
    # Opens a non-blocking pipe, ends[0] for reading; -errno where there is none of `size` bytes.
    int open_pipe "fastsocks_open_pipe"(int* ends, int size) noexcept
    # Bytes moved, or -errno. One of the two is a pipe.
    Py_ssize_t splice "fastsocks_splice"(int source, int sink, size_t size) noexcept
