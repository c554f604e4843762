"""Listening sockets, TCP and UDP."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Callable
from ipaddress import ip_address
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

from fastsocks.errors import ListenError

from .datagrams import SHARED_BUFFER, enlarge_buffers
from .tcp import accept_fast_open, configure

#: What Linux allows by default (net.core.somaxconn); the kernel cuts it to what it allows.
BACKLOG = 4096

#: Seconds for which Linux keeps a connection to itself that has not sent anything yet.
DEFER_ACCEPT = 3

_EVERYWHERE = ("::", "0.0.0.0")  # noqa: S104
_ATTEMPTS_AT_ONE_PORT = 16

_REMEDIES = {
    errno.EADDRINUSE: "another process listens there",
    errno.EADDRNOTAVAIL: "this host has no such address",
    errno.EACCES: "ports below 1024 need root or the capability CAP_NET_BIND_SERVICE",
}

#: This host lacks the address or its family; it may still have the others of a name.
_LACKING = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)

_SockAddr = tuple[Any, ...]
_Target = tuple[int, _SockAddr]

#: What is told of addresses that this host lacks.
Missing: TypeAlias = Callable[[ListenError], None]


class _Manner(NamedTuple):
    backlog: int
    reuse_port: bool
    fast_open: bool
    kind: int = socket.SOCK_STREAM


def listen(
    host: str | tuple[str, ...],
    port: int,
    *,
    backlog: int = BACKLOG,
    reuse_port: bool = False,
    fast_open: bool = False,
    missing: Missing | None = None,
) -> list[socket.socket]:
    """Open listening sockets, non-blocking, set up for what they accept to inherit.

    A name is looked up in this call, which takes its time.

    :param host: an IP address, a name, which stands for all addresses it has on this host,
        or "" for every address, IPv6 and IPv4; or several of these.
    :param port: 0..65535; with 0 the kernel chooses one, the same for all addresses.
    :param backlog: how many connections may wait to be accepted.
    :param reuse_port: let other processes of this user listen there too, if they also ask for
        it; the kernel shares connections out among them (SO_REUSEPORT).
    :param fast_open: let clients send with their SYN (RFC 7413), where the system has that.
    :param missing: is told of each entry of `host` of which this host has no address, where it has
        others; None makes that an error. Of what a name or "" stands for, some may be missing.
    :return: one socket or more.
    :raises ListenError: names the address and the cause.
    """
    return _listen(host, port, _Manner(backlog, reuse_port, fast_open), missing)


def listen_datagrams(
    host: str | tuple[str, ...],
    port: int,
    *,
    reuse_port: bool = False,
    missing: Missing | None = None,
) -> list[socket.socket]:
    """Open UDP sockets for many clients, non-blocking.

    :param host: as for :func:`listen`.
    :param port: likewise.
    :param reuse_port: likewise; the kernel shares clients out by their addresses.
    :param missing: likewise.
    :return: one socket or more.
    :raises ListenError: names the address and the cause.
    """
    manner = _Manner(0, reuse_port, fast_open=False, kind=socket.SOCK_DGRAM)
    return _listen(host, port, manner, missing)


def listen_together(
    host: str | tuple[str, ...],
    port: int,
    *,
    backlog: int = BACKLOG,
    reuse_port: bool = False,
    fast_open: bool = False,
    missing: Missing | None = None,
) -> tuple[list[socket.socket], list[socket.socket]]:
    """Open TCP and UDP sockets at the same addresses and port.

    The parameters are those of :func:`listen`.

    :return: those of TCP, and those of UDP.
    :raises ListenError: names the address and the cause.
    """
    manner = _Manner(backlog, reuse_port, fast_open)
    attempts = 1 if port else _ATTEMPTS_AT_ONE_PORT
    while True:
        attempts -= 1
        streams = _listen(host, port, manner, missing)
        try:
            number = streams[0].getsockname()[1]
            return streams, listen_datagrams(
                host, number, reuse_port=reuse_port, missing=missing and _told_before
            )
        except BaseException as error:
            for sock in streams:
                sock.close()
            # The port that the kernel chose for TCP may be taken for UDP.
            taken = isinstance(error, ListenError) and error.errno == errno.EADDRINUSE
            if not taken or attempts == 0:
                raise


def adopt(sock: socket.socket, *, fast_open: bool = False) -> None:
    """Set up a socket that somebody else has bound, such as a service manager, as if it were ours.

    :param fast_open: as for :func:`listen`.
    :raises ListenError: it is neither a listening TCP socket nor a bound UDP one, or one of IPv6
        that takes IPv4, too.
    """
    streaming = sock.type == socket.SOCK_STREAM
    internet = sock.family in (socket.AF_INET, socket.AF_INET6)
    if not internet or not (streaming or sock.type == socket.SOCK_DGRAM):
        raise ListenError(f"socket {sock.fileno()} was passed, which is not one of TCP or UDP")
    host, port = sock.getsockname()[:2]
    if streaming and not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise ListenError(f"the socket of {host} port {port} was passed, and does not listen")
    if (
        sock.family == socket.AF_INET6
        and ip_address(host).is_unspecified
        and not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    ):
        raise ListenError(
            f"the socket of [{host}]:{port} takes IPv4, too: write BindIPv6Only=ipv6-only, and "
            f"0.0.0.0:{port} besides [::]:{port}"
        )
    _set_up(sock, fast_open=fast_open)


def defer_accept(sock: socket.socket, *, wanted: bool) -> None:
    """Have the kernel keep connections to itself until their first bytes are there, or not.

    Accept and first read are one wake-up then, where clients speak first.

    :param sock: a listening one of TCP.
    """
    if sys.platform == "linux":
        seconds = DEFER_ACCEPT if wanted else 0
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, seconds)


def is_name(host: str) -> bool:
    """Tell whether to listen on `host` takes looking it up, and so may take its time.

    :param host: an IP address, a name or "".
    """
    try:
        _look_up(host or _EVERYWHERE[0], 0, socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return True
    return False


def _told_before(_: ListenError) -> None:
    """Say nothing of an address that another listener has missed, too."""


def _listen(
    host: str | tuple[str, ...], port: int, manner: _Manner, missing: Missing | None
) -> list[socket.socket]:
    targets = _targets((host,) if isinstance(host, str) else host, port)
    if manner.reuse_port and not hasattr(socket, "SO_REUSEPORT"):
        raise ListenError("this system cannot share a port (SO_REUSEPORT): leave out reuse_port")
    alone = sum(map(len, targets.values())) == 1
    attempts = 1 if port or alone else _ATTEMPTS_AT_ONE_PORT
    while True:
        attempts -= 1
        try:
            sockets, lacking = _listen_all(targets, port, manner)
        except ListenError as error:
            # The port that the kernel chose for the first may be taken at the second.
            if error.errno != errno.EADDRINUSE or attempts == 0:
                raise
            continue
        if lacking and (missing is None or not sockets):
            for sock in sockets:
                sock.close()
            raise lacking[-1]
        for lack in lacking:
            if missing is not None:
                missing(lack)
        return sockets


def _targets(hosts: tuple[str, ...], port: int) -> dict[str, list[_Target]]:
    """Return where to listen, by what each host of the caller stands for."""
    targets: dict[str, list[_Target]] = {}
    for host in hosts:
        found = targets[host] = []
        for one in (host,) if host else _EVERYWHERE:
            try:
                infos = _look_up(one, port, socket.AI_PASSIVE)
            except (OSError, UnicodeError) as cause:
                reason = getattr(cause, "strerror", None) or str(cause)
                raise _listen_error((one, port), reason, getattr(cause, "errno", None)) from cause
            for family, _, _, _, sockaddr in infos:
                if family in (socket.AF_INET, socket.AF_INET6):
                    found.append((family, sockaddr))
    return targets


def _look_up(host: str, port: int, flags: int) -> list[Any]:
    # Text goes through the IDNA codec, which is loaded for it.
    name = host.encode() if host.isascii() else host
    return socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=flags)


def _listen_all(
    targets: dict[str, list[_Target]], port: int, manner: _Manner
) -> tuple[list[socket.socket], list[ListenError]]:
    """Return the sockets, and what is wrong with each host of which no address is here."""
    sockets: list[socket.socket] = []
    lacking: dict[_Target, ListenError] = {}
    try:
        for target in dict.fromkeys(chain.from_iterable(targets.values())):
            family, sockaddr = target
            address = (sockaddr[0], port, *sockaddr[2:])
            try:
                sock = _listen_one(family, address, manner)
            except OSError as cause:
                error = _listen_error(address, cause.strerror or str(cause), cause.errno)
                error.__cause__ = cause
                if cause.errno not in _LACKING:
                    raise error from cause
                lacking[target] = error
                continue
            sockets.append(sock)
            port = sock.getsockname()[1]
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    absent = [found for found in targets.values() if found and lacking.keys() >= set(found)]
    return sockets, [lacking[found[-1]] for found in absent]


def _listen_one(family: int, sockaddr: _SockAddr, manner: _Manner) -> socket.socket:
    streaming = manner.kind == socket.SOCK_STREAM
    sock = socket.socket(family, manner.kind)
    try:
        if sys.platform == "win32":
            # SO_REUSEADDR there lets another process take the port away.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        elif streaming:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if manner.reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _set_up(sock, fast_open=manner.fast_open)
        sock.bind(sockaddr)
        if streaming:
            sock.listen(manner.backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _set_up(sock: socket.socket, *, fast_open: bool) -> None:
    sock.setblocking(False)
    if sock.type != socket.SOCK_STREAM:
        enlarge_buffers(sock, SHARED_BUFFER)
        return
    if fast_open:
        accept_fast_open(sock)
    configure(sock)


def _listen_error(sockaddr: _SockAddr, reason: str, code: int | None) -> ListenError:
    host, port = sockaddr[:2]
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    remedy = _REMEDIES.get(code or 0)
    error = ListenError(f"cannot listen on {where}: {reason}" + (f" ({remedy})" if remedy else ""))
    error.errno = code
    return error
