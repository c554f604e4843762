"""Ways through other servers: one upstream, or a chain of several."""

from __future__ import annotations

import asyncio
import errno
from functools import partial
from typing import TYPE_CHECKING, Any

from fastsocks.address import Address
from fastsocks.errors import (
    ConfigError,
    DialError,
    FastsocksError,
    ProtocolError,
    UpstreamError,
)
from fastsocks.proxy_protocol import LOCAL_HEADER, header_for
from fastsocks.request import UDP_ASSOCIATE
from fastsocks.setup.limits import PAYLOAD_WAIT
from fastsocks.setup.roles import Opened, Route
from fastsocks.shadowsocks import ClientCodec
from fastsocks.shadowsocks.layers import MOST_LAYERS, LayeredCodec

from .upstream import HttpUpstream, ShadowsocksUpstream, read_upstream

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from fastsocks.inbound import Accepted
    from fastsocks.net import Dialer
    from fastsocks.request import Request
    from fastsocks.socks import SocksClient
    from fastsocks.socks.client import Reply
    from fastsocks.socks.http.client import HttpClient

    from .upstream import SocksUpstream, Upstream

_READ_SIZE = 64 * 1024

#: From where we are going to send is not known yet (RFC 1928 section 4).
_ANYWHERE = Address.of("0.0.0.0", 0)  # noqa: S104


class Chain:
    """Servers that a connection passes, in their order.

    :param urls: see :func:`.upstream.read_upstream`.
    :param timeout: seconds for reaching the target through all of them.
    :param send_proxy_protocol: begin every connection by a PROXY header, for the first server.
    :param payload_wait: see :class:`.roles.Route`.
    :raises ConfigError: one of the URLs is none, or too many are of Shadowsocks.
    """

    def __init__(
        self,
        urls: Sequence[str],
        timeout: float,
        *,
        payload_wait: float = PAYLOAD_WAIT,
        send_proxy_protocol: bool = False,
    ) -> None:
        try:
            self.upstreams: tuple[Upstream, ...] = tuple(map(read_upstream, urls))
        except ConfigError as error:
            raise ConfigError(f"upstream: {error}") from None
        self._timeout = timeout
        self._send_proxy_protocol = send_proxy_protocol
        self._payload_wait = payload_wait
        layers = sum(isinstance(one, ShadowsocksUpstream) for one in self.upstreams)
        if layers > MOST_LAYERS:
            raise ConfigError(
                f"upstream: {layers} Shadowsocks servers; {MOST_LAYERS} at most make a chain"
            )

    def __str__(self) -> str:
        return ", then ".join(map(str, self.upstreams))

    @property
    def relays_udp(self) -> bool:
        """Whether datagrams can go through it: no HTTP proxy is part of it."""
        return not any(isinstance(one, HttpUpstream) for one in self.upstreams)

    def route(self, request: Request, accepted: Accepted) -> Route:
        """Lead to a target through all servers."""
        first = self.upstreams[0]
        header = b""
        if self._send_proxy_protocol:
            header = header_for(request, accepted)
        elif len(self.upstreams) == 1 and isinstance(first, ShadowsocksUpstream):
            return Route(first.address, first.codec(), self._payload_wait, verdict_on=_anything)
        return Route(first.address, open=partial(self._open, request.address, header))

    async def _open(self, target: Address, header: bytes, dialer: Dialer, client: str) -> Opened:
        """Connect to the first server, and go through all of them.

        :raises UpstreamError: one of them is not there, or refuses; ``reply`` says why.
        """
        link, early = await self.link(len(self.upstreams), target, dialer, client, header)
        return link.opened(early, self._payload_wait)

    async def link(
        self, passed: int, target: Address, dialer: Dialer, client: str, header: bytes = b""
    ) -> tuple[Link, bytes]:
        """Connect to the first server, and go through some of them.

        :param passed: how many; the first one is connected to in any case.
        :param target: where the last of these is to lead.
        :param client: for whom; see :meth:`fastsocks.net.Dialer.dial`.
        :param header: the PROXY header; where one is due, by default that of a connection which is
            no client's.
        :return: the connection, and what came behind the answer of the last.
        :raises UpstreamError: one of them is not there, or refuses; ``reply`` says why.
        """
        loop = asyncio.get_running_loop()
        upstream = self.upstreams[0]
        sock: socket.socket | None = None
        try:
            async with asyncio.timeout(self._timeout):
                sock = await dialer.dial(upstream.address, client, _anything)
                if self._send_proxy_protocol:
                    await loop.sock_sendall(sock, header or LOCAL_HEADER)
                link = Link(loop, sock)
                early = b""
                for position, upstream in enumerate(self.upstreams[:passed]):
                    last = position + 1 == passed
                    following = target if last else self.upstreams[position + 1].address
                    if isinstance(upstream, ShadowsocksUpstream):
                        # Whoever comes before may cut what it sends into pieces.
                        link.enter(ClientCodec(upstream.key, strict=not position), following)
                    else:
                        early = await link.shake_hands(upstream, following)
                        if early and not last:
                            raise ProtocolError("it sent more than its answer")
                return link, early
        except BaseException as cause:
            if sock is not None:
                sock.close()
            if isinstance(cause, FastsocksError | OSError):
                raise upstream_error(upstream, cause) from cause
            raise


class Link:
    """A connection through the servers passed so far."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self._loop = loop
        self.socket = sock
        self._codec: ClientCodec | LayeredCodec | None = None
        #: Whether it leads further than to whom the socket is connected.
        self.tunnelled = False
        #: What the request of the codec will ask for; None where that is sent.
        self._following: Address | None = None

    def enter(self, codec: ClientCodec, following: Address) -> None:
        """Go on through a Shadowsocks server, which is told where with the next bytes.

        It says nothing of how that went.
        """
        self.tunnelled = True
        if self._codec is not None:
            self._codec = LayeredCodec(self._codec, codec, self._following)
        else:
            self._codec = codec
        self._following = following

    async def shake_hands(
        self, upstream: SocksUpstream | HttpUpstream, following: Address
    ) -> bytes:
        """Go on through a server that answers; return what came behind its answer."""
        self.tunnelled = True
        answer = await self._shake(upstream.client(following))
        return answer if isinstance(answer, bytes) else answer.early_data

    async def _shake(self, client: SocksClient | HttpClient) -> Any:
        await self._send(client.take_outgoing())
        while True:
            data = await self._receive()
            if not data:
                client.end_of_stream()
            answer = client.receive(data)
            if outgoing := client.take_outgoing():
                await self._send(outgoing)
            if answer is not None:
                return answer

    async def associate(self, upstream: SocksUpstream) -> Address:
        """Ask a SOCKS5 server for an association, and return where to send its datagrams."""
        client = upstream.client(_ANYWHERE, UDP_ASSOCIATE)
        answer: Reply = await self._shake(client)
        return answer.bound

    def opened(self, early: bytes, payload_wait: float) -> Opened:
        """Return what the relay needs."""
        if self._codec is None:
            return Opened(self.socket, None, 0.0, early)
        if self._following is not None:
            return Opened(self.socket, self._codec, payload_wait, early)
        return Opened(self.socket, LayeredCodec(self._codec), 0.0, early)

    async def _send(self, data: bytes) -> None:
        if self._codec is not None and self._following is not None:
            following, self._following = self._following, None
            data = self._codec.request(following, data)
        elif self._codec is not None:
            data = bytes(self._codec.seal(data))
        await self._loop.sock_sendall(self.socket, data)

    async def _receive(self) -> bytes:
        """Return what comes; nothing at the end of the stream."""
        while True:
            data = await self._loop.sock_recv(self.socket, _READ_SIZE)
            if not data or self._codec is None:
                return data
            if opened := bytes(self._codec.open(data)):
                return opened


def upstream_error(upstream: Upstream, cause: Exception) -> UpstreamError:
    """Make the error that something went wrong with an upstream, or that it took too long."""
    if isinstance(cause, TimeoutError) and not isinstance(cause, DialError):
        error = UpstreamError(f"upstream {upstream} did not answer in time")
        error.reply = 0x06
        error.errno = errno.ETIMEDOUT
        return error
    reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    error = UpstreamError(f"upstream {upstream}: {reason}")
    if isinstance(cause, DialError):
        error.reply, error.errno = cause.reply, cause.errno
    return error


def _anything(_: str) -> None:
    """Let every address be reached: whoever runs this service chose the upstream."""
