"""The options of every TCP socket here."""

from __future__ import annotations

import socket
import struct
import sys
from pathlib import Path

#: Seconds without a byte before a connection is probed, seconds between probes, and how
#: many go unanswered before it counts as dead: a lost peer is noticed in four minutes,
#: and NAT tables with the usual limits of five minutes or more are kept alive.
KEEPALIVE_IDLE = 120
KEEPALIVE_INTERVAL = 30
KEEPALIVE_PROBES = 4

#: The send buffer of a relay in bulk, in bytes (the kernel doubles it for its own account), where
#: a round trip takes less than so many microseconds. Linux lets it grow to 4 MiB. With as much
#: ahead of it each process on the way always has work, and where they share cores the short
#: messages of others wait for whole time slices. Such a path is full with less, up to 1 GB/s.
SHORT_PATH_SEND_BUFFER = 256 * 1024
SHORT_PATH_ROUND_TRIP = 250


def _socket_options() -> tuple[tuple[int, int, int], ...]:
    options = [
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    ]
    # TCP_KEEPALIVE is what macOS calls TCP_KEEPIDLE.
    idle = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))
    for name, value in (
        (idle, KEEPALIVE_IDLE),
        (getattr(socket, "TCP_KEEPINTVL", None), KEEPALIVE_INTERVAL),
        (getattr(socket, "TCP_KEEPCNT", None), KEEPALIVE_PROBES),
    ):
        if name is not None:
            options.append((socket.IPPROTO_TCP, name, value))
    return tuple(options)


#: (level, name, value) as setsockopt takes them, for code that holds bare descriptors.
SOCKET_OPTIONS = _socket_options()


#: asm-generic/socket.h and linux/socket.h, since 5.14; Python has no names for them.
_SO_BUF_LOCK = 72
_SOCK_SNDBUF_LOCK = 1

#: asm-generic/socket.h, since 4.12; linux/sock_diag.h: the fields 3 and 5 of its answer.
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("=12xI4xI")

#: linux/tcp.h: where tcpi_min_rtt lies in struct tcp_info.
_MIN_RTT_AT = 148

#: Connections in TCP Fast Open that a listener lets wait for their handshake's end.
_FAST_OPEN_QUEUE = 1024

#: linux/tcp.h; Python has no name for it before 3.12.
_TCP_FASTOPEN_CONNECT = 30

#: What net.ipv4.tcp_fastopen has to hold to dial and to listen (ip-sysctl of Linux).
_FAST_OPEN_SWITCH = "/proc/sys/net/ipv4/tcp_fastopen"
_FAST_OPEN_DIAL = 1
_FAST_OPEN_LISTEN = 2


def configure(sock: socket.socket) -> None:
    """Set TCP_NODELAY, SO_KEEPALIVE and the keepalive times.

    :param sock: a TCP socket, not yet connected; what a listening socket accepts inherits
        them (Linux, the BSDs, macOS).
    """
    for level, name, value in SOCKET_OPTIONS:
        sock.setsockopt(level, name, value)


def limit_send_buffer(sock: socket.socket) -> None:
    """Set SHORT_PATH_SEND_BUFFER where the path is short and nobody has set that buffer (Linux).

    :param sock: a connected TCP socket.
    """
    if sys.platform != "linux":
        return
    try:
        locked = sock.getsockopt(socket.SOL_SOCKET, _SO_BUF_LOCK)
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _MIN_RTT_AT + 4)
    except OSError:
        return
    if locked & _SOCK_SNDBUF_LOCK or len(info) < _MIN_RTT_AT + 4:
        return
    if int.from_bytes(info[_MIN_RTT_AT:], sys.byteorder) < SHORT_PATH_ROUND_TRIP:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SHORT_PATH_SEND_BUFFER)


def send_room(sock: socket.socket) -> int | None:
    """Return how many bytes the send buffer has room for; None where the system does not tell."""
    if sys.platform != "linux":
        return None
    try:
        answer = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        limit, queued = _MEMINFO.unpack(answer)
    except (OSError, struct.error):
        return None
    return int(max(0, limit - queued))


def accept_fast_open(sock: socket.socket) -> None:
    """Let clients of a listening socket send with their SYN (RFC 7413), where that exists."""
    option = getattr(socket, "TCP_FASTOPEN", None)
    if option is not None:
        # macOS knows on and off only.
        queue = _FAST_OPEN_QUEUE if sys.platform == "linux" else 1
        sock.setsockopt(socket.IPPROTO_TCP, option, queue)


def dial_fast_open(sock: socket.socket) -> None:
    """Have the first bytes sent go with the SYN (RFC 7413), where that exists.

    Connecting then succeeds at once where the kernel has a cookie of the target, and sends
    nothing until there are bytes; whether the target answers shows only after that.
    """
    if sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_FASTOPEN_CONNECT, 1)


def fast_open_obstacle(*, dialing: bool) -> str | None:
    """Return why TCP Fast Open will not happen, and what to do about it; None if it may.

    :param dialing: whether it is wanted of outgoing connections too, or of listeners only.
    """
    if not hasattr(socket, "TCP_FASTOPEN"):
        return "this system has no TCP Fast Open"
    wanted = _FAST_OPEN_LISTEN | (_FAST_OPEN_DIAL if dialing else 0)
    try:
        switch = int(Path(_FAST_OPEN_SWITCH).read_text(encoding="ascii"))
    except (OSError, ValueError):  # not Linux, or not to be read: nothing is known
        return None
    if switch & wanted == wanted:
        return None
    return f"the kernel has it switched off: sysctl -w net.ipv4.tcp_fastopen={switch | wanted}"
