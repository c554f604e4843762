"""Both twins of connection set-up, side by side: same steps, same outcomes, nothing left."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import importlib
import importlib.util
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from datagram_ends import count_descriptors
from fastsocks.address import Address
from fastsocks.errors import AuthenticationError, HeaderError, ListenError, ResolveError
from fastsocks.policy import ClientLimits, Meters
from fastsocks.request import BIND, CONNECT, UDP_ASSOCIATE, Request
from fastsocks.setup.roles import Accepted
from harness.listener import refusing_address
from relay_ends import End
from setup_ends import LineInbound, LineService, ScriptedDialer, Target, import_setup, roles_of
from twins import IMPLEMENTATIONS, import_twin

resource = pytest.importorskip("resource")
# The dialer imports it when it is first needed, which takes a descriptor.
importlib.import_module("aiohappyeyeballs")

#: Longer than any run, in seconds: nothing here ends by its deadline.
FOR_EVER = 1000.0

#: Turns of the loop in which either twin has gone as far as it can, but for what they wait for.
TURNS = 25

#: What a client sends, cut where a read may end; `{port}` is a target's, `{refused}` nobody's.
PIECES = [
    "127.0.0.1 ",
    "{port}\n",
    "{port}\nearly",
    "127.0.0.1 {port}\n",
    "127.0.0.1 {refused}\n",
    "name.test 80\n",
    "name.test 80\nearly",
    "check.test 80\n",
    "udp.test 53\n",
    "bind.test 20\n",
    "bind.test 20\nearly",
    "fault.test 1\n",
    "!\n",
    "payload",
    70_000 * "p",
]

_NAMES = ("name.test", "check.test", "udp.test", "bind.test")
_COMMANDS = {"udp.test": UDP_ASSOCIATE, "bind.test": BIND}


@contextlib.contextmanager
def no_more_descriptors() -> Iterator[None]:
    """Let this process open nothing more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as lowest:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest.fileno(), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class FaultError(Exception):
    """Stands for a programming error.

    :param world: where it was made.
    """

    def __init__(self, world: World) -> None:
        super().__init__("a fault of ours")
        self.world = world


class WaitingInbound(LineInbound):
    """Has each thing that set-up may do asked for by a name."""

    def __init__(self, world: World) -> None:
        super().__init__(world.service)
        self._world = world

    def receive(self, data: bytes) -> Request | None:
        try:
            request = super().receive(data)
        except ValueError:
            raise HeaderError("that is no request") from None
        host = "" if request is None else request.address.host
        if host == "fault.test":
            raise FaultError(self._world)
        if request is not None and request.address.is_name and host not in _NAMES:
            raise HeaderError("that is no name of the test")
        if request is not None and host == "check.test":
            self.pending = self._check(request)
            return None
        return request and request._replace(command=_COMMANDS.get(host, CONNECT), user="u")

    async def _check(self, request: Request) -> Request:
        if not await self._world.wait("check"):
            raise AuthenticationError("wrong")
        self.pending = None
        return request._replace(address=self._world.target.address, user="u")


class Association:
    """A UDP association as set-up knows it."""

    bound = Address.of("192.0.2.7", 5300)

    def __init__(self, world: World) -> None:
        self.ended: Callable[[], None] | None = None
        self._world = world
        world.associations.append(self)

    def close(self) -> None:
        with contextlib.suppress(ValueError):
            self._world.associations.remove(self)


class Listener:
    """A listener for the peer of a BIND as set-up knows it."""

    bound = Address.of("192.0.2.7", 2000)

    def __init__(self, world: World) -> None:
        self._world = world
        world.listeners.append(self)

    async def accept(self) -> tuple[socket.socket, Address]:
        if not await self._world.wait("peer"):
            raise ListenError("nobody came")
        return await self._world.target.dial(), Address.of("192.0.2.9", 20)

    def close(self) -> None:
        with contextlib.suppress(ValueError):
            self._world.listeners.remove(self)


class WaitingService(LineService):
    """Waits for the test before it does anything."""

    def __init__(self, world: World, *, silent: bool) -> None:
        super().__init__(silent=silent)
        self._world = world
        self.access_log = True
        self.users = Meters()
        self.limits = ClientLimits(max_connections=6, max_handshakes_per_client=3)

    def inbound(self, accepted: Accepted) -> LineInbound:
        return WaitingInbound(self._world)

    async def associate(self, *_: object) -> Association:
        if not await self._world.wait("associate"):
            raise ListenError("no port")
        return Association(self._world)

    async def bind(self, *_: object) -> Listener:
        if not await self._world.wait("bind"):
            raise ListenError("no port")
        return Listener(self._world)


class Seen:
    """What has been seen of one end of a connection."""

    def __init__(self, end: End) -> None:
        self.end = end
        self.data = b""
        #: Empty while it is open.
        self.over = ""
        self._finished = False

    def finish(self) -> None:
        """End the direction away from here."""
        self._finished = True
        with contextlib.suppress(OSError):
            self.end.finish()

    def reset(self) -> None:
        """Break off, unless the end was told: a loop's transport does not notice a reset then."""
        if not self._finished:
            self.over = "gone"
            with contextlib.suppress(OSError):
                self.end.reset()

    def look(self) -> tuple[int, str]:
        while not self.over:
            try:
                data = self.end.socket.recv(1 << 20)
            except BlockingIOError:
                break
            except OSError as error:
                self.over = errno.errorcode[error.errno or 0]
            else:
                self.data += data
                self.over = "" if data else "end"
        return len(self.data), self.over


class World:
    """One twin, and all that it deals with."""

    def __init__(self, implementation: str, *, silent: bool) -> None:
        loop = asyncio.get_running_loop()
        twin = import_setup(implementation)
        ending = "_setup" if implementation == "cython" else "_connection"
        self._ending = cast("Any", import_twin("fastsocks.setup", ending, implementation))
        self._linger = self._ending.LINGER
        self._ending.LINGER = FOR_EVER
        self.target = Target()
        self.service = WaitingService(self, silent=silent)
        dialer = ScriptedDialer(FOR_EVER)
        dialer.names["name.test"] = self._dial
        self.service.dialer = dialer
        roles = roles_of(self.service)
        self.acceptor = twin.setup.Acceptor(loop, **roles, timeout=FOR_EVER)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self._address = self._socket.getsockname()
        self.acceptor.listen(self._socket)
        self.clients: list[Seen] = []
        self.targets: list[Seen] = []
        self.associations: list[Association] = []
        self.listeners: list[Listener] = []
        self.faults = 0
        #: What set-up waits for, the oldest first.
        self.waits: list[tuple[str, asyncio.Future[bool]]] = []

    async def wait(self, what: str) -> bool:
        """Wait until the test says yes or no."""
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        entry = what, answer
        self.waits.append(entry)
        try:
            return await answer
        finally:
            self.waits.remove(entry)

    async def _dial(self) -> socket.socket:
        if not await self.wait("dial"):
            raise ResolveError("no such name")
        return await self.target.dial()

    def connect(self) -> None:
        sock = socket.create_connection(self._address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.clients.append(Seen(End(sock)))

    def seen(self) -> dict[str, Any]:
        """Return all that can be seen of it, ports left out."""
        with contextlib.suppress(BlockingIOError):
            while True:
                accepted, _ = self.target.socket.accept()
                self.targets.append(Seen(End(accepted)))
        usage = self.service.users["u"] if self.service.users is not None else None
        return {
            "active": self.acceptor.active,
            "connections": self.service.limits.connections,
            "handshakes": self.service.limits.handshakes,
            "failures": dict(self.acceptor.failures),
            "reports": sorted(
                (report.error.status, report.target.host if report.target else "")
                for report in list(self.service.reports._queue)  # type: ignore[attr-defined]
            ),
            "ends": sorted(
                (
                    told.user,
                    told.target.host,
                    (told.bytes_up, told.bytes_down),
                    told.error.status if told.error else "",
                )
                for told in list(self.service.ends._queue)  # type: ignore[attr-defined]
            ),
            "usage": usage,
            "waits": [what for what, _ in self.waits],
            "associations": len(self.associations),
            "listeners": len(self.listeners),
            "clients": [(client.look(), client.data) for client in self.clients],
            # What they get has ports in it.
            "targets": [target.look() for target in self.targets],
            "faults": self.faults,
        }

    async def close(self) -> None:
        """End everything, and check that nothing is left."""
        self.acceptor.stop_listening()
        self.acceptor.abort()
        for seen in (*self.clients, *self.targets):
            seen.end.socket.close()
        await self.acceptor.wait_idle()
        for _ in range(TURNS):
            await asyncio.sleep(0)
        self.target.__exit__()
        self._ending.LINGER = self._linger
        limits = self.service.limits
        assert (limits.connections, limits.handshakes, limits.clients) == (0, 0, 0)
        assert self.service.users is not None
        assert self.service.users["u"].active == 0
        assert (self.waits, self.associations, self.listeners) == ([], [], [])


class SetupMachine(RuleBasedStateMachine):
    """Does the same to both twins."""

    new_loop: Callable[[], asyncio.AbstractEventLoop] = staticmethod(asyncio.new_event_loop)

    def __init__(self) -> None:
        super().__init__()
        # A loop keeps some of its own, but for no longer than it lasts.
        self._descriptors = count_descriptors()
        self._runner = asyncio.Runner(loop_factory=self.new_loop)
        self._refusing = refusing_address()
        self._refused = self._refusing.__enter__().port
        self._worlds: list[World] = []

    @initialize(silent=st.booleans())
    def begin(self, silent: bool) -> None:
        async def make() -> list[World]:
            asyncio.get_running_loop().set_exception_handler(self._note_fault)
            return [World(implementation, silent=silent) for implementation in IMPLEMENTATIONS]

        self._worlds = self._runner.run(make())

    def _note_fault(self, _: object, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, FaultError):
            pytest.fail(f"{context}")
        error.world.faults += 1

    def _clients(self) -> int:
        return len(self._worlds[0].clients) if self._worlds else 0

    def _of_client(self, number: int) -> list[Seen]:
        """Return that client in both worlds."""
        return [world.clients[number % self._clients()] for world in self._worlds]

    @precondition(lambda self: self._clients() < 9)
    @rule()
    def connect(self) -> None:
        async def do() -> None:
            for world in self._worlds:
                world.connect()

        self._runner.run(do())

    @precondition(lambda self: self._clients())
    @rule(number=st.integers(0, 8), piece=st.sampled_from(PIECES))
    def send(self, number: int, piece: str) -> None:
        for world, client in zip(self._worlds, self._of_client(number), strict=True):
            text = piece.format(port=world.target.address.port, refused=self._refused)
            # It may have been ended, by either side.
            with contextlib.suppress(OSError):
                client.end.socket.send(text.encode())

    @precondition(lambda self: self._clients())
    @rule(number=st.integers(0, 8))
    def dial_without_descriptors(self, number: int) -> None:
        async def do() -> None:
            # One after the other: what one gives back is not for the other.
            for world, client in zip(self._worlds, self._of_client(number), strict=True):
                with no_more_descriptors():
                    with contextlib.suppress(OSError):
                        client.end.socket.send(f"127.0.0.1 {world.target.address.port}\n".encode())
                    for _ in range(TURNS):
                        await asyncio.sleep(0)

        self._runner.run(do())

    @precondition(lambda self: self._clients())
    @rule(number=st.integers(0, 8))
    def finish(self, number: int) -> None:
        for client in self._of_client(number):
            client.finish()

    @precondition(lambda self: self._clients())
    @rule(number=st.integers(0, 8))
    def reset(self, number: int) -> None:
        for client in self._of_client(number):
            client.reset()

    @precondition(lambda self: self._worlds and self._worlds[0].waits)
    @rule(number=st.integers(0, 8), yes=st.booleans())
    def answer(self, number: int, yes: bool) -> None:
        for world in self._worlds:
            world.waits[number % len(world.waits)][1].set_result(yes)

    @precondition(lambda self: self._worlds and self._worlds[0].associations)
    @rule()
    def end_association(self) -> None:
        for world in self._worlds:
            association = world.associations[0]
            association.close()
            if association.ended is not None:
                association.ended()

    @precondition(lambda self: self._worlds and self._worlds[0].targets)
    @rule(number=st.integers(0, 8), what=st.sampled_from(["send", "finish", "reset"]))
    def target_does(self, number: int, what: str) -> None:
        for world in self._worlds:
            target = world.targets[number % len(world.targets)]
            if what == "finish":
                target.finish()
            elif what == "reset":
                target.reset()
            else:
                with contextlib.suppress(OSError):
                    target.end.socket.send(b"answer")

    @precondition(lambda self: self._worlds)
    @rule()
    def abort(self) -> None:
        for world in self._worlds:
            world.acceptor.abort()

    @invariant()
    def are_alike(self) -> None:
        if not self._worlds:
            return

        async def compare() -> None:
            for _ in range(TURNS):
                await asyncio.sleep(0)
            seen = [world.seen() for world in self._worlds]
            for _ in range(1000):
                if seen[0] == seen[1]:
                    return
                await asyncio.sleep(0.002)
                seen = [world.seen() for world in self._worlds]
            first, second = seen
            different = {
                key: (first[key], second[key]) for key in first if first[key] != second[key]
            }
            assert not different, different

        self._runner.run(compare())

    def close(self) -> None:
        """End both worlds, and the loop."""

        async def close() -> None:
            for world in self._worlds:
                await world.close()

        self._runner.run(close())
        self._refusing.__exit__(None, None, None)
        self._runner.close()

    def teardown(self) -> None:
        self.close()
        # An engine keeps the pipes that it may splice by, for as long as it lives.
        self._worlds.clear()
        gc.collect()
        assert count_descriptors() == self._descriptors


def warm_up(machine: type[SetupMachine]) -> None:
    """Relay once: libuv opens descriptors for good when it is first used."""
    one = machine()
    one.begin(silent=False)
    one.connect()
    one.send(0, "127.0.0.1 {port}\n")
    one.are_alike()
    one.close()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_both_twins_do_the_same(loop: str) -> None:
    for implementation in IMPLEMENTATIONS:
        import_setup(implementation)
    machine: type[SetupMachine] = SetupMachine
    if loop == "uvloop":
        if importlib.util.find_spec("uvloop") is None:
            pytest.skip("uvloop is missing: pip install uvloop")
        new_loop = importlib.import_module("uvloop").new_event_loop
        machine = type("UvloopMachine", (SetupMachine,), {"new_loop": staticmethod(new_loop)})
    warm_up(machine)
    examples = int(os.environ.get("FASTSOCKS_STATEFUL_EXAMPLES", "25"))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
