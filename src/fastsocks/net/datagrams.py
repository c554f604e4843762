"""UDP sockets."""

from __future__ import annotations

import contextlib
import socket
import sys
from typing import Any, TypeAlias

#: Receive and send buffers of a UDP socket that many clients share, in bytes; the kernel cuts
#: them to what it allows (net.core.rmem_max and wmem_max of Linux).
SHARED_BUFFER = 4 * 1024 * 1024

#: The same for a socket of one association, of which there may be thousands.
ASSOCIATION_BUFFER = 512 * 1024

#: Of Linux; :mod:`socket` does not name it.
_IP_PKTINFO = 8

#: What a struct in6_pktinfo takes, the longer one of both.
_ARRIVAL_SIZE = 20

#: The address of ours that a datagram came to, as ``sendmsg`` takes it to answer from there.
Arrival: TypeAlias = "tuple[tuple[int, int, bytes], ...]"


def watch_arrivals(sock: socket.socket) -> bool:
    """Have a UDP socket that is bound to every address tell which one a datagram came to.

    Where a host has several, an answer might leave from another one otherwise, and its receiver
    does not know it then.

    :return: whether it tells; False where it is bound to one address, or the system is not Linux.
    """
    if sys.platform != "linux" or sock.getsockname()[0] not in {"0.0.0.0", "::"}:  # noqa: S104
        return False
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    return True


def receive_with_arrival(sock: socket.socket) -> tuple[bytes, Any, Arrival]:
    """Receive a datagram of a socket that :func:`watch_arrivals` has set up.

    :return: the datagram, who sent it, and what to send an answer with.
    :raises OSError: there is none.
    """
    data, controls, _, source = sock.recvmsg(0x10000, socket.CMSG_SPACE(_ARRIVAL_SIZE))
    return data, source, tuple(filter(None, map(_arrival, controls)))


def _arrival(control: tuple[int, int, bytes]) -> tuple[int, int, bytes] | None:
    level, kind, data = control
    if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
        # Index, our address, that of the header: which way an answer goes is for its route to say.
        return level, kind, bytes(4) + data[4:8] + bytes(4)
    if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO) and data[0] != 0xFF:
        link_local = data[0] == 0xFE and data[1] & 0xC0 == 0x80
        return level, kind, data if link_local else data[:16] + bytes(4)
    return None


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
