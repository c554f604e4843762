"""Connections through a Shadowsocks or SOCKS5 server from inside a Python program."""

from __future__ import annotations

import asyncio
from asyncio import sslproto
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ..address import Address, canonical
from ..errors import (
    AddressError,
    DialError,
    HostNameError,
    ProtocolError,
    TruncatedError,
    UpstreamError,
)
from ..net import Dialer, Resolver
from .limits import PAYLOAD_WAIT
from .upstream import HttpUpstream, ShadowsocksUpstream, SocksUpstream, Upstream, read_upstream

if TYPE_CHECKING:
    import ssl as ssl_module

    from ..shadowsocks import ClientCodec
    from ..socks import SocksClient
    from ..socks.http.client import HttpClient

Protocol = TypeVar("Protocol", bound=asyncio.BaseProtocol)

#: Seconds to reach the server and, by SOCKS5, the target; who wants less uses asyncio.timeout.
TIMEOUT = 30.0


async def open_connection(
    url: str,
    host: str,
    port: int,
    *,
    limit: int = 2**16,
    ssl: ssl_module.SSLContext | None = None,
    server_hostname: str | None = None,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection to `host` through a server, as :func:`asyncio.open_connection` does.

    :param url: ``ss://...`` (SIP002), ``socks5://`` or ``http://[user:password@]host[:port]``.
    :param host: the target; a name is resolved by the server, which is sent it in the form in
        which it is looked up: lower case, ASCII (IDNA) and without a dot at its end.
    :param port: 1..65535.
    :param limit: size in bytes that the reader buffers before it stops reading.
    :param ssl: speak TLS with the target, inside the tunnel.
    :param server_hostname: the name in the target's certificate; `host` by default.
    :raises ConfigError: the URL is malformed or not supported.
    :raises AddressError: `host` or `port` is no address.
    :raises DialError: the server cannot be reached, or breaks off before the target is.
    :raises ProtocolError: the SOCKS5 server or HTTP proxy refuses; ``reply`` says why. A
        Shadowsocks server has no way to tell: its refusal is a connection that ends or breaks.
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
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def create_connection(
    protocol_factory: Callable[[], Protocol],
    url: str,
    host: str,
    port: int,
    *,
    ssl: ssl_module.SSLContext | None = None,
    server_hostname: str | None = None,
) -> tuple[asyncio.Transport, Protocol]:
    """Open a connection to `host` through a server, for a protocol of your own.

    The parameters and errors are those of :func:`open_connection`.

    :param protocol_factory: makes an :class:`asyncio.Protocol`, or a BufferedProtocol.
    :return: the transport and the protocol, after its ``connection_made``.
    """
    loop = asyncio.get_running_loop()
    upstream = read_upstream(url)
    try:
        target = canonical(Address.of(host, port))
    except HostNameError as error:
        raise AddressError(f"{host!r}: {error}") from error
    if not port:
        raise DialError("port 0 cannot be dialed")
    protocol = protocol_factory()
    if ssl is None:
        transport = await _connect(loop, upstream, target, protocol)
        return transport, protocol
    ready: asyncio.Future[None] = loop.create_future()
    # loop.start_tls wants a transport of its own loop; the layer below it does not.
    secured: Any = sslproto.SSLProtocol(  # type: ignore[attr-defined, unused-ignore]
        loop,
        protocol,
        ssl,
        ready,
        server_side=False,
        server_hostname=server_hostname or host,
    )
    transport = await _connect(loop, upstream, target, secured)
    try:
        await ready
    except BaseException:
        transport.abort()
        raise
    return cast("asyncio.Transport", secured._app_transport), protocol


async def _connect(
    loop: asyncio.AbstractEventLoop,
    upstream: Upstream,
    target: Address,
    protocol: asyncio.BaseProtocol,
) -> asyncio.Transport:
    resolver = Resolver(loop)
    deadline = loop.time() + TIMEOUT
    try:
        sock = await Dialer(loop, resolver, timeout=TIMEOUT).dial(upstream.address)
    finally:
        await resolver.close()
    entrance: _ShadowsocksEntrance | _SocksEntrance
    if isinstance(upstream, ShadowsocksUpstream):
        entrance = _ShadowsocksEntrance(loop, upstream, target, protocol)
    else:
        entrance = _SocksEntrance(loop, upstream, target, protocol)
    try:
        connection, _ = await loop.create_connection(lambda: entrance, sock=sock)
    except BaseException:
        entrance.forsake()
        sock.close()
        raise
    try:
        async with asyncio.timeout_at(deadline):
            return await entrance.opened
    except TimeoutError as cause:
        connection.abort()
        error = DialError("the server did not answer in time")
        error.reply = 0x06
        raise error from cause
    except BaseException:
        connection.abort()
        raise


class _SocksEntrance(asyncio.Protocol):
    """Does the handshake, then hands the bare transport to the user's protocol."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        upstream: SocksUpstream | HttpUpstream,
        target: Address,
        protocol: asyncio.BaseProtocol,
    ) -> None:
        self.opened: asyncio.Future[asyncio.Transport] = loop.create_future()
        self._client: SocksClient | HttpClient = upstream.client(target)
        self._protocol = protocol
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
        self._transport.set_protocol(self._protocol)
        self._protocol.connection_made(self._transport)
        early_data = reply if isinstance(reply, bytes) else reply.early_data
        if early_data:
            feed(self._protocol, early_data)
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

    def forsake(self) -> None:
        """Nobody will ask what becomes of the handshake."""
        if not self.opened.cancel():
            self.opened.exception()

    def _give_up(self, error: Exception) -> None:
        if not self.opened.done():
            self.opened.set_exception(error)
        self._transport.abort()


class _ShadowsocksEntrance(asyncio.Protocol):
    """Opens what the server sends and passes it to the user's protocol."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        upstream: ShadowsocksUpstream,
        target: Address,
        protocol: asyncio.BaseProtocol,
    ) -> None:
        self.opened: asyncio.Future[asyncio.Transport] = loop.create_future()
        self.protocol = protocol
        self._loop = loop
        self._codec = upstream.codec()
        self._target = target
        self.error: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._tunnel = TunnelTransport(
            self._loop, self, cast("asyncio.Transport", transport), self._codec, self._target
        )
        self.protocol.connection_made(self._tunnel)
        if not self.opened.done():
            self.opened.set_result(self._tunnel)

    def data_received(self, data: bytes) -> None:
        try:
            plaintext = self._codec.open(data)
        except ProtocolError as error:
            self._break(error)
            return
        if plaintext:
            feed(self.protocol, bytes(plaintext))

    def eof_received(self) -> bool:
        if self._codec.incomplete:
            self._break(TruncatedError("the stream ended inside a record"))
            return False
        return bool(cast("asyncio.Protocol", self.protocol).eof_received())

    def connection_lost(self, exc: Exception | None) -> None:
        self._tunnel.forget_request()
        self.protocol.connection_lost(self.error or exc)

    def pause_writing(self) -> None:
        self.protocol.pause_writing()

    def resume_writing(self) -> None:
        self.protocol.resume_writing()

    def forsake(self) -> None:
        """Nobody will use the tunnel."""
        if not self.opened.cancel():
            # The loop may have closed the transport below without a word.
            self._tunnel.forget_request()

    def _break(self, error: Exception) -> None:
        self.error = error
        self._tunnel.abort()


class TunnelTransport(asyncio.Transport):
    """A transport whose bytes travel sealed; made by :func:`create_connection`.

    The request to the server goes out with the first bytes written, or alone after 10 ms.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        entrance: _ShadowsocksEntrance,
        transport: asyncio.Transport,
        codec: ClientCodec,
        target: Address,
    ) -> None:
        super().__init__()
        self._entrance = entrance
        self._transport = transport
        self._codec = codec
        self._target = target
        self._requested = False
        self._request = loop.call_later(PAYLOAD_WAIT, self._send_request, b"")

    def _send_request(self, payload: bytes) -> None:
        self.forget_request()
        if not (self._requested or self._transport.is_closing()):
            self._requested = True
            self._transport.write(self._codec.request(self._target, payload))

    def forget_request(self) -> None:
        """Stop waiting for a first payload."""
        self._request.cancel()

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Seal and send `data`, or queue it; see :meth:`asyncio.WriteTransport.write`."""
        if not data or self._transport.is_closing():
            return
        if self._requested:
            self._transport.write(self._codec.seal(data))
        else:
            self._send_request(bytes(data))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        """Seal and send the pieces as one."""
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        """Send the end of the stream; what the target still sends is received."""
        self._send_request(b"")
        self._transport.write_eof()

    def can_write_eof(self) -> bool:
        """Shadowsocks carries a half-close."""
        return True

    def close(self) -> None:
        """Close once what was written is sent."""
        self.forget_request()
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self.forget_request()
        self._transport.abort()

    def _force_close(self, error: BaseException | None) -> None:
        # What asyncio's TLS layer calls in place of abort() when it fails.
        self._entrance.error = error if isinstance(error, Exception) else None
        self.abort()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Have another protocol receive from now on."""
        self._entrance.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol that receives."""
        return self._entrance.protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the connection to the server knows; see asyncio's transports."""
        return self._transport.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Return whether the transport is closing or closed."""
        return self._transport.is_closing()

    def is_reading(self) -> bool:
        """Return whether the transport receives."""
        return self._transport.is_reading()

    def pause_reading(self) -> None:
        """Stop receiving until :meth:`resume_reading`."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Receive again."""
        self._transport.resume_reading()

    def get_write_buffer_size(self) -> int:
        """Return how many sealed bytes wait to be sent."""
        return self._transport.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the low and the high water mark, in sealed bytes."""
        return self._transport.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the water marks, in sealed bytes."""
        self._transport.set_write_buffer_limits(high, low)


def feed(protocol: asyncio.BaseProtocol, data: bytes) -> None:
    """Hand received bytes to a protocol, in the manner of its kind."""
    if not isinstance(protocol, asyncio.BufferedProtocol):
        cast("asyncio.Protocol", protocol).data_received(data)
        return
    rest = memoryview(data)
    while rest:
        buffer = memoryview(protocol.get_buffer(len(rest))).cast("B")
        if not buffer:
            raise RuntimeError("get_buffer() returned an empty buffer")
        taken = min(len(buffer), len(rest))
        buffer[:taken] = rest[:taken]
        buffer.release()
        protocol.buffer_updated(taken)
        rest = rest[taken:]
