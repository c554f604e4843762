"""Outgoing TCP connections."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from fastsocks.errors import ConfigError, DialError, PolicyError, ResolveError, dial_error

from .scopes import connect_in_scope
from .tcp import configure, dial_fast_open

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fastsocks.address import Address

    from .resolver import AddrInfo, Resolver

#: Tells whether an IP address, as text, may be reached.
AddressFilter: TypeAlias = "Callable[[str], bool]"

#: Gives the verdict of rules on an IP address about to be dialed, as text: raises PolicyError where
#: that is that it may not be. An AddressFilter could not say which rule it was.
VerdictOn: TypeAlias = "Callable[[str], None]"

#: RFC 8305 section 5, "Connection Attempt Delay".
ATTEMPT_DELAY = 0.25

#: linux/in.h; Python has no name for it before 3.12.
_IP_BIND_ADDRESS_NO_PORT = 24

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

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
_OF_THIS_HOST = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_RANKS = {code: rank for rank, code in enumerate(_TELLING)} | {
    code: 100 + rank for rank, code in enumerate(_HARDLY_TELLING)
}


def _rank(cause: OSError) -> int:
    if isinstance(cause, TimeoutError):
        return _RANKS[errno.ETIMEDOUT]
    return _RANKS.get(cause.errno or 0, len(_TELLING))


def check_local_addresses(
    hosts: Iterable[str], option: str = "outbound address", use: str = "dial from"
) -> None:
    """Check that this host has the IP addresses to dial from, or that serve another use.

    :param option: what named them; `use`: what for.
    :raises ConfigError: it lacks one.
    """
    for host in hosts:
        try:
            with socket.socket(_family(host), socket.SOCK_STREAM) as sock:
                sock.bind((host, 0))
        except OSError as cause:
            raise ConfigError(
                f"{option}: cannot {use} {host}: {os.strerror(cause.errno or 0)}"
            ) from cause


def _family(host: str) -> int:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


class _ConnectLoop:
    """The part of a loop that aiohappyeyeballs uses; notes each attempt, and why it failed.

    It needs noting because several causes reach the caller as one error with their texts
    joined and no errno, which says nothing to a SOCKS client.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.causes: list[OSError] = []
        #: The addresses that were tried, in that order.
        self.tried: list[str] = []

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        self.tried.append(address[0])
        try:
            if len(address) == 4 and address[3]:
                await connect_in_scope(self._loop, sock, address)
            else:
                await self._loop.sock_connect(sock, address)
        except OSError as cause:
            self.causes.append(cause)
            raise
        except asyncio.CancelledError:
            # It may stand by now, and was for nothing: an end would look as if it had been for
            # something.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            raise

    def new_socket(self, local: dict[int, str], fast_open: bool, info: AddrInfo) -> socket.socket:
        try:
            sock = socket.socket(info[0], info[1], info[2])
        except OSError as cause:
            self.causes.append(cause)
            raise
        try:
            configure(sock)
            if fast_open:
                dial_fast_open(sock)
            if info[0] in local:
                _bind(sock, local[info[0]])
        except OSError as cause:
            sock.close()
            self.causes.append(cause)
            raise
        return sock


def _bind(sock: socket.socket, host: str) -> None:
    if sys.platform == "linux":
        # A port is chosen by connect then, one for each target instead of one for each socket.
        sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((host, 0))


class Dialer:
    """Opens TCP connections to addresses.

    :param loop: the loop that runs the attempts.
    :param resolver: for names; IP addresses never reach it.
    :param timeout: seconds for a whole dial, look-up and all attempts together.
    :param attempt_delay: seconds until the next address of a name is tried beside the
        earlier ones (RFC 8305 section 5).
    :param address_filter: is asked for each IP address about to be dialed; None lets all be. That
        it is asked here, behind the look-up, is what keeps a name from changing its address after
        it passed.
    :param local_addresses: IP addresses to dial from, one of a family at most. A family that
        has none is dialed from where the system chooses, as other servers do it.
    :param fast_open: send the first bytes with the SYN (RFC 7413), where there is one address
        to dial. Only for who has first bytes to send: without them nothing is ever sent.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        resolver: Resolver,
        *,
        timeout: float,
        attempt_delay: float = ATTEMPT_DELAY,
        address_filter: AddressFilter | None = None,
        local_addresses: Iterable[str] = (),
        fast_open: bool = False,
    ) -> None:
        self._loop = loop
        self._resolver = resolver
        self._timeout = timeout
        self._attempt_delay = attempt_delay
        self._local = {_family(host): host for host in local_addresses}
        self._fast_open = fast_open
        #: The parameter.
        self.address_filter = address_filter
        #: Whether a socket needs nothing that the caller of :meth:`literal` would not do.
        self.plain = not (self._local or fast_open)

    def literal(
        self, address: Address, verdict_on: VerdictOn | None = None
    ) -> tuple[int, tuple[Any, ...]] | None:
        """Return what connect(2) needs, where no look-up and no choice stand in between.

        :param verdict_on: is asked in the place of `address_filter`.
        :return: family and socket address if `address` is an IP address, or a name with
            exactly one address that the resolver remembers; else None. Also None where the
            socket needs more than an address, as :meth:`dial` does it.
        :raises DialError: the port is 0.
        :raises PolicyError: the address may not be dialed.
        """
        ready = self._literal(address, verdict_on)
        return ready if self.plain else None

    def _literal(
        self, address: Address, verdict_on: VerdictOn | None
    ) -> tuple[int, tuple[Any, ...]] | None:
        port = address.port
        if port == 0:
            raise DialError("port 0 cannot be dialed")
        if address.is_name:
            known = self._resolver.cached(address.host)
            if known is None or len(known) > 1:
                return None
            family, _, _, _, sockaddr = known[0]
            self._check(sockaddr[0], verdict_on, of_name=True)
            return family, (sockaddr[0], port, *sockaddr[2:])
        host = address.host
        self._check(host, verdict_on)
        if len(address.wire) == 7:
            return socket.AF_INET, (host, port)
        return socket.AF_INET6, (host, port, 0, 0)

    def _check(self, host: str, verdict_on: VerdictOn | None, *, of_name: bool = False) -> None:
        if verdict_on is not None:
            verdict_on(host)
        elif self.address_filter is not None and not self.address_filter(host):
            raise not_public(host if of_name else "")

    async def approach(
        self,
        address: Address,
        client: str = "",
        verdict_on: VerdictOn | None = None,
        resolved: Callable[[], None] | None = None,
    ) -> socket.socket | tuple[int, tuple[Any, ...]]:
        """Do what :meth:`dial` does, but leave the connecting to the caller where it is simple.

        :return: what :meth:`literal` does where there is one address, which has no scope; else a
            connected socket.
        """
        if self.plain:
            infos = await self._look_up(address, client, verdict_on)
            if len(infos) == 1 and not any(infos[0][4][2:]):
                if resolved is not None:
                    resolved()
                return infos[0][0], infos[0][4]
        return await self.dial(address, client, verdict_on, resolved)

    async def _look_up(
        self, address: Address, client: str, verdict_on: VerdictOn | None
    ) -> list[AddrInfo]:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._addresses(address, client, verdict_on)
        except DialError:
            raise
        except TimeoutError as timeout:
            raise ResolveError("name look-up timed out") from timeout

    async def dial(
        self,
        address: Address,
        client: str = "",
        verdict_on: VerdictOn | None = None,
        resolved: Callable[[], None] | None = None,
    ) -> socket.socket:
        """Open a connection; several addresses of a name race by RFC 8305.

        :param client: for whom; see :meth:`fastsocks.net.Resolver.resolve`.
        :param verdict_on: see :meth:`literal`.
        :param resolved: is called once the name is looked up.

        What it finds out of the addresses of a name is for those who dial it next: one that was
        not there comes last, and where none was the name is looked up again.

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
                infos = await self._addresses(address, client, verdict_on)
                attempting = True
                if resolved is not None and address.is_name:
                    resolved()
                fast_open = self._fast_open and len(infos) == 1
                sock = await start_connection(
                    infos,
                    happy_eyeballs_delay=self._attempt_delay,
                    loop=cast("asyncio.AbstractEventLoop", connect_loop),
                    socket_factory=partial(connect_loop.new_socket, self._local, fast_open),
                )
        except DialError:
            raise
        except TimeoutError as timeout:
            # A connection that the kernel gave up is one too, and has an errno.
            if not attempting:
                raise ResolveError("name look-up timed out") from timeout
            error = self._failed(address, [*connect_loop.causes, timeout])
            raise error from error.__cause__
        except OSError as cause:
            error = self._failed(address, connect_loop.causes or [cause])
            raise error from error.__cause__
        if len(infos) > 1:
            won = sock.getpeername()[0].partition("%")[0]
            tried = (host for host in connect_loop.tried if host != won)
            self._resolver.learn(address.host, won, tried)
        return sock

    def _failed(self, address: Address, causes: list[OSError]) -> DialError:
        error = dial_error(min(causes, key=_rank))
        if address.is_name:
            self.not_there(address.host, error)
        return error

    def not_there(self, host: str, error: DialError) -> None:
        """Have a name looked up again that :meth:`literal` gave an address of: it was not there.

        :param error: why not; what this host lacks says nothing of the name.
        """
        if error.errno not in _OF_THIS_HOST:
            self._resolver.drop(host)

    async def _addresses(
        self, address: Address, client: str, verdict_on: VerdictOn | None
    ) -> list[AddrInfo]:
        ready = self._literal(address, verdict_on)
        if ready is not None:
            family, sockaddr = ready
            return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", sockaddr)]
        found = await self._resolver.resolve(address.host, address.port, client)
        if self.address_filter is None and verdict_on is None:
            return found
        passed: list[AddrInfo] = []
        refusal: PolicyError | None = None
        for info in found:
            try:
                self._check(info[4][0], verdict_on, of_name=True)
            except PolicyError as error:
                refusal = refusal or error
            else:
                passed.append(info)
        if refusal is not None and not passed:
            raise refusal
        return passed


def not_public(found: str = "") -> PolicyError:
    """Return the error about an address that is not public.

    :param found: the address, where it is one of a name.
    """
    what = f"the name stands for {found}, which is" if found else "this is"
    return PolicyError(f"{what} no public address (--allow-private permits it)")
