"""Connections through a Shadowsocks, SOCKS5 or HTTP server from inside a Python program."""

from __future__ import annotations

import asyncio
import ssl as ssl_module
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

from fastsocks.address import Address, canonical
from fastsocks.errors import (
    AddressError,
    DialError,
    DialTimeoutError,
    HostNameError,
    ProtocolError,
    UpstreamError,
)
from fastsocks.net import Dialer, Resolver
from fastsocks.outbound.upstream import (
    HttpUpstream,
    ShadowsocksUpstream,
    SocksUpstream,
    Upstream,
    read_upstream,
)

from .transport import TunnelProtocol, feed

if TYPE_CHECKING:
    from fastsocks.socks import SocksClient
    from fastsocks.socks.http.client import HttpClient

Protocol = TypeVar("Protocol", bound=asyncio.BaseProtocol)

#: Seconds to reach the server and, by SOCKS5, the target; who wants less uses asyncio.timeout.
TIMEOUT = 30.0


async def open_connection(
    url: str,
    host: str,
    port: int,
    *,
    limit: int = 2**16,
    ssl: ssl_module.SSLContext | bool | None = None,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection to `host` through a server, as :func:`asyncio.open_connection` does.

    :param url: ``ss://...`` (SIP002), ``socks5://`` or ``http://[user:password@]host[:port]``.
    :param host: the target; a name is resolved by the server, which is sent it in the form in
        which it is looked up: lower case, ASCII (IDNA) and without a dot at its end.
    :param port: 1..65535.
    :param limit: size in bytes that the reader buffers before it stops reading.
    :param ssl: speak TLS with the target, inside the tunnel; True is a default context.
    :param server_hostname: the name in the target's certificate; `host` by default.
    :param ssl_handshake_timeout: seconds for the handshake of TLS; 60 by default.
    :param ssl_shutdown_timeout: seconds for its end; 30 by default.
    :raises ConfigError: the URL is malformed or not supported.
    :raises AddressError: `host` or `port` is no address.
    :raises ValueError: an argument for TLS without `ssl`.
    :raises DialError: the server cannot be reached, or breaks off before the target is.
    :raises ReplyError: the SOCKS5 server or HTTP proxy refuses; ``reply`` says why. A
        Shadowsocks server has no way to tell: its refusal is a connection that ends or breaks.
    :raises ProtocolError: the SOCKS5 server or HTTP proxy breaks the protocol, or refuses who
        logs in.
    :raises ssl.SSLError: the target does not speak TLS, or its certificate is not trusted.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=limit, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await create_connection(
        lambda: protocol,
        url,
        host,
        port,
        ssl=ssl,
        server_hostname=server_hostname,
        ssl_handshake_timeout=ssl_handshake_timeout,
        ssl_shutdown_timeout=ssl_shutdown_timeout,
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def create_connection(
    protocol_factory: Callable[[], Protocol],
    url: str,
    host: str,
    port: int,
    *,
    ssl: ssl_module.SSLContext | bool | None = None,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
) -> tuple[asyncio.Transport, Protocol]:
    """Open a connection to `host` through a server, for a protocol of your own.

    The parameters and errors are those of :func:`open_connection`.

    :param protocol_factory: makes an :class:`asyncio.Protocol`, or a BufferedProtocol, once
        the connection stands.
    :return: the transport and the protocol, after its ``connection_made``.
    """
    tls = (server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout)
    if not ssl and any(argument is not None for argument in tls):
        raise ValueError(
            "server_hostname, ssl_handshake_timeout and ssl_shutdown_timeout are for `ssl`"
        )
    loop = asyncio.get_running_loop()
    upstream = read_upstream(url)
    try:
        target = canonical(Address.of(host, port))
    except HostNameError as error:
        raise AddressError(f"{host!r}: {error}") from error
    if not port:
        raise DialError("port 0 cannot be dialed")
    early = _EarlyData(keep_open=not ssl)
    transport = await _connect(loop, upstream, target, early)
    try:
        if ssl:
            if early.data:
                raise ssl_module.SSLError(
                    ssl_module.SSL_ERROR_SSL,
                    f"{host} port {port} does not speak TLS: it spoke before it was asked",
                )
            context = ssl if isinstance(ssl, ssl_module.SSLContext) else None
            context = context or ssl_module.create_default_context()
            secured = await loop.start_tls(
                transport,
                early,
                context,
                server_hostname=server_hostname or host,
                ssl_handshake_timeout=ssl_handshake_timeout,
                ssl_shutdown_timeout=ssl_shutdown_timeout,
            )
            if secured is None:
                raise UpstreamError("the connection was lost during the handshake of TLS")
            transport = secured
        protocol = protocol_factory()
        early.hand_over(transport, protocol)
    except BaseException:
        transport.abort()
        raise
    return transport, protocol


class _EarlyData(asyncio.Protocol):
    """Keeps what comes before the protocol of the program is there.

    :param keep_open: at the end of the stream, until that protocol was asked.
    """

    def __init__(self, *, keep_open: bool) -> None:
        self.data = bytearray()
        self._keep_open = keep_open
        self._ended = False
        self._lost = False
        self._cause: Exception | None = None

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> bool:
        self._ended = True
        return self._keep_open

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost, self._cause = True, exc

    def hand_over(self, transport: asyncio.Transport, protocol: asyncio.BaseProtocol) -> None:
        """Let `protocol` receive, first what came so far."""
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self.data:
            feed(protocol, bytes(self.data))
        if self._ended and not cast("asyncio.Protocol", protocol).eof_received():
            transport.close()
        if self._lost:
            protocol.connection_lost(self._cause)


async def _connect(
    loop: asyncio.AbstractEventLoop,
    upstream: Upstream,
    target: Address,
    early: _EarlyData,
) -> asyncio.Transport:
    resolver = Resolver(loop)
    deadline = loop.time() + TIMEOUT
    try:
        sock = await Dialer(loop, resolver, timeout=TIMEOUT).dial(upstream.address)
    finally:
        await resolver.close()
    entrance: TunnelProtocol | _Handshake
    if isinstance(upstream, ShadowsocksUpstream):
        entrance = TunnelProtocol(loop, upstream.codec(), target, early)
    else:
        entrance = _Handshake(loop, upstream, target, early)
    try:
        connection, _ = await loop.create_connection(lambda: entrance, sock=sock)
    except BaseException:
        entrance.abandon()
        sock.close()
        raise
    try:
        async with asyncio.timeout_at(deadline):
            return await entrance.opened
    except TimeoutError as cause:
        connection.abort()
        raise DialTimeoutError("the server did not answer in time") from cause
    except BaseException:
        connection.abort()
        raise


class _Handshake(asyncio.Protocol):
    """Does the handshake of SOCKS5 or HTTP, then hands the bare transport on."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        upstream: SocksUpstream | HttpUpstream,
        target: Address,
        early: _EarlyData,
    ) -> None:
        self.opened: asyncio.Future[asyncio.Transport] = loop.create_future()
        self._client: SocksClient | HttpClient = upstream.client(target)
        self._early = early
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._client.take_outgoing())

    def data_received(self, data: bytes) -> None:
        try:
            reply = self._client.receive(data)
        except ProtocolError as error:
            self._give_up(error)
            return
        outgoing = self._client.take_outgoing()
        if outgoing:
            self._transport.write(outgoing)
        if reply is None:
            return
        self._transport.set_protocol(self._early)
        self._early.data += reply if isinstance(reply, bytes) else reply.early_data
        if not self.opened.done():
            self.opened.set_result(self._transport)

    def eof_received(self) -> None:
        try:
            self._client.end_of_stream()
        except ProtocolError as error:
            self._give_up(error)

    def connection_lost(self, exc: Exception | None) -> None:
        error = UpstreamError(f"the server broke the connection off: {exc or 'it ended'}")
        error.__cause__ = exc
        self._give_up(error)

    def abandon(self) -> None:
        """Nobody will ask what becomes of the handshake."""
        if not self.opened.cancel():
            self.opened.exception()

    def _give_up(self, error: Exception) -> None:
        if not self.opened.done():
            self.opened.set_exception(error)
        self._transport.abort()
