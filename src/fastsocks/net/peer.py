"""Listening for one peer, and the address to do it at."""

from __future__ import annotations

import errno
import os
import socket
import sys
from typing import Any

from fastsocks.errors import ListenError

from .tcp import configure

#: Connections that may wait to be looked at: the one expected, and some that are not.
_BACKLOG = 16


def outgoing_address(family: int, sockaddr: tuple[Any, ...]) -> str | None:
    """Return the IP address from which this host would reach another; sends nothing.

    :return: None where there is no way to it.
    """
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(sockaddr)
            host: str = probe.getsockname()[0]
            return host
    except OSError:
        return None


def listen_for_peer(host: str, ports: tuple[int, int] | None = None) -> socket.socket:
    """Open a non-blocking listening socket for who may have to be spoken to first.

    :param host: an IP address of this host, with its scope if it has one.
    :param ports: the first and the last of those to choose from, by chance; None leaves it to the
        kernel.
    :raises ListenError: none can be had; its errno is EADDRINUSE where all are in use.
    """
    ((family, kind, protocol, _, sockaddr), *_) = socket.getaddrinfo(
        host, 0, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
    )
    first, last = ports or (0, 0)
    count = last - first + 1
    start = int.from_bytes(os.urandom(4)) % count
    for number in range(count):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            if sys.platform == "win32":
                # SO_REUSEADDR there lets another process take the port away.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            else:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            configure(sock)
            sock.bind((sockaddr[0], first + (start + number) % count, *sockaddr[2:]))
            sock.listen(_BACKLOG)
        except OSError as cause:
            sock.close()
            if cause.errno not in (errno.EADDRINUSE, errno.EACCES):
                reason = os.strerror(cause.errno) if cause.errno else str(cause)
                raise ListenError(f"cannot listen on {host}: {reason}") from cause
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    error = ListenError(
        f"cannot listen on {host}: "
        + (f"all ports of {first}-{last} are in use" if ports else "no port can be had")
    )
    error.errno = errno.EADDRINUSE
    raise error
