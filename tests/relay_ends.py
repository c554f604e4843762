"""Relays of either twin between loopback sockets that a test holds the far ends of."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import select
import socket
import struct
from collections.abc import Iterator, Mapping
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple, Self

from fastsocks.address import Address
from harness.pattern import Verifier, blocks, pattern
from shadowsocks_ends import import_shadowsocks, new_client, new_server
from twins import import_twin

#: Bytes that the buffers of two connections and of a relay can never hold.
MORE_THAN_BUFFERS_HOLD = 64_000_000

_READ_SIZE = 65536
_STALLED_SECONDS = 0.15


class Twin(NamedTuple):
    """The modules of one implementation that belong together."""

    implementation: str
    engine: Any
    shadowsocks: ModuleType


@functools.cache
def import_relay(implementation: str, *, bare: bool = False) -> Twin:
    """Import the relay and the codecs of one implementation.

    :param bare: the Cython one that begins without transports.
    """
    tcp: Any = import_twin("fastsocks.relay", "_bare" if bare else "_tcp", implementation)
    engine = tcp.BareEngine if bare else tcp.Engine
    return Twin(implementation, engine, import_shadowsocks(implementation))


class CodecPair(NamedTuple):
    """Both ends of one Shadowsocks connection, its request through; None is plain bytes."""

    client: Any
    server: Any


PLAIN = CodecPair(None, None)


def codec_pair(shadowsocks: ModuleType, method: str | None) -> CodecPair:
    """Make a pair for `method`; None gives no codecs."""
    if method is None:
        return PLAIN
    client = new_client(shadowsocks, method, strict=False)
    server = new_server(shadowsocks, method)
    assert server.receive(client.request(Address.of("192.0.2.1", 80))) is not None
    return CodecPair(client, server)


class End:
    """The far end of a connection: what a client or a target sees.

    :param codec: what this end seals and opens with; None for plain bytes.
    """

    def __init__(self, sock: socket.socket, codec: Any = None) -> None:
        sock.setblocking(False)
        self.socket = sock
        self.codec = codec
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    async def send(self, data: bytes) -> None:
        """Send `data` as payload."""
        if self.codec is not None:
            data = self.codec.seal(data)
        await self._loop.sock_sendall(self.socket, data)

    async def send_pattern(self, size: int, start: int = 0, *, finish: bool = False) -> None:
        """Send the pattern; `finish` ends this direction then."""
        for block in blocks(size, start):
            await self.send(block)
        if finish:
            self.finish()

    def finish(self) -> None:
        """End the direction away from here."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    async def receive_raw(self, size: int = _READ_SIZE) -> bytes:
        """Return at most `size` bytes as they come from the wire."""
        return await self._loop.sock_recv(self.socket, min(size, _READ_SIZE))

    async def receive(self) -> bytes:
        """Return the next payload, b"" at the end of the stream."""
        while data := await self.receive_raw():
            payload = data if self.codec is None else bytes(self.codec.open(data))
            if payload:
                return payload
        assert self.codec is None or not self.codec.incomplete
        return b""

    async def read(self, size: int) -> bytes:
        """Return exactly `size` bytes of payload; there must be no more on the way."""
        data = b""
        while len(data) < size:
            more = await self.receive()
            assert more, f"the stream ended after {len(data)} of {size} bytes"
            data += more
        assert len(data) == size
        return data

    async def read_to_end(self, data: bytearray | None = None) -> bytes:
        """Return all payload up to the end of the stream.

        :param data: takes it, for those who want to know what came before an error.
        """
        data = bytearray() if data is None else data
        while more := await self.receive():
            data += more
        return bytes(data)

    async def verify(self, size: int, verifier: Verifier | None = None) -> Verifier:
        """Read `size` bytes of the pattern, and no more."""
        verifier = verifier or Verifier()
        end = verifier.size + size
        while verifier.size < end:
            data = await self.receive()
            assert data, f"the stream ended after {verifier.size} of {end} bytes"
            verifier.feed(data)
        assert verifier.size == end
        return verifier

    async def verify_to_end(self) -> int:
        """Read the pattern to the end of the stream; returns its size in bytes."""
        verifier = Verifier()
        while data := await self.receive():
            verifier.feed(data)
        return verifier.size

    async def fill(self, start: int = 0) -> int:
        """Send the pattern until no more is taken; returns how many bytes were taken.

        :param start: offset in the pattern.
        :raises AssertionError: more was taken than buffers can hold.
        """
        assert self.codec is None
        sent = 0
        while await self._becomes_writable():
            assert sent < MORE_THAN_BUFFERS_HOLD, "the sender is never slowed down"
            with contextlib.suppress(BlockingIOError):
                sent += self.socket.send(pattern(_READ_SIZE, start + sent))
        return sent

    async def _becomes_writable(self) -> bool:
        writable = self._loop.create_future()
        self._loop.add_writer(self.socket, _resolve, writable)
        try:
            done, _ = await asyncio.wait((writable,), timeout=_STALLED_SECONDS)
        finally:
            self._loop.remove_writer(self.socket)
        return bool(done)

    async def end_error(self) -> type[OSError] | None:
        """Read to the end of the stream and tell how it ended: None for a clean end."""
        try:
            while await self._loop.sock_recv(self.socket, _READ_SIZE):
                pass
        except OSError as error:
            return type(error)
        return None

    async def hung_up(self) -> int:
        """Wait until both directions are over; returns the errno that the socket holds.

        After an end of stream only this tells a reset (EPIPE then) from silence.
        """
        with _epoll(self.socket) as poll:
            over = self._loop.create_future()
            self._loop.add_reader(poll.fileno(), _resolve, over)
            try:
                await over
            finally:
                self._loop.remove_reader(poll.fileno())
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


@contextlib.contextmanager
def _epoll(sock: socket.socket) -> Iterator[Any]:
    with select.epoll() as poll:
        poll.register(sock, 0)  # EPOLLHUP and EPOLLERR come unasked
        yield poll


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def connect(
    buffer: int | None = None, send_buffer: int | None = None
) -> tuple[socket.socket, socket.socket]:
    """Connect two sockets over loopback: one for the relay and one for the test.

    :param buffer: SO_SNDBUF and SO_RCVBUF of both in bytes, which the kernel doubles; None
        leaves it to tune them.
    :param send_buffer: SO_SNDBUF where it is not `buffer`.
    """
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        far = stack.enter_context(socket.socket())
        for sock in (listener, far):
            # Inherited by what is accepted.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if buffer is not None:
                # Segments of 64 KiB, which loopback has, and small buffers stall each other.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer or buffer)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        far.connect(listener.getsockname())
        near, _ = listener.accept()
        stack.pop_all()
    near.setblocking(False)
    return near, far


class Relayed:
    """One relay and the far ends of its two connections.

    :param inbound: codecs between the client and the relay.
    :param outbound: codecs between the relay and the target.
    :param buffer: see :func:`connect`; `send_buffer` likewise.
    :param first: bytes that must arrive first, as `Engine.start` takes them.
    """

    def __init__(
        self,
        engine: Any,
        inbound: CodecPair = PLAIN,
        outbound: CodecPair = PLAIN,
        *,
        buffer: int | None = None,
        send_buffer: int | None = None,
        first: Mapping[str, bytes] = MappingProxyType({}),
    ) -> None:
        near_client, far_client = connect(buffer, send_buffer)
        near_target, far_target = connect(buffer, send_buffer)
        self.client = End(far_client, inbound.client)
        self.target = End(far_target, outbound.server)
        self.near = (near_client, near_target)
        #: Its result is the relay; set by a second call, it fails the test.
        self.ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.relay = engine.start(
            near_client,
            inbound.server,
            near_target,
            outbound.client,
            self.ended.set_result,
            **first,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close both far ends; the relay ends by that if it did not before."""
        self.client.socket.close()
        self.target.socket.close()
        assert await asyncio.shield(self.ended) is self.relay
        for near in self.near:
            assert near.fileno() == -1, "a socket of the relay is open"

    async def error(self) -> Any:
        """Wait for the relay to end and return its error."""
        await asyncio.shield(self.ended)
        return self.relay.error
