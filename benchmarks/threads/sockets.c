#include "sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int listen_on(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* accepted sockets inherit it */
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, 4096) < 0) {
        perror("relay: listen");
        exit(1);
    }
    return fd;
}

int dial(const unsigned char *header, size_t size)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr *address = header[0] == 4 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
    socklen_t length = header[0] == 4 ? sizeof v6 : sizeof v4;
    int on = 1, fd;

    if (header[0] == 3)
        return -1;
    memcpy(&v4.sin_addr, header + 1, 4);
    memcpy(&v6.sin6_addr, header + 1, header[0] == 4 ? 16 : 4);
    memcpy(&v4.sin_port, header + size - 2, 2);
    v6.sin6_port = v4.sin_port;
    fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, address, length) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int address_size(const unsigned char *data, size_t size)
{
    size_t wanted;

    if (size < 2)
        return 0;
    switch (data[0]) {
    case 1:
        wanted = 1 + 4 + 2;
        break;
    case 3:
        wanted = 1 + 1 + (size_t)data[1] + 2;
        break;
    case 4:
        wanted = 1 + 16 + 2;
        break;
    default:
        return -1;
    }
    return size < wanted ? 0 : (int)wanted;
}

int send_all(int fd, const void *data, size_t size)
{
    const unsigned char *at = data;

    while (size > 0) {
        ssize_t n = send(fd, at, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return 0;
        at += n;
        size -= (size_t)n;
    }
    return 1;
}

int receive_all(int fd, void *data, size_t size)
{
    ssize_t n;

    do
        n = recv(fd, data, size, MSG_WAITALL);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)size;
}
