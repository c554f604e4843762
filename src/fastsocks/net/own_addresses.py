"""The addresses of this host, and what becomes of them while we run.

Linux tells by rtnetlink(7): addresses of interfaces, and whatever else it routes to itself
(``ip route add local``). Elsewhere, and where a sandbox allows no netlink, one can ask for single
addresses only.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

Network: TypeAlias = IPv4Network | IPv6Network

# linux/netlink.h and linux/rtnetlink.h
_RTM_NEWADDR, _RTM_DELADDR, _RTM_GETADDR = 20, 21, 22
_RTM_NEWROUTE, _RTM_DELROUTE, _RTM_GETROUTE = 24, 25, 26
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_REQUEST_DUMP = 0x0001 | 0x0300
_SOL_NETLINK, _GET_STRICT_CHK = 270, 12
_TABLE_LOCAL = 255
#: RTN_LOCAL and RTN_ANYCAST.
_TO_THIS_HOST = (2, 4)
_IFA_ADDRESS, _IFA_LOCAL, _RTA_DST = 1, 2, 1
#: RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE.
_GROUPS = 0x10 | 0x40 | 0x100 | 0x400

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
#: Of struct ifaddrmsg and struct rtmsg; of the latter, where things stand.
_ADDRESS_SIZE, _ROUTE_SIZE = 8, 12
_ROUTE_PREFIX, _ROUTE_TABLE, _ROUTE_TYPE = 1, 4, 7
_RECEIVE_SIZE = 256 * 1024

#: Seconds for which an answer holds where nobody tells of changes, and until the next look after
#: one that failed.
_ASK_AGAIN = 10.0
_LOOK_AGAIN = 1.0

#: Messages that are read before the loop's other work gets its turn.
_BATCH = 64


def own_networks() -> frozenset[Network] | None:
    """Return what leads to this host: its addresses, and networks that are routed to itself.

    :return: None where the system has no netlink, or does not allow it.
    """
    try:
        with _open() as sock:
            addresses = _dump(sock, _RTM_GETADDR, bytes(_ADDRESS_SIZE))
            # Kernels before 4.20 pass over the table, and tell of all of them.
            with contextlib.suppress(OSError):
                sock.setsockopt(_SOL_NETLINK, _GET_STRICT_CHK, 1)
            wanted = struct.pack("=8BI", 0, 0, 0, 0, _TABLE_LOCAL, 0, 0, 0, 0)
            return frozenset((*addresses, *_dump(sock, _RTM_GETROUTE, wanted)))
    except OSError:
        return None


def is_of_this_host(host: str) -> bool:
    """Ask the system whether an IP address is one of this host; for where there is no netlink.

    Nothing is sent: it says where it would send from, which is the address itself if it is ours.

    :return: also True where it cannot be asked.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        probe = socket.socket(family, socket.SOCK_DGRAM)
    except OSError:
        return True
    with probe:
        try:
            probe.connect((host, 9))
        except OSError:  # no route
            return False
        return str(probe.getsockname()[0]) == host


def follow_own_networks(
    loop: asyncio.AbstractEventLoop, changed: Callable[[frozenset[Network] | None], None]
) -> Callable[[], None]:
    """Call `changed` with what leads to this host: now, and whenever that may be another.

    :param changed: is given what :func:`own_networks` returns.
    :return: is to be called in the end.
    """
    follower = _followers.get(loop)
    if follower is None:
        follower = _followers[loop] = _Follower(loop)
    return follower.add(changed)


class _Follower:
    """What one loop follows, for all services on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._callbacks: dict[object, Callable[[frozenset[Network] | None], None]] = {}
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._networks: frozenset[Network] | None = None

    def add(self, changed: Callable[[frozenset[Network] | None], None]) -> Callable[[], None]:
        if not self._callbacks:
            self._begin()
        token = object()
        self._callbacks[token] = changed
        changed(self._networks)

        def leave() -> None:
            if self._callbacks.pop(token, None) is not None and not self._callbacks:
                self._end()
                del _followers[self._loop]

        return leave

    def _begin(self) -> None:
        # Before the first look, so that no change between the two is missed.
        try:
            self._socket = _open(_GROUPS)
            self._socket.setblocking(False)
            self._loop.add_reader(self._socket, self._readable)
        except (OSError, NotImplementedError):  # the proactor loop of Windows
            self._end()
        self._networks = None if self._socket is None else own_networks()
        if self._networks is None:
            self._ask_again()

    def _ask_again(self) -> None:
        self._tell()
        self._timer = self._loop.call_later(_ASK_AGAIN, self._ask_again)

    def _tell(self) -> None:
        for changed in list(self._callbacks.values()):
            changed(self._networks)

    def _end(self) -> None:
        sock, self._socket = self._socket, None
        if sock is not None:
            with contextlib.suppress(NotImplementedError):
                self._loop.remove_reader(sock)
            sock.close()
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _readable(self) -> None:
        if self._networks is not None and self._socket is not None and _concern_us(self._socket):
            self._look()

    def _look(self) -> None:
        self._stop_timer()
        networks = own_networks()
        if networks is None:
            # No descriptor is to be had, say: what was known is better than nothing.
            self._timer = self._loop.call_later(_LOOK_AGAIN, self._look)
        elif networks != self._networks:
            self._networks = networks
            self._tell()


_followers: dict[asyncio.AbstractEventLoop, _Follower] = {}


def _open(groups: int = 0) -> socket.socket:
    if sys.platform != "linux":
        raise OSError("no netlink")
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    try:
        sock.bind((0, groups))
    except BaseException:
        sock.close()
        raise
    return sock


def _concern_us(sock: socket.socket) -> bool:
    """Take in what the kernel tells, and say whether any of it is about what leads to us."""
    found = False
    for _ in range(_BATCH):
        try:
            data = sock.recv(_RECEIVE_SIZE)
        except BlockingIOError:
            break
        except OSError:  # more than fits in: whatever it was
            return True
        for kind, body in _messages(data):
            found = found or kind in (_RTM_NEWADDR, _RTM_DELADDR)
            if kind in (_RTM_NEWROUTE, _RTM_DELROUTE):
                found = found or body[_ROUTE_TYPE] in _TO_THIS_HOST
    return found


def _dump(sock: socket.socket, kind: int, body: bytes) -> list[Network]:
    sock.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST_DUMP, 1, 0) + body)
    found: list[Network] = []
    while True:
        for answer, content in _messages(sock.recv(_RECEIVE_SIZE)):
            if answer == _NLMSG_DONE:
                return found
            if answer == _NLMSG_ERROR:
                raise OSError("netlink refuses")
            network = _network_of(answer, content)
            if network is not None:
                found.append(network)


def _network_of(kind: int, body: bytes) -> Network | None:
    if kind == _RTM_NEWADDR:
        attributes = dict(_attributes(body[_ADDRESS_SIZE:]))
        # The address of a point-to-point link is that of the other end.
        address = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)
        return None if address is None else ip_network(address)
    # Other tables are asked for what was marked (TPROXY), and lead here whatever has the mark.
    if kind == _RTM_NEWROUTE and body[_ROUTE_TABLE] == _TABLE_LOCAL:
        destination = dict(_attributes(body[_ROUTE_SIZE:])).get(_RTA_DST)
        if destination is not None and body[_ROUTE_TYPE] in _TO_THIS_HOST:
            return ip_network((destination, body[_ROUTE_PREFIX]))
    return None


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Take apart what one recv(2) gave: type and content of each message."""
    position = 0
    while position + _HEADER.size <= len(data):
        size, kind, _, _, _ = _HEADER.unpack_from(data, position)
        if size < _HEADER.size:
            return
        yield kind, data[position + _HEADER.size : position + size]
        position += (size + 3) & ~3


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + _ATTRIBUTE.size <= len(data):
        size, kind = _ATTRIBUTE.unpack_from(data, position)
        if size < _ATTRIBUTE.size:
            return
        yield kind, data[position + _ATTRIBUTE.size : position + size]
        position += (size + 3) & ~3
