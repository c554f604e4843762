"""Datagram engines of either twin between UDP sockets that a test holds the far ends of."""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, ClassVar, NamedTuple, Self

import pytest

from fastsocks.address import Address
from fastsocks.errors import ResolveError
from fastsocks.relay.packet_way import PacketWay
from packet_ends import new_packet_client, new_packet_server
from shadowsocks_ends import import_shadowsocks
from twins import import_twin

DESCRIPTORS = "/proc/self/fd"
LARGEST = 65507
#: One method a family, and both kinds of the 2022 edition.
METHODS = (
    *("2022-blake3-aes-128-gcm", "2022-blake3-chacha20-poly1305"),
    *("aes-256-gcm", "aes-256-cfb", "none"),
)


class UdpTwin(NamedTuple):
    """The modules of one implementation that belong together."""

    implementation: str
    udp: ModuleType
    shadowsocks: ModuleType


@functools.cache
def import_udp(implementation: str) -> UdpTwin:
    """Import the UDP relay and the codecs of one implementation."""
    udp = import_twin("fastsocks.relay", "_udp", implementation)
    return UdpTwin(implementation, udp, import_shadowsocks(implementation))


def bound(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """Bind a non-blocking UDP socket, by default at a port that the kernel chooses."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        if error.errno is not None and ":" in host:
            pytest.skip(f"{host} cannot be had: {error}")
        raise
    return sock


def address_of(sock: socket.socket) -> Address:
    """Return the address that a socket is bound to."""
    host, port = sock.getsockname()[:2]
    return Address.of(host, port)


class Far:
    """A UDP socket of the test: a target, or what a client sends from."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.socket = bound(host, port)
        self.address = address_of(self.socket)
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.remove_reader(self.socket)
        self.socket.close()

    def send(self, data: bytes, to: Address) -> None:
        """Send one datagram."""
        self.socket.sendto(data, (to.host, to.port))

    async def receive(self) -> tuple[bytes, Address]:
        """Return the next datagram and who sent it."""
        while True:
            try:
                data, (host, port, *_) = self.socket.recvfrom(0x10000)
            except BlockingIOError:
                readable = self._loop.create_future()
                self._loop.add_reader(self.socket, _resolve, readable)
                await readable
                self._loop.remove_reader(self.socket)
            else:
                return data, Address.of(host, port)

    def echo(self) -> None:
        """Send back, from now on, whatever comes."""
        self._loop.add_reader(self.socket, self._echo)

    def _echo(self) -> None:
        data, source = self.socket.recvfrom(0x10000)
        self.socket.sendto(data, source)


class ShadowsocksClient(Far):
    """A client of a Shadowsocks server's UDP side."""

    def __init__(
        self,
        twin: UdpTwin,
        method: str,
        server: Address,
        key: str | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        super().__init__(host)
        self.packets = new_packet_client(twin.shadowsocks, method, key)
        self.server = server

    def seal(self, payload: bytes, to: Address) -> bytes:
        """Make a packet."""
        return bytes(self.packets.seal(to, payload, time.time()))

    def ask(self, payload: bytes, to: Address) -> None:
        """Send a payload through the server."""
        self.send(self.seal(payload, to), self.server)

    async def answer(self) -> tuple[bytes, Address]:
        """Return the next payload, and who it is from."""
        packet, sender = await self.receive()
        assert sender == self.server
        _, address, payload = self.packets.open(packet, time.time())
        return bytes(payload), address


class SocksClient(Far):
    """A SOCKS client, once it has its association."""

    def __init__(self, relay: Address, host: str = "127.0.0.1") -> None:
        super().__init__(host)
        self.relay = relay

    def ask(self, payload: bytes, to: Address, fragment: int = 0) -> None:
        """Send a payload, or a fragment of one."""
        self.send(bytes((0, 0, fragment)) + to.wire + payload, self.relay)

    async def answer(self) -> tuple[bytes, Address]:
        """Return the next payload, and who it is from."""
        data, sender = await self.receive()
        assert sender == self.relay
        return read_answer(data)


class ForwardClient(Far):
    """Who sends to a socket whose datagrams all go to one target."""

    def __init__(self, entrance: Address, host: str = "127.0.0.1") -> None:
        super().__init__(host)
        self.entrance = entrance

    def ask(self, payload: bytes, to: Address | None = None) -> None:
        """Send a payload; where it goes is not the client's to say."""
        self.send(payload, self.entrance)

    async def answer(self) -> bytes:
        """Return the next payload."""
        payload, sender = await self.receive()
        assert sender == self.entrance
        return payload


async def exchange(
    clients: Sequence[ShadowsocksClient | SocksClient], sent: Sequence[list[bytes]], target: Far
) -> None:
    """Send what each client has to send, all before any answer, to a target that echoes."""
    for client, payloads in zip(clients, sent, strict=True):
        for payload in payloads:
            client.ask(payload, target.address)
    for client, payloads in zip(clients, sent, strict=True):
        assert [(await client.answer())[0] for _ in payloads] == payloads


def read_answer(data: bytes) -> tuple[bytes, Address]:
    """Take apart what a SOCKS server sends to its client."""
    assert data[:3] == bytes(3)
    end = 3 + (7 if data[3] == 1 else 19)
    assert data[3] in {1, 4}, "the source is no IP address"
    return data[end:], Address(data[3:end])


class ScriptedResolver:
    """Knows the names that a test says."""

    def __init__(self) -> None:
        #: Addresses, or what their look-up raises; answered once :attr:`open` is set.
        self.names: dict[str, list[str] | ResolveError] = {}
        self.cache: dict[str, list[str]] = {}
        self.open = asyncio.Event()
        self.asked: list[str] = []
        #: For which client, likewise.
        self.clients: list[str] = []
        #: Those whose callers did not wait for the answer.
        self.given_up: list[str] = []

    def cached(self, host: str) -> tuple[Any, ...] | None:
        found = self.cache.get(host)
        return None if found is None else tuple(_info(one, 0) for one in found)

    async def resolve(self, host: str, port: int, client: str = "") -> list[Any]:
        self.asked.append(host)
        self.clients.append(client)
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.given_up.append(host)
            raise
        found = self.names[host]
        if isinstance(found, ResolveError):
            raise found
        return [_info(one, port) for one in found]


def _info(host: str, port: int) -> tuple[Any, ...]:
    if ":" in host:
        return (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (host, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))


class Engine:
    """A datagram engine of one twin, closed in the end; nothing is left of the last one then."""

    _open: ClassVar[list[Engine]] = []

    def __init__(self, twin: UdpTwin, **options: Any) -> None:
        loop = asyncio.get_running_loop()
        self.faults: list[Any] = []
        loop.set_exception_handler(lambda _, context: self.faults.append(context))
        self.twin = twin
        self.resolver = ScriptedResolver()
        first = self._open[0] if self._open else None
        self._descriptors: int = first._descriptors if first else count_descriptors()
        self._open.append(self)
        self.engine = twin.udp.DatagramEngine(loop, self.resolver, **options)
        self.counters = self.engine.counters

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        self.engine.close()
        self._open.remove(self)
        if kind is None:
            assert self.counters.associations == 0
        if kind is None and not self._open:
            await settle(lambda: count_descriptors() <= self._descriptors, "descriptors are left")
        assert self.faults == []

    def serve(
        self, method: str, key: str | None = None, host: str = "127.0.0.1", **options: Any
    ) -> Address:
        """Serve a method; returns where."""
        sock = bound(host)
        address = address_of(sock)
        packets = new_packet_server(self.twin.shadowsocks, method, key, **options)
        self.engine.serve(sock, packets)
        return address

    def associate(
        self,
        client: str = "127.0.0.1",
        port: int = 0,
        packet_way: Any = None,
        user: str | None = None,
    ) -> tuple[Any, Address]:
        """Make a SOCKS client's association; returns it, and where to send."""
        sock = bound(client)
        address = address_of(sock)
        return self.engine.associate(sock, client, port, packet_way, user), address

    def forward(self, target: Address, find_way: Any = None, host: str = "127.0.0.1") -> Address:
        """Forward to a fixed target; returns where to send."""
        sock = bound(host)
        address = address_of(sock)
        self.engine.forward(sock, target, find_way)
        return address

    def packet_way(self, method: str, server: Address) -> PacketWay:
        """Return a way to a Shadowsocks server."""
        return new_packet_way(self.twin, method, server)

    async def dropped(self, reason: str, count: int = 1) -> None:
        """Wait until `count` datagrams were dropped for a reason, and none for another."""
        await settle(
            lambda: sum(self.counters.dropped.values()) >= count,
            f"{count} dropped as {reason}: {self.counters.dropped}",
        )
        assert dict(self.counters.dropped) == {reason: count}


def new_packet_way(twin: UdpTwin, method: str, server: Address, control: Any = None) -> PacketWay:
    """Make a way to a Shadowsocks server, which lasts as long as `control`."""
    packets = new_packet_client(twin.shadowsocks, method)
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    return PacketWay(packets, (family, (server.host, server.port)), control)


async def settle(condition: Callable[[], bool], what: str, seconds: float = 10.0) -> None:
    """Wait for what announces itself by nothing.

    :raises AssertionError: it does not come.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.005)


def count_descriptors() -> int:
    """Return how many descriptors this process holds; 0 where that cannot be told.

    Without those of memory that processes share: a codec has it for as long as it lives.
    """
    if sys.platform != "linux":
        return 0
    return sum(not _is_shared_memory(each) for each in os.listdir(DESCRIPTORS))  # noqa: PTH208


def _is_shared_memory(descriptor: str) -> bool:
    try:
        return os.readlink(f"{DESCRIPTORS}/{descriptor}").startswith("/memfd:fastsocks")  # noqa: PTH115
    except FileNotFoundError:
        # That of the directory itself is closed by now.
        return False


def only(*hosts: str) -> Callable[[str], bool]:
    """Make an address filter that lets these IP addresses be reached, and names."""
    return lambda host: host in hosts or host[-1].isalpha()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
