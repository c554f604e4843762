/*
 * Has system calls fail at random: a library to be preloaded; see failing_calls.py.
 *
 * FAILING_CALLS names a file that the test maps, too: whether calls fail, and how many did.
 * FAILING_CALLS_PACKAGE is the folder of fastsocks, whose modules are ours.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* The order is that of CALLS in failing_calls.py. */
enum { EPOLL_CTL, EPOLL_CREATE, SOCKET, ACCEPT, RANDOM, MMAP, PIPE, CALLS };

static struct control {
    /* One call in so many fails; 0 for none. */
    uint32_t odds;
    uint32_t seed;
    uint32_t count;
    uint32_t failed[CALLS];
} *control;

static char *package;

__attribute__((constructor)) static void begin(void)
{
    const char *folder = getenv("FAILING_CALLS_PACKAGE");
    /* What is given to the process is written over by its title. */
    package = folder ? strdup(folder) : NULL;
    const char *path = getenv("FAILING_CALLS");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    /* Our own mmap stands in front of it. */
    long found = syscall(
        SYS_mmap, NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0L);
    close(file);
    if (found != -1)
        control = (struct control *)found;
}

static int is_within(const void *caller, const char *name)
{
    Dl_info info;
    return dladdr(caller, &info) && info.dli_fname && strstr(info.dli_fname, name);
}

/* libuv ends the process where it cannot map memory or watch a descriptor; AddressSanitizer too. */
static int is_spared(const void *caller)
{
    return is_within(caller, "uvloop") || is_within(caller, "asan");
}

static int fails(int call)
{
    uint32_t odds = control ? __atomic_load_n(&control->odds, __ATOMIC_RELAXED) : 0;
    if (!odds)
        return 0;
    /* The finalizer of MurmurHash3, of a number that is each call's own. */
    uint32_t mixed = control->seed + __atomic_add_fetch(&control->count, 1, __ATOMIC_RELAXED);
    mixed ^= mixed >> 16;
    mixed *= 0x85ebca6bU;
    mixed ^= mixed >> 13;
    mixed *= 0xc2b2ae35U;
    mixed ^= mixed >> 16;
    if (mixed % odds)
        return 0;
    __atomic_add_fetch(&control->failed[call], 1, __ATOMIC_RELAXED);
    return 1;
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) \
        real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    REAL(epoll_ctl);
    /* Where asyncio cannot watch a descriptor, it forgets it, and tells nobody who waits for it. */
    if (operation != EPOLL_CTL_DEL && package
        && is_within(__builtin_return_address(0), package) && fails(EPOLL_CTL)) {
        errno = ENOSPC;
        return -1;
    }
    return real(epoll, operation, fd, event);
}

int epoll_create1(int flags)
{
    REAL(epoll_create1);
    if (!is_spared(__builtin_return_address(0)) && fails(EPOLL_CREATE)) {
        errno = EMFILE;
        return -1;
    }
    return real(flags);
}

int socket(int family, int type, int protocol)
{
    REAL(socket);
    if (fails(SOCKET)) {
        errno = EMFILE;
        return -1;
    }
    return real(family, type, protocol);
}

int accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    REAL(accept4);
    if (fails(ACCEPT)) {
        errno = ENFILE;
        return -1;
    }
    return real(fd, address, size, flags);
}

int pipe2(int ends[2], int flags)
{
    REAL(pipe2);
    if (fails(PIPE)) {
        errno = EMFILE;
        return -1;
    }
    return real(ends, flags);
}

ssize_t getrandom(void *out, size_t size, unsigned int flags)
{
    REAL(getrandom);
    if (fails(RANDOM)) {
        errno = EIO;
        return -1;
    }
    return real(out, size, flags);
}

int getentropy(void *out, size_t size)
{
    REAL(getentropy);
    if (fails(RANDOM)) {
        errno = EIO;
        return -1;
    }
    return real(out, size);
}

void *mmap(void *start, size_t size, int protection, int flags, int fd, off_t offset)
{
    REAL(mmap);
    if (!is_spared(__builtin_return_address(0)) && fails(MMAP)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return real(start, size, protection, flags, fd, offset);
}

/* What programs with large files call. */
void *mmap64(void *start, size_t size, int protection, int flags, int fd, off64_t offset)
{
    REAL(mmap64);
    if (!is_spared(__builtin_return_address(0)) && fails(MMAP)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return real(start, size, protection, flags, fd, offset);
}
