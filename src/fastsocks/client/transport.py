"""The transport of a connection through a Shadowsocks server: its bytes travel sealed."""

from __future__ import annotations

import asyncio
from asyncio import constants, transports
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from fastsocks.errors import BrokenError, ProtocolError, TruncatedError
from fastsocks.setup.limits import PAYLOAD_WAIT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastsocks.address import Address
    from fastsocks.shadowsocks import ClientCodec


class TunnelProtocol(asyncio.Protocol):
    """Opens what the server sends and passes it to the program's protocol.

    :param protocol: receives from the first byte on; see :meth:`TunnelTransport.set_protocol`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        codec: ClientCodec,
        target: Address,
        protocol: asyncio.BaseProtocol,
    ) -> None:
        self.opened: asyncio.Future[asyncio.Transport] = loop.create_future()
        self.protocol = protocol
        self.error: Exception | None = None
        self._loop = loop
        self._codec = codec
        self._target = target

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        make = _transport_of(self._loop)
        self._tunnel: _Tunnel = make(self._loop, self, transport, self._codec, self._target)
        if not self.opened.done():
            self.opened.set_result(cast("asyncio.Transport", self._tunnel))

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
        self._tunnel.note_paused(paused=True)
        self.protocol.pause_writing()

    def resume_writing(self) -> None:
        self._tunnel.note_paused(paused=False)
        self.protocol.resume_writing()

    def abandon(self) -> None:
        """Nobody will use the tunnel."""
        if not self.opened.cancel():
            # The loop may have closed the transport below without a word.
            self._tunnel.forget_request()

    def _break(self, cause: ProtocolError) -> None:
        self.error = BrokenError(str(cause))
        self.error.__cause__ = cause
        self._tunnel.abort()


class _Tunnel:
    """What every tunnel's transport does, whatever class its loop wants it to be of.

    The request to the server goes out with the first bytes written, or alone after 10 ms.
    """

    def _begin(
        self,
        loop: asyncio.AbstractEventLoop,
        below: TunnelProtocol,
        transport: asyncio.Transport,
        codec: ClientCodec,
        target: Address,
    ) -> None:
        self._below = below
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

    def note_paused(self, *, paused: bool) -> None:
        """Note whether the transport below holds more than it should."""

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
        # What TLS layers call in place of abort() when they fail.
        self._below.error = error if isinstance(error, Exception) else None
        self.abort()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Have another protocol receive from now on."""
        self._below.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol that receives."""
        return self._below.protocol

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


class TunnelTransport(_Tunnel, transports._FlowControlMixin):
    """A transport whose bytes travel sealed.

    Private names of asyncio say that ``loop.start_tls`` and ``loop.sendfile`` can use it, the
    latter by reading and writing.
    """

    _start_tls_compatible = True
    _sendfile_compatible = constants._SendfileMode.FALLBACK

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        below: TunnelProtocol,
        transport: asyncio.Transport,
        codec: ClientCodec,
        target: Address,
    ) -> None:
        transports._FlowControlMixin.__init__(self, None, loop)
        self._begin(loop, below, transport, codec, target)

    def note_paused(self, *, paused: bool) -> None:
        self._protocol_paused = paused


@cache
def _uvloop_transport() -> type[_Tunnel]:
    """Return a class that uvloop's ``start_tls`` takes, which is one of its own classes only.

    Of those a TLS transport can be derived from. What it inherits is not used, but for what
    it has to have been closed by: its last reference says otherwise that it never was.
    """
    from uvloop import loop

    uvloop = cast("Any", loop)
    base = uvloop._SSLProtocolTransport
    # Closing a connection that never began does nothing.
    unused = uvloop.SSLProtocol(None, asyncio.Protocol(), True, None)

    class UvloopTunnelTransport(_Tunnel, base):  # type: ignore[misc, valid-type]
        def __new__(cls, *_: Any) -> UvloopTunnelTransport:
            self = base.__new__(cls, None, unused, None)
            base.close(self)
            return cast("UvloopTunnelTransport", self)

        def __init__(self, *arguments: Any) -> None:
            self._begin(*arguments)

    return UvloopTunnelTransport


def _transport_of(loop: asyncio.AbstractEventLoop) -> type[Any]:
    """Return the class of tunnels' transports that a loop can speak TLS through."""
    if type(loop).__module__.partition(".")[0] == "uvloop":
        return _uvloop_transport()
    return TunnelTransport


def feed(protocol: asyncio.BaseProtocol, data: bytes) -> None:
    """Hand received bytes to a protocol, in the manner of its kind."""
    # TLS of uvloop is a buffered protocol, and derives from none of asyncio's classes.
    if isinstance(protocol, asyncio.Protocol) or not hasattr(protocol, "get_buffer"):
        cast("asyncio.Protocol", protocol).data_received(data)
        return
    buffered = cast("asyncio.BufferedProtocol", protocol)
    rest = memoryview(data)
    while rest:
        buffer = memoryview(buffered.get_buffer(len(rest))).cast("B")
        if not buffer:
            raise RuntimeError("get_buffer() returned an empty buffer")
        taken = min(len(buffer), len(rest))
        buffer[:taken] = rest[:taken]
        buffer.release()
        buffered.buffer_updated(taken)
        rest = rest[taken:]
