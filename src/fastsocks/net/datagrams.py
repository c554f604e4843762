"""UDP sockets."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

#: Receive and send buffers of a UDP socket that many clients share, in bytes; the kernel cuts
#: them to what it allows (net.core.rmem_max and wmem_max of Linux).
SHARED_BUFFER = 4 * 1024 * 1024

#: The same for a socket of one association, of which there may be thousands.
ASSOCIATION_BUFFER = 512 * 1024


def enlarge_buffers(sock: socket.socket, size: int) -> None:
    """Let a UDP socket hold `size` bytes each way, or as much as the system allows."""
    for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        # Other systems than Linux refuse what is more than they allow.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, buffer, size)


def open_datagram_socket(family: int) -> socket.socket:
    """Open the non-blocking UDP socket of one association; IPv6 ones do no IPv4.

    :raises OSError: none can be had.
    """
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        enlarge_buffers(sock, ASSOCIATION_BUFFER)
    except BaseException:
        sock.close()
        raise
    return sock


def has_route(family: int, sockaddr: tuple[Any, ...]) -> bool:
    """Tell whether this host knows a way to an address; sends nothing."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(sockaddr)
    except OSError:
        return False
    return True
