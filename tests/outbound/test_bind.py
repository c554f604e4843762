"""Where BIND listens, for whom, and for how long."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

import pytest

from fastsocks.address import Address
from fastsocks.config import ProxyOptions
from fastsocks.errors import ConfigError, DialError, ListenError, PolicyError, ResolveError
from fastsocks.net import Resolver
from fastsocks.outbound.bind import Binder, BoundListener
from fastsocks.request import BIND, Request
from fastsocks.service import Proxy
from harness.listener import free_port, require_loopback

PEER = ("127.0.0.1", 50000)
ANYBODY = Address.of("0.0.0.0", 0)


class Names:
    """A resolver that knows one name.

    :param hosts: its addresses, in their order.
    """

    def __init__(self, *hosts: str) -> None:
        self._hosts = hosts

    async def resolve(self, host: str, port: int, client: str) -> list[Any]:
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, None, None, "", (one, port))
            for one in self._hosts
        ]


def binder(
    address_filter: Callable[[str], bool] | None = None,
    *,
    resolver: Any = None,
    most: int | None = None,
    **options: Any,
) -> Binder:
    loop = asyncio.get_running_loop()
    return Binder(loop, resolver or Resolver(loop), ProxyOptions(**options), address_filter, most)


async def bind(
    binder: Binder,
    expected: Address,
    local_host: str = "127.0.0.1",
    *,
    short_reply: bool = False,
    client: str = PEER[0],
) -> BoundListener:
    request = Request(expected, command=BIND, short_reply=short_reply)
    return await binder.bind(request, (client, 50000), local_host)


async def come(listener: BoundListener, source: str) -> socket.socket:
    """Connect to a listener from an address of loopback."""
    sock = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET)
    sock.setblocking(False)
    sock.bind((source, 0))
    host = listener.bound.host if (":" in source) == (":" in listener.bound.host) else source
    bound = (host, listener.bound.port)
    try:
        await asyncio.get_running_loop().sock_connect(sock, bound)
    except BaseException:
        sock.close()
        raise
    return sock


async def accepted(listener: BoundListener, *sources: str) -> Address:
    """Connect from each source, in turn, and return who was accepted."""
    loop = asyncio.get_running_loop()
    waiting = loop.create_task(listener.accept())
    try:
        for source in sources[:-1]:
            with await come(listener, source) as stranger:
                assert await loop.sock_recv(stranger, 1) == b""
                assert not waiting.done()
        with await come(listener, sources[-1]) as peer:
            sock, address = await waiting
            with sock:
                assert sock.getblocking() is False
                assert address == Address.of(*peer.getsockname()[:2])
        return address
    finally:
        listener.close()
        listener.close()


class Noting(Resolver):
    """Notes whose look-ups they are."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop())
        self.clients: list[str] = []

    async def resolve(self, host: str, port: int, client: str = "") -> Any:
        self.clients.append(client)
        return await super().resolve(host, port, client)


def test_look_ups_are_counted_by_client(run: Any) -> None:
    async def scenario() -> None:
        resolver = Noting()
        binder = Binder(asyncio.get_running_loop(), resolver, ProxyOptions())
        for source in ("192.0.2.1", "2001:db8::1", "2001:db8::2"):
            request = Request(Address.of("localhost", 0), command=BIND)
            (await binder.bind(request, (source, 1), "127.0.0.1")).close()
        assert resolver.clients == ["192.0.2.1", "2001:db8::/64", "2001:db8::/64"]

    run(scenario())


@pytest.mark.parametrize(("host", "unspecified"), [("127.0.0.1", "0.0.0.0"), ("::1", "::")])
def test_anybody_may_come_where_nobody_is_named(run: Any, host: str, unspecified: str) -> None:
    require_loopback(host)

    async def scenario() -> None:
        listener = await bind(binder(), Address.of(unspecified, 0), host)
        assert listener.bound.host == host
        assert (await accepted(listener, host)).host == host

    run(scenario())


def test_a_peer_that_is_not_expected_is_sent_away(run: Any) -> None:
    async def scenario() -> None:
        listener = await bind(binder(), Address.of("127.0.0.3", 21))
        assert (await accepted(listener, "127.0.0.1", "127.0.0.2", "127.0.0.3")).port != 21

    run(scenario())


@pytest.mark.parametrize("name", ["localhost", "::ffff:127.0.0.1"])
def test_a_peer_by_name(run: Any, name: str) -> None:
    async def scenario() -> None:
        listener = await bind(binder(bind_addresses=("127.0.0.1",)), Address.of(name, 21))
        assert (await accepted(listener, "127.0.0.2", "127.0.0.1")).host == "127.0.0.1"

    run(scenario())


def test_the_name_of_nobody_in_particular(run: Any) -> None:
    """PySocks writes it."""

    async def scenario() -> None:
        listener = await bind(binder(), Address.of("0", 0))
        assert (await accepted(listener, "127.0.0.2")).host == "127.0.0.2"

    run(scenario())


def test_it_listens_where_the_way_to_the_peer_begins(run: Any) -> None:
    async def scenario() -> None:
        # From loopback nobody but this host gets there, whatever the client's way to us.
        listener = await bind(binder(), Address.of("127.0.0.1", 21), "192.0.2.77")
        assert listener.bound.host == "127.0.0.1"
        listener.close()

    run(scenario())


@pytest.mark.parametrize("expected", [ANYBODY, Address.of("127.0.0.1", 21)])
def test_the_address_of_the_options(run: Any, expected: Address) -> None:
    async def scenario() -> None:
        both = binder(bind_addresses=("::1", "127.0.0.9"))
        listener = await bind(both, expected)
        assert listener.bound.host == "127.0.0.9"
        listener.close()

    run(scenario())


def test_no_address_of_the_peers_family(run: Any) -> None:
    async def scenario() -> None:
        with pytest.raises(ListenError, match="bind_address has no address") as caught:
            await bind(binder(bind_addresses=("127.0.0.9",)), Address.of("::1", 21))
        assert caught.value.reply == 8

    run(scenario())


def test_a_peer_that_has_no_name(run: Any) -> None:
    async def scenario() -> None:
        with pytest.raises(ResolveError):
            await bind(binder(), Address.of("no-such-name.invalid", 21))

    run(scenario())


def test_a_peer_that_clients_may_not_reach(run: Any) -> None:
    async def scenario() -> None:
        guarded = binder(lambda host: host != "127.0.0.1")
        with pytest.raises(PolicyError):
            await bind(guarded, Address.of("127.0.0.1", 21))
        listener = await bind(guarded, ANYBODY)
        assert (await accepted(listener, "127.0.0.1", "127.0.0.2")).host == "127.0.0.2"

    run(scenario())


NAME = Address.of("both.test", 21)


@pytest.mark.parametrize("hosts", [("::1", "127.0.0.1"), ("127.0.0.1", "::1")])
@pytest.mark.parametrize("source", ["::1", "127.0.0.1"])
def test_a_peer_of_both_families_may_come_by_either(
    run: Any, hosts: tuple[str, str], source: str
) -> None:
    require_loopback("::1")

    async def scenario() -> None:
        listener = await bind(binder(resolver=Names(*hosts)), NAME)
        assert listener.bound.host == hosts[0]
        sockets = listener._sockets
        assert {sock.family for sock in sockets} == {socket.AF_INET, socket.AF_INET6}
        assert (await accepted(listener, source)).host == source
        # Nothing listens any more, in either family; somebody else may have the port by now.
        assert all(sock.fileno() < 0 for sock in sockets)

    run(scenario())


@pytest.mark.parametrize("options", [{}, {"bind_addresses": ("::1", "127.0.0.1")}])
@pytest.mark.parametrize("by_option", [False, True])
def test_it_listens_where_the_client_can_be_told(
    run: Any, options: dict[str, Any], by_option: bool
) -> None:
    """Clients of SOCKS4, and those that read 10 bytes of a reply, know no IPv6."""
    require_loopback("::1")

    async def scenario() -> None:
        names = Names("::1", "127.0.0.1")
        one = binder(resolver=names, short_replies=by_option, **options)
        for expected, local_host in ((NAME, "127.0.0.1"), (ANYBODY, "127.0.0.1"), (ANYBODY, "::1")):
            listener = await bind(one, expected, local_host, short_reply=not by_option)
            assert listener.bound.host == "127.0.0.1"
            assert (await accepted(listener, "127.0.0.1")).host == "127.0.0.1"
        with pytest.raises(ListenError, match="has no IPv4 address") as caught:
            await bind(one, Address.of("::1", 21), short_reply=not by_option)
        assert caught.value.reply == 8

    run(scenario())


def test_an_address_that_the_client_cannot_be_told(run: Any) -> None:
    async def scenario() -> None:
        with pytest.raises(ListenError, match="told IPv4 addresses only") as caught:
            await bind(binder(bind_addresses=("::1",)), ANYBODY, short_reply=True)
        assert caught.value.reply == 8

    run(scenario())


@pytest.mark.parametrize("limited", ["files", "ports"])
def test_who_waits_at_many_ports_makes_room(run: Any, limited: str) -> None:
    """While others wait nobody has more than a quarter; alone one may have all."""

    async def scenario() -> None:
        most = 4
        one = binder(most=most)
        if limited == "ports":
            first = free_port()
            one = binder(bind_ports=(first, first + 3))
            found = []
            # Others may have some of them.
            with contextlib.suppress(ListenError):
                while True:
                    found.append(await bind(one, ANYBODY))
            most = len(found)
            for listener in found:
                listener.close()
            if most < 2:
                pytest.skip("others have these ports")
        loop = asyncio.get_running_loop()
        greedy = [await bind(one, ANYBODY, client="2001:db8::1") for _ in range(most - 1)]
        greedy.append(await bind(one, ANYBODY, client="2001:db8::2"))
        waits = [loop.create_task(listener.accept()) for listener in greedy]
        with pytest.raises(ListenError):
            await bind(one, ANYBODY, client="2001:db8::3")
        others = [await bind(one, ANYBODY, client=f"192.0.2.{n}") for n in range(most - 1)]
        for wait in waits[: most - 1]:
            with pytest.raises(DialError, match="given to another client"):
                await wait
        # Each has one now.
        for client in ("2001:db8::1", "192.0.2.0", "192.0.2.77"):
            with pytest.raises(ListenError):
                await bind(one, ANYBODY, client=client)
        assert not waits[-1].done()
        waits[-1].cancel()
        for listener in (greedy[-1], *others):
            listener.close()
        (await bind(one, ANYBODY)).close()

    run(scenario())


def test_a_range_of_ports(run: Any) -> None:
    async def scenario() -> None:
        port = free_port()
        one = binder(bind_ports=(port, port))
        listener = await bind(one, ANYBODY)
        assert listener.bound.port == port
        with pytest.raises(ListenError, match=f"all ports of {port}-{port} are in use") as caught:
            await bind(one, ANYBODY)
        assert caught.value.reply == 1
        # Once its peer has come the port is free for another.
        waiting = asyncio.ensure_future(listener.accept())
        with await come(listener, "127.0.0.1"):
            sock, _ = await waiting
            listener.close()
            with sock:
                (await bind(one, ANYBODY)).close()

    run(scenario())


def test_every_port_of_a_range_is_found(run: Any) -> None:
    async def scenario() -> None:
        first = free_port()
        several = binder(bind_ports=(first, first + 4))
        listeners: list[BoundListener] = []
        for _ in range(6):
            # Others may have some of them.
            with contextlib.suppress(ListenError):
                listeners.append(await bind(several, ANYBODY))
        assert len(listeners) < 6
        ports = [listener.bound.port for listener in listeners]
        assert ports
        assert len(set(ports)) == len(ports)
        assert set(ports) <= set(range(first, first + 5))
        for listener in listeners:
            listener.close()

    run(scenario())


def test_nobody_comes(run: Any) -> None:
    async def scenario() -> None:
        listener = await bind(binder(bind_timeout=0.05), ANYBODY)
        with pytest.raises(DialError, match=r"has not connected in 0\.05 s") as caught:
            await listener.accept()
        assert caught.value.reply == 6
        listener.close()

    run(scenario())


def test_waiting_can_be_given_up(run: Any) -> None:
    async def scenario() -> None:
        listener = await bind(binder(), ANYBODY)
        waiting = asyncio.ensure_future(listener.accept())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        listener.close()
        with pytest.raises(ConnectionRefusedError):
            await come(listener, "127.0.0.1")

    run(scenario())


def test_an_address_that_this_host_lacks(run: Any) -> None:
    async def scenario() -> None:
        proxy = Proxy(ProxyOptions(port=0, bind_addresses=("192.0.2.1",)))
        with pytest.raises(ConfigError, match=r"bind_address: cannot listen on 192\.0\.2\.1"):
            await proxy.start()

    run(scenario())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bind_addresses": ("somewhere",)}, "bind_address: it has to be an IP address"),
        ({"bind_addresses": ("::1", "::2")}, "bind_address: one IPv4 and one IPv6"),
        ({"bind_addresses": ("::",)}, "bind_address: nobody can connect to ::"),
        ({"bind_ports": (5, 4)}, "bind_ports: 5-4 is no range"),
        ({"bind_ports": (0, 4)}, "bind_ports: 0-4 is no range"),
        ({"bind_timeout": 0.0}, "bind_timeout: 0.0 is not a number of seconds above 0"),
    ],
)
def test_options_that_are_wrong(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ProxyOptions(**options)
    assert message in str(caught.value)
