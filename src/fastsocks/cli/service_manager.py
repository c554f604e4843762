"""What a service manager hands over and is told, in the way of systemd."""

from __future__ import annotations

import logging
import os
import socket

from fastsocks.errors import ListenError

#: The first descriptor that is handed over (sd_listen_fds(3)).
_FIRST = 3

#: Seconds that a service manager which does not read may hold us up.
_PATIENCE = 1.0

_log = logging.getLogger("fastsocks")


def passed_sockets() -> list[socket.socket]:
    """Return the sockets that this process was handed (sd_listen_fds(3)), once.

    :raises ListenError: something else was handed over.
    """
    count, pid = (os.environ.pop(name, "") for name in ("LISTEN_FDS", "LISTEN_PID"))
    os.environ.pop("LISTEN_FDNAMES", None)
    # Variables that a parent was given are not for its children.
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    found = []
    for descriptor in range(_FIRST, _FIRST + int(count)):
        try:
            os.set_inheritable(descriptor, False)
            found.append(socket.socket(fileno=descriptor))
        except OSError as error:
            raise ListenError(
                f"descriptor {descriptor} of LISTEN_FDS is no socket: {error.strerror}"
            ) from error
    return found


def notify(*lines: str) -> None:
    """Tell the service manager, if it wants to know (sd_notify(3)).

    :param lines: such as ``READY=1``.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address or not hasattr(socket, "AF_UNIX"):
        return
    if address.startswith("@"):
        address = f"\0{address[1:]}"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(_PATIENCE)
            sock.sendto("\n".join(lines).encode(), address)
    except OSError as error:
        _log.warning("cannot notify the service manager: %s", error.strerror or error)
