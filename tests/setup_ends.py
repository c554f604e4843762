"""Connection set-up of either twin in front of a service that a test makes up."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any, NamedTuple, Self

from fastsocks.address import Address, canonical
from fastsocks.errors import DialError, FastsocksError, HeaderError
from fastsocks.journal.observer import Connection, Observer, Observers
from fastsocks.net import Dialer, Resolver
from fastsocks.policy import Meters
from fastsocks.policy.limits import ClientLimits
from fastsocks.request import BIND, CONNECT, Request
from fastsocks.setup import states
from fastsocks.setup.roles import Accepted, Route
from relay_ends import End, import_relay
from twins import import_twin

#: Handshake and connect timeout in seconds where a test is not about it.
TIMEOUT = 10.0

BAD_LINE = b"!\n"


class SetupTwin(NamedTuple):
    """The modules of one implementation that belong together."""

    implementation: str
    setup: ModuleType
    shadowsocks: ModuleType


def import_setup(implementation: str) -> SetupTwin:
    """Import set-up, relay and codecs of one implementation."""
    setup: Any = import_twin("fastsocks.setup", "_setup", implementation)
    relay = import_relay(implementation)
    if implementation == "python":
        # It binds the engine of the implementation that runs by default.
        setup.Engine = relay.engine
    else:
        setup.watch_states(states.check)
    return SetupTwin(implementation, setup, relay.shadowsocks)


class LineInbound:
    """Speaks a protocol of one line: ``host port``, then payload. A first ``!`` breaks it."""

    codec = None
    pending: Any = None

    def __init__(self, service: LineService) -> None:
        self.silent = service.silent
        self._service = service
        self._received = b""
        self._greeting = service.greeting

    def receive(self, data: bytes) -> Request | None:
        self._received += data
        if self._received.startswith(b"!"):
            raise HeaderError("that is no request")
        line, end, payload = self._received.partition(b"\n")
        if not end:
            return None
        host, port = line.decode().split()
        return Request(Address.of(host, int(port)), payload + self._service.more_early_data)

    def take_outgoing(self) -> bytes:
        outgoing, self._greeting = self._greeting, b""
        return outgoing

    def connected(self, bound: Address | None) -> bytes:
        self._service.bounds.append(bound)
        return b"" if self.silent else b"connected\n"

    def failed(self, error: FastsocksError) -> bytes:
        return b"" if self.silent else b"failed %d\n" % error.reply


class Report(NamedTuple):
    """What the service was told of a failure."""

    error: FastsocksError
    peer: tuple[Any, ...]
    target: Address | None


class LineService:
    """Routes every request to where it asks for, and remembers what it is told.

    :param silent: as of the inbounds.
    :param greeting: what the inbound sends after the client's first bytes.
    """

    def __init__(self, *, silent: bool = False, greeting: bytes = b"") -> None:
        self.silent = silent
        self.greeting = greeting
        self.more_early_data = b""
        self.bounds: list[Address | None] = []
        self.inbounds: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        self.routed: asyncio.Queue[Request] = asyncio.Queue()
        self.reports: asyncio.Queue[Report] = asyncio.Queue()
        #: Makes the outbound's codec.
        self.new_codec: Callable[[], Any] = lambda: None
        self.payload_wait = 0.0
        #: What route raises.
        self.refusal: Exception | None = None
        self.dialer: ScriptedDialer
        self.canonical_names = False
        self.limits = ClientLimits()
        self.users: Meters | None = None
        self.access_log = False
        self.ends: asyncio.Queue[Connection] = asyncio.Queue()
        self.missing: list[tuple[Connection, int]] = []
        self.silences: list[tuple[Address, float]] = []

    def forget(self) -> None:
        """Forget what it was told."""
        self.bounds.clear()
        for queue in (self.inbounds, self.routed, self.reports, self.ends):
            while not queue.empty():
                queue.get_nowait()

    def inbound(self, accepted: Accepted) -> Any:
        self.inbounds.put_nowait(accepted.peer)
        return LineInbound(self)

    def canonical(self, request: Request) -> Request:
        if self.canonical_names:
            return request._replace(address=canonical(request.address))
        return request

    def route(self, request: Request, accepted: Accepted) -> Route:
        self.routed.put_nowait(request)
        if self.refusal is not None:
            raise self.refusal
        return Route(request.address, self.new_codec(), self.payload_wait)

    @property
    def observer(self) -> Observers:
        return Observers(self.observers())

    def observers(self) -> list[Observer]:
        """Return those who are told of its connections."""
        return [Noting(self), *([Ends(self)] if self.access_log else [])]


class Noting(Observer):
    """Lets a service remember what fails."""

    def __init__(self, service: LineService) -> None:
        self._service = service

    def refused(self, connection: Connection) -> None:
        assert connection.error is not None
        self._service.reports.put_nowait(
            Report(connection.error, connection.peer, connection.target)
        )

    def failed(self, connection: Connection) -> None:
        self.refused(connection)

    def unanswered(self, connection: Connection, in_a_row: int) -> None:
        self._service.missing.append((connection, in_a_row))

    def server_silent(self, server: Address, seconds: float) -> None:
        self._service.silences.append((server, seconds))


class Ends(Observer):
    """Lets a service remember what has ended."""

    def __init__(self, service: LineService) -> None:
        self._service = service

    def closed(self, connection: Connection) -> None:
        if connection.command in (CONNECT, BIND):
            self._service.ends.put_nowait(connection)


class ScriptedDialer:
    """Dials addresses for real, and names as the test says.

    :param timeout: seconds for a dial.
    """

    def __init__(self, timeout: float) -> None:
        loop = asyncio.get_running_loop()
        self._real = Dialer(loop, Resolver(loop), timeout=timeout)
        self.names: dict[str, Callable[[], Awaitable[socket.socket]]] = {}
        self.plain = self._real.plain
        self.address_filter = self._real.address_filter

    def literal(self, address: Address, verdict_on: Any = None) -> Any:
        return None if address.is_name else self._real.literal(address, verdict_on)

    def not_there(self, host: str, error: DialError) -> None:
        """Remember nothing."""

    async def approach(
        self, address: Address, client: str = "", verdict_on: Any = None, resolved: Any = None
    ) -> Any:
        return await self.dial(address, client, verdict_on, resolved)

    async def dial(
        self, address: Address, client: str = "", verdict_on: Any = None, resolved: Any = None
    ) -> socket.socket:
        if address.is_name:
            return await self.names[address.host]()
        return await self._real.dial(address, client)


class Target:
    """A listening socket that connections are dialed to.

    :param buffer: SO_RCVBUF of what it accepts, in bytes.
    """

    def __init__(self, host: str = "127.0.0.1", buffer: int | None = None) -> None:
        self.socket = listening(host)
        if buffer is not None:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        port: int = self.socket.getsockname()[1]
        self.address = Address.of(host, port)
        #: The request of a LineInbound that leads here.
        self.line = f"{host} {port}\n".encode()
        self._accepted: list[End] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.forget()
        self.socket.close()

    def forget(self) -> None:
        """Close what it has accepted."""
        for end in self._accepted:
            end.socket.close()
        self._accepted.clear()

    async def dial(self) -> socket.socket:
        """Connect to it, in the place of a dialer."""
        sock = socket.socket(self.socket.family)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, self.socket.getsockname())
        return sock

    async def accept(self) -> End:
        accepted, _ = await asyncio.get_running_loop().sock_accept(self.socket)
        self._accepted.append(End(accepted))
        return self._accepted[-1]


class Entrance:
    """An Acceptor of one twin that listens on loopback.

    :param timeout: seconds, of handshake and dial.
    :param faults: exceptions that the loop is told of; others fail the test.
    """

    def __init__(
        self,
        twin: SetupTwin,
        service: LineService,
        *,
        timeout: float = TIMEOUT,
        host: str = "127.0.0.1",
        faults: int = 0,
        idle_timeout: float = 1000.0,
        half_open_timeout: float = 1000.0,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.faults: list[Any] = []
        self._expected_faults = faults
        loop.set_exception_handler(lambda _, context: self.faults.append(context))
        self.service = service
        self.dialer = service.dialer = ScriptedDialer(timeout)
        self.acceptor = twin.setup.Acceptor(
            loop,
            **roles_of(service),
            timeout=timeout,
            idle_timeout=idle_timeout,
            half_open_timeout=half_open_timeout,
        )
        self._clients: list[End] = []
        self.socket = listening(host)
        self._address: Any = self.socket.getsockname()

    async def __aenter__(self) -> Self:
        self.acceptor.listen(self.socket)
        return self

    async def __aexit__(self, *error: object) -> None:
        for client in self._clients:
            client.socket.close()
        self.acceptor.stop_listening()
        self.acceptor.abort()
        await self.acceptor.wait_idle()
        assert self.acceptor.active == 0
        # What was cancelled ends in the next turns.
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(self.faults) == self._expected_faults, self.faults

    def forget(self) -> None:
        """Close the clients' ends, and forget what the service was told."""
        for client in self._clients:
            client.socket.close()
        self._clients.clear()
        self.service.forget()

    async def connect(self, data: bytes = b"") -> End:
        """Connect, send `data`, and return the client's end, closed in the end."""
        sock = socket.socket(self.socket.family)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = End(sock)
        self._clients.append(client)
        await asyncio.get_running_loop().sock_connect(sock, self._address)
        if data:
            await client.send(data)
        return client


def roles_of(service: LineService) -> dict[str, Any]:
    """Return what an Acceptor is given that has a service for all its roles."""
    return {
        "inbounds": service,
        "outbound": service,
        "observer": service.observer,
        "limits": service.limits,
        "users": service.users,
    }


def listening(host: str) -> socket.socket:
    """Listen at a port that the kernel chooses."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setblocking(False)
    sock.bind((host, 0))
    sock.listen(100)
    return sock


def spying_codec(twin: SetupTwin, payloads: list[bytes]) -> Any:
    """Make an outbound codec whose request is readable, and notes its payload."""

    def request(_: Any, address: Address, payload: bytes = b"") -> bytes:
        payloads.append(bytes(payload))
        return b"<%s %s>" % (str(address).encode(), payload)

    codec = type("SpyingCodec", (twin.shadowsocks.Codec,), {"request": request})()
    codec.transparent = True
    return codec


async def still_serves(entrance: Entrance) -> None:
    """Relay a connection to its clean end."""
    with Target() as target:
        client = await entrance.connect(target.line)
        with await target.accept() as accepted:
            await client.send(b"question")
            assert await accepted.read(8) == b"question"
            assert await client.read(10) == b"connected\n"
            accepted.finish()
            client.finish()
            assert await client.read_to_end() == b""
    await entrance.acceptor.wait_idle()
    assert entrance.acceptor.active == 0


async def only_report(entrance: Entrance, client: End | None = None) -> Report:
    """Return the one report, after the connection is over."""
    report = await entrance.service.reports.get()
    if client is not None:
        client.socket.close()
    await entrance.acceptor.wait_idle()
    assert entrance.service.reports.empty()
    assert entrance.acceptor.failures == {report.error.status: 1}
    assert entrance.acceptor.active == 0
    return report
