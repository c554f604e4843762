"""The options of every TCP socket here."""

from __future__ import annotations

import socket

#: Seconds without a byte before a connection is probed, seconds between probes, and how
#: many go unanswered before it counts as dead: a lost peer is noticed in four minutes,
#: and NAT tables with the usual limits of five minutes or more are kept alive.
KEEPALIVE_IDLE = 120
KEEPALIVE_INTERVAL = 30
KEEPALIVE_PROBES = 4


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


def configure(sock: socket.socket) -> None:
    """Set TCP_NODELAY, SO_KEEPALIVE and the keepalive times.

    :param sock: a TCP socket, not yet connected; what a listening socket accepts inherits
        them (Linux, the BSDs, macOS).
    """
    for level, name, value in SOCKET_OPTIONS:
        sock.setsockopt(level, name, value)
