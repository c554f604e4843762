"""Outgoing TCP connections."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING, Any, cast

from fastsocks.errors import DialError, PolicyError, ResolveError, dial_error

from .tcp import configure

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsocks.address import Address

    from .resolve import AddrInfo, Resolver

#: RFC 8305 section 5, "Connection Attempt Delay".
ATTEMPT_DELAY = 0.25

#: Most telling first: what the target itself said, then what the way to it said, then
#: (after everything that is not listed) what only says that this host lacks one family.
_TELLING = (
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.EACCES,
    errno.EPERM,
    errno.ETIMEDOUT,
    errno.EHOSTUNREACH,
    errno.EHOSTDOWN,
)
_HARDLY_TELLING = (
    errno.ENETUNREACH,
    errno.ENETDOWN,
    errno.ENETRESET,
    errno.EADDRNOTAVAIL,
    errno.EAFNOSUPPORT,
)
_RANKS = {code: rank for rank, code in enumerate(_TELLING)} | {
    code: 100 + rank for rank, code in enumerate(_HARDLY_TELLING)
}


def _rank(cause: OSError) -> int:
    if isinstance(cause, TimeoutError):
        return _RANKS[errno.ETIMEDOUT]
    return _RANKS.get(cause.errno or 0, len(_TELLING))


class _ConnectLoop:
    """The part of a loop that aiohappyeyeballs uses; notes why each attempt failed.

    It needs noting because several causes reach the caller as one error with their texts
    joined and no errno, which says nothing to a SOCKS client.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.causes: list[OSError] = []

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        try:
            await self._loop.sock_connect(sock, address)
        except OSError as cause:
            self.causes.append(cause)
            raise

    def new_socket(self, info: AddrInfo) -> socket.socket:
        try:
            sock = socket.socket(info[0], info[1], info[2])
        except OSError as cause:
            self.causes.append(cause)
            raise
        configure(sock)
        return sock


class Dialer:
    """Opens TCP connections to addresses.

    :param loop: the loop that runs the attempts.
    :param resolver: for names; IP addresses never reach it.
    :param timeout: seconds for a whole dial, look-up and all attempts together.
    :param attempt_delay: seconds until the next address of a name is tried beside the
        earlier ones (RFC 8305 section 5).
    :param may_dial: is asked for each IP address about to be dialed, as text, whether it is
        allowed; None allows all. That it is asked here, behind the look-up, is what keeps a
        name from changing its address after it passed.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        resolver: Resolver,
        *,
        timeout: float,
        attempt_delay: float = ATTEMPT_DELAY,
        may_dial: Callable[[str], bool] | None = None,
    ) -> None:
        self._loop = loop
        self._resolver = resolver
        self._timeout = timeout
        self._attempt_delay = attempt_delay
        self._may_dial = may_dial

    def literal(self, address: Address) -> tuple[int, tuple[Any, ...]] | None:
        """Return what connect(2) needs, where no look-up and no choice stand in between.

        :return: family and socket address if `address` is an IP address, or a name with
            exactly one address that the resolver remembers; else None.
        :raises DialError: the port is 0.
        :raises PolicyError: the address may not be dialed.
        """
        port = address.port
        if port == 0:
            raise DialError("port 0 cannot be dialed")
        if address.is_name:
            known = self._resolver.cached(address.host)
            if known is None or len(known) > 1:
                return None
            family, _, _, _, sockaddr = known[0]
            if self._may_dial is not None and not self._may_dial(sockaddr[0]):
                raise _not_public(sockaddr[0])
            return family, (sockaddr[0], port, *sockaddr[2:])
        host = address.host
        if self._may_dial is not None and not self._may_dial(host):
            raise _not_public()
        if len(address.wire) == 7:
            return socket.AF_INET, (host, port)
        return socket.AF_INET6, (host, port, 0, 0)

    async def dial(self, address: Address) -> socket.socket:
        """Open a connection; several addresses of a name race by RFC 8305.

        Of several causes of failure the most telling one is reported: refused or reset by
        the target, forbidden, timed out, host unreachable, any other, network
        unreachable, family not available.

        :return: a connected, non-blocking socket, set up by :func:`fastsocks.net.configure`.
        :raises ResolveError: the name has no address.
        :raises DialError: no address could be reached; ``reply`` says why.
        :raises PolicyError: none of the addresses may be dialed.
        """
        from aiohappyeyeballs import start_connection

        connect_loop = _ConnectLoop(self._loop)
        attempting = False
        try:
            async with asyncio.timeout(self._timeout):
                infos = await self._addresses(address)
                attempting = True
                return await start_connection(
                    infos,
                    happy_eyeballs_delay=self._attempt_delay,
                    loop=cast("asyncio.AbstractEventLoop", connect_loop),
                    socket_factory=connect_loop.new_socket,
                )
        except TimeoutError as timeout:
            # A connection that the kernel gave up is one too, and has an errno.
            if not attempting:
                raise ResolveError("name look-up timed out") from timeout
            error = dial_error(min([*connect_loop.causes, timeout], key=_rank))
            raise error from error.__cause__
        except OSError as cause:
            error = dial_error(min(connect_loop.causes or [cause], key=_rank))
            raise error from error.__cause__

    async def _addresses(self, address: Address) -> list[AddrInfo]:
        ready = self.literal(address)
        if ready is not None:
            family, sockaddr = ready
            return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", sockaddr)]
        found = await self._resolver.resolve(address.host, address.port)
        if self._may_dial is None:
            return found
        allowed = [info for info in found if self._may_dial(info[4][0])]
        if not allowed:
            raise _not_public(found[0][4][0])
        return allowed


def _not_public(found: str = "") -> PolicyError:
    what = f"the name stands for {found}, which is" if found else "this is"
    return PolicyError(f"{what} no public address (--allow-private permits it)")
