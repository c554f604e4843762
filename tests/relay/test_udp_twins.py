"""Both twins of the UDP relay side by side: the same steps, the same outcomes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeAlias, TypeVar

import uvloop
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    rule,
    run_state_machine_as_test,
)

from datagram_ends import (
    Engine,
    Far,
    ForwardClient,
    ShadowsocksClient,
    SocksClient,
    UdpTwin,
    import_udp,
)
from fastsocks.address import Address
from fastsocks.errors import PolicyError, ResolveError
from harness.deadline import DEADLINE
from twins import IMPLEMENTATIONS

METHODS = ("2022-blake3-aes-128-gcm", "aes-256-gcm")
#: Hosts of clients: the first two are one client, by the network that they are in.
CLIENTS = ("127.0.1.1", "127.0.1.2", "127.0.2.1")
#: Hosts of targets, of which the address filter and a rule refuse one each.
TARGETS = ("127.0.0.1", "127.0.0.2")
FILTERED, DENIED = "127.0.0.8", "127.0.0.9"
NAMES = ("a.example", "b.example", "denied.example")
#: Fixed targets.
FORWARDED = (TARGETS[0], "a.example")

Client: TypeAlias = ShadowsocksClient | SocksClient | ForwardClient

_T = TypeVar("_T")


def address_filter(host: str) -> bool:
    """Refuse one host."""
    return host != FILTERED


def verdict_on(client: str, user: str | None, target: Address, resolved: str | None) -> bool:
    """Refuse one host and one name, as a rule does."""
    if DENIED in {target.host, resolved} or target.host == "denied.example":
        raise PolicyError("denied")
    return False


class Side:
    """One twin, with clients and targets of its own."""

    def __init__(self, twin: UdpTwin, stack: AsyncExitStack, options: dict[str, Any]) -> None:
        self._twin = twin
        self._stack = stack
        self.told: list[tuple[str, str]] = []
        self.engine = Engine(
            twin,
            address_filter=address_filter,
            verdict_on=verdict_on,
            client_of=lambda host: host.rpartition(".")[0],
            limit_hit=lambda cap, whose: self.told.append((cap, whose)),
            **options,
        )
        self._servers: list[Address] = []
        self._forwarding: list[Address] = []
        self._clients: list[Client] = []
        self._associations: dict[int, Any] = {}
        self._targets: list[Far] = []
        self._sent = 0
        # Where datagrams came from, in the order in which they were first seen.
        self._sources: list[Address] = []
        self.ended: list[int] = []

    async def open(self) -> None:
        """Begin to serve."""
        await self._stack.enter_async_context(self.engine)
        self._servers = [self.engine.serve(method) for method in METHODS]
        first = self._stack.enter_context(Far(TARGETS[0]))
        others = [Far(host, first.address.port) for host in TARGETS[1:]]
        self._targets = [first, *map(self._stack.enter_context, others)]
        self._forwarding = [self.engine.forward(Address.of(host, self.port)) for host in FORWARDED]

    @property
    def port(self) -> int:
        """The port of all targets."""
        return self._targets[0].address.port

    def add_client(self, kind: int, host: str) -> None:
        """Add a client of one of the methods, of a fixed target, or of SOCKS, associated."""
        number = len(self._clients)
        made: Client
        if kind < len(METHODS):
            made = ShadowsocksClient(self._twin, METHODS[kind], self._servers[kind], host=host)
        elif kind < len(METHODS) + len(FORWARDED):
            made = ForwardClient(self._forwarding[kind - len(METHODS)], host)
        else:
            association, relay = self.engine.associate(host)
            association.ended = lambda: self.ended.append(number)
            self._associations[number] = association
            made = SocksClient(relay, host)
        self._stack.enter_context(made)
        self._clients.append(made)

    def ask(self, number: int, payload: bytes, target: Address) -> None:
        """Send a datagram of a client; one to an association that has ended is lost."""
        if self.is_active(number):
            self._clients[number].ask(payload, target)
            self._sent += 1

    def is_active(self, number: int) -> bool:
        """Tell whether anybody listens to a client."""
        association = self._associations.get(number)
        return association is None or association.active

    def end(self, number: int) -> None:
        """End a SOCKS client's association."""
        if number in self._associations:
            self._associations[number].close()

    async def handled(self) -> None:
        """Wait until what was sent has gone on, waits or was dropped."""
        deadline = time.monotonic() + DEADLINE
        while self._through() < self._sent:
            assert time.monotonic() < deadline, "datagrams are lost"
            await asyncio.sleep(0.0005)
        for _ in range(3):
            await asyncio.sleep(0)

    def _through(self) -> int:
        counters = self.engine.counters
        # Answers are dropped, too: those of another target than the fixed one.
        dropped = sum(counters.dropped.values()) - counters.dropped["foreign-source"]
        return int(counters.packets_up + dropped + counters.waiting)

    async def answered(self) -> None:
        """Have all look-ups answered that are under way."""
        resolver, deadline = self.engine.resolver, time.monotonic() + DEADLINE
        resolver.open.set()
        while self.engine.counters.waiting:
            assert time.monotonic() < deadline, "look-ups do not end"
            await asyncio.sleep(0.0005)
        resolver.open.clear()
        for _ in range(3):
            await asyncio.sleep(0)

    def arrived(self) -> list[tuple[int, int, bytes]]:
        """Return what came to which target, and from which of the sources."""
        found = []
        for number, target in enumerate(self._targets):
            for data, source in drain(target):
                if source not in self._sources:
                    self._sources.append(source)
                found.append((number, self._sources.index(source), data))
        return found

    async def reply(self, payload: bytes) -> list[tuple[int, bytes]]:
        """Send to every source that was ever seen; returns who gets what."""
        for source in self._sources:
            self._targets[0].send(payload, source)
        counters, before = self.engine.counters, None
        # What goes to a port that was closed is lost without a trace.
        while before != (counts := (counters.packets_down, counters.dropped["foreign-source"])):
            before = counts
            await asyncio.sleep(0.003)
        return [
            (number, payload)
            for number, client in enumerate(self._clients)
            for data, _ in drain(client)
            if self._payload(client, data) == payload
        ]

    @staticmethod
    def _payload(client: Client, data: bytes) -> bytes:
        if isinstance(client, ForwardClient):
            return data
        if isinstance(client, SocksClient):
            return data[10:]
        return bytes(client.packets.open(data, time.time())[2])

    def outcome(self) -> dict[str, Any]:
        """Return what can be told of this side without regard to which twin it is."""
        counters, resolver = self.engine.counters, self.engine.resolver
        return {
            "associations": counters.associations,
            "up": (counters.packets_up, counters.bytes_up),
            "down": (counters.packets_down, counters.bytes_down),
            "dropped": {reason: count for reason, count in counters.dropped.items() if count},
            "waiting": counters.waiting,
            "asked": resolver.asked,
            "for": resolver.clients,
            "given up": sorted(resolver.given_up),
            "caps": self.told,
            "ended": self.ended,
            "active": [one.active for one in self._associations.values()],
            "arrived": self.arrived(),
        }


def drain(sock: Far) -> list[tuple[bytes, Address]]:
    """Take what waits at a socket."""
    found: list[tuple[bytes, Address]] = []
    while True:
        try:
            data, (host, port, *_) = sock.socket.recvfrom(0x10000)
        except BlockingIOError:
            return found
        found.append((data, Address.of(host, port)))


class Twins(RuleBasedStateMachine):
    """Steps that both twins take."""

    clients = Bundle("clients")

    def __init__(self) -> None:
        super().__init__()
        self._loop = uvloop.new_event_loop()
        self._stack = AsyncExitStack()
        self._sides: list[Side] = []
        self._count = 0

    def _run(self, step: Coroutine[Any, Any, _T]) -> _T:
        return self._loop.run_until_complete(step)

    def _do(self, step: Callable[[Side], Any]) -> None:
        async def both() -> None:
            for side in self._sides:
                result = step(side)
                if asyncio.iscoroutine(result):
                    await result
            for side in self._sides:
                await side.handled()
            one, other = (side.outcome() for side in self._sides)
            assert one == other

        self._run(both())

    @initialize(
        capacity=st.sampled_from([0, 2, 3]),
        per_client=st.sampled_from([0, 0, 2]),
    )
    def begin(self, capacity: int, per_client: int) -> None:
        """Make both engines with the same caps."""

        async def begin() -> None:
            options = {"capacity": capacity, "capacity_per_client": per_client}
            for implementation in IMPLEMENTATIONS:
                side = Side(import_udp(implementation), self._stack, options)
                await side.open()
                self._sides.append(side)

        self._run(begin())

    @rule(target=clients, kind=st.integers(0, 4), host=st.sampled_from(CLIENTS))
    def come(self, kind: int, host: str) -> int:
        """Have a client come."""
        self._do(lambda side: side.add_client(kind, host))
        self._count += 1
        return self._count - 1

    @rule(
        client=clients,
        host=st.sampled_from((*TARGETS, *NAMES, FILTERED, DENIED)),
        times=st.sampled_from([1, 1, 1, 3, 18]),
        without_port=st.sampled_from([False] * 9 + [True]),
    )
    def ask(self, client: int, host: str, times: int, without_port: bool) -> None:
        """Have a client send, often enough now and then that not all can wait."""

        async def ask(side: Side) -> None:
            for number in range(times):
                port = 0 if without_port else side.port
                side.ask(client, b"%d of %d" % (number, client), Address.of(host, port))
            await side.handled()

        self._do(ask)

    @rule(
        name=st.sampled_from(NAMES),
        addresses=st.lists(
            st.sampled_from((*TARGETS, FILTERED, DENIED)), min_size=1, max_size=3, unique=True
        ),
        cached=st.booleans(),
        fails=st.booleans(),
    )
    def change(self, name: str, addresses: list[str], cached: bool, fails: bool) -> None:
        """Give a name another answer."""

        def change(side: Side) -> None:
            resolver = side.engine.resolver
            resolver.names[name] = ResolveError("no such name") if fails else addresses
            if cached and not fails:
                resolver.cache[name] = addresses
            else:
                resolver.cache.pop(name, None)

        self._do(change)

    @rule()
    def answer(self) -> None:
        """Have look-ups answered."""
        for side in self._sides:
            for name in NAMES:
                side.engine.resolver.names.setdefault(name, ResolveError("no such name"))
        self._do(Side.answered)

    @rule(client=consumes(clients))
    def end(self, client: int) -> None:
        """End a client's association, if it is one of SOCKS."""
        self._do(lambda side: side.end(client))

    @rule()
    def reply(self) -> None:
        """Have a target send to whoever has sent to any."""

        async def both() -> None:
            one, other = [await side.reply(b"reply") for side in self._sides]
            assert one == other

        self._run(both())
        self._do(lambda side: None)

    def teardown(self) -> None:
        """Close both; the engines check that nothing is left."""

        async def close() -> None:
            for side in self._sides:
                side.engine.engine.close()
            for side in self._sides:
                assert side.engine.counters.waiting == 0
                assert side.engine.counters.associations == 0
            await self._stack.aclose()

        try:
            self._run(close())
        finally:
            self._loop.close()


def test_both_twins_do_the_same() -> None:
    run_state_machine_as_test(
        Twins, settings=settings(max_examples=100, stateful_step_count=30, deadline=None)
    )
