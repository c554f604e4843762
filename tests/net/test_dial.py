"""The dialer, against real sockets on loopback."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from fastsocks.address import Address
from fastsocks.errors import DialError, PolicyError, ResolveError
from fastsocks.net import Dialer, Resolver
from fastsocks.policy import is_public
from harness.listener import refusing_address
from harness.name_server import SILENT, NameServer
from net.hosts_file import resolver_of

NAME = "target.example"


@contextmanager
def listening(host: str = "127.0.0.1", port: int = 0, *, full: bool = False) -> Iterator[int]:
    """Listen, and where `full` leave a connect without an answer; give the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(family))
        listener.bind((host, port))
        listener.listen(0 if full else 16)
        for _ in range(4 if full else 0):
            filler = stack.enter_context(socket.socket(family))
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def dialer(addresses: list[str] | None = None, timeout: float = 10.0) -> Dialer:
    resolver = resolver_of({NAME: addresses or []})
    return Dialer(asyncio.get_running_loop(), resolver, timeout=timeout)


def no_sockets_left_open() -> None:
    gc.collect()  # with -W error, a socket that was forgotten fails the test


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_literals_are_dialed_without_a_resolver(run: Any, host: str) -> None:
    async def scenario(port: int) -> None:
        dialing = dialer()
        address = Address.of(host, port)
        ready = dialing.literal(address)
        assert ready is not None
        family, sockaddr = ready
        with socket.socket(family) as direct:
            direct.connect(sockaddr)
        with await dialing.dial(address) as sock:
            assert sock.getpeername()[:2] == (host, port)
            assert sock.gettimeout() == 0
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 120

    with listening(host) as port:
        run(scenario(port))


def test_a_known_name_with_one_address_is_as_good_as_a_literal(run: Any) -> None:
    async def scenario(port: int) -> None:
        dialing = dialer(["127.0.0.1"])
        address = Address.of(NAME, port)
        assert dialing.literal(address) is None
        (await dialing.dial(address)).close()
        assert dialing.literal(address) == (socket.AF_INET, ("127.0.0.1", port))

    with listening() as port:
        run(scenario(port))


def test_a_known_name_with_two_addresses_needs_a_choice(run: Any) -> None:
    async def scenario(port: int) -> None:
        dialing = dialer(["127.0.0.1", "127.0.0.2"])
        address = Address.of(NAME, port)
        (await dialing.dial(address)).close()
        assert dialing.literal(address) is None

    with listening() as port:
        run(scenario(port))


def test_port_0_is_refused(run: Any) -> None:
    async def scenario() -> None:
        for host in ("127.0.0.1", "::1", NAME):
            address = Address.of(host, 0)
            with pytest.raises(DialError, match="port 0"):
                dialer(["127.0.0.1"]).literal(address)
            with pytest.raises(DialError, match="port 0"):
                await dialer(["127.0.0.1"]).dial(address)

    run(scenario())


def test_an_address_that_refuses_gives_way_at_once(run: Any) -> None:
    async def scenario(port: int) -> None:
        with await dialer(["127.0.0.2", "127.0.0.1"]).dial(Address.of(NAME, port)) as sock:
            assert sock.getpeername() == ("127.0.0.1", port)

    with listening("127.0.0.1") as port, socket.socket() as holder:
        holder.bind(("127.0.0.2", port))  # bound and not listening: refuses
        run(scenario(port))


def test_an_address_that_does_not_answer_gives_way(run: Any) -> None:
    async def scenario(port: int) -> None:
        with await dialer(["127.0.0.2", "127.0.0.1"]).dial(Address.of(NAME, port)) as sock:
            assert sock.getpeername() == ("127.0.0.1", port)
        no_sockets_left_open()

    with listening("127.0.0.1") as port, listening("127.0.0.2", port, full=True):
        run(scenario(port))


def test_families_alternate(run: Any) -> None:
    """RFC 8305 section 4: a dead family costs one attempt, however many addresses it has."""

    async def scenario(port: int) -> None:
        dead = [f"127.0.0.{number}" for number in range(2, 200)]
        with await dialer([*dead, "::1"], timeout=5).dial(Address.of(NAME, port)) as sock:
            assert sock.getpeername()[0] == "::1"

    with listening("::1") as port, listening("127.0.0.2", port, full=True):
        run(scenario(port))


def test_refused(run: Any) -> None:
    async def scenario(address: Address) -> None:
        with pytest.raises(DialError, match="Connection refused") as caught:
            await dialer().dial(address)
        assert caught.value.reply == 5
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)

    with refusing_address() as (host, port):
        run(scenario(Address.of(host, port)))


def test_no_answer(run: Any) -> None:
    async def scenario(port: int) -> None:
        with pytest.raises(DialError, match="timed out") as caught:
            await dialer(timeout=0.1).dial(Address.of("127.0.0.1", port))
        assert caught.value.reply == 6
        no_sockets_left_open()

    with listening(full=True) as port:
        run(scenario(port))


def test_network_unreachable(run: Any) -> None:
    async def scenario() -> None:
        with pytest.raises(DialError) as caught:
            await dialer(timeout=1).dial(Address.of("255.255.255.255", 9))
        # Which of the two depends on the routes of this machine.
        assert caught.value.reply in (2, 3)

    run(scenario())


def test_no_such_name(run: Any) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        with NameServer() as server:
            dialing = Dialer(loop, Resolver(loop, (server.address,)), timeout=10)
            with pytest.raises(ResolveError, match="not known") as caught:
                await dialing.dial(Address.of(NAME, 80))
        assert caught.value.reply == 4

    run(scenario())


def test_a_look_up_without_an_end(run: Any) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        with NameServer({NAME: SILENT}) as server:
            resolver = Resolver(loop, (server.address,))
            with pytest.raises(ResolveError, match="timed out"):
                await Dialer(loop, resolver, timeout=0.1).dial(Address.of(NAME, 80))
            # Nobody waits for it any more.
            assert not resolver._look_ups

    run(scenario())


class OtherLoop:
    """The running loop, of which a test changes something."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


class FailingLoop(OtherLoop):
    """Connects fail by the errno that a test names for each address."""

    def __init__(self, codes: dict[str, int]) -> None:
        super().__init__()
        self.codes = codes

    async def sock_connect(self, sock: socket.socket, address: tuple[Any, ...]) -> None:
        code = self.codes[address[0]]
        raise OSError(code, os.strerror(code))


@pytest.mark.parametrize(
    ("codes", "telling", "reply"),
    [
        ((errno.ENETUNREACH, errno.ECONNREFUSED), errno.ECONNREFUSED, 5),
        ((errno.ECONNREFUSED, errno.EHOSTUNREACH), errno.ECONNREFUSED, 5),
        ((errno.EADDRNOTAVAIL, errno.EHOSTUNREACH), errno.EHOSTUNREACH, 4),
        ((errno.ENETUNREACH, errno.EMFILE), errno.EMFILE, 1),
        ((errno.ENETUNREACH, errno.ETIMEDOUT), errno.ETIMEDOUT, 6),
        ((errno.EAFNOSUPPORT, errno.ENETUNREACH), errno.ENETUNREACH, 3),
        ((errno.EHOSTUNREACH, errno.EACCES), errno.EACCES, 2),
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_the_most_telling_cause_is_reported(
    run: Any, codes: tuple[int, int], telling: int, reply: int, reverse: bool
) -> None:
    async def scenario() -> None:
        ordered = codes[::-1] if reverse else codes
        loop = FailingLoop(dict(zip(("2001:db8::1", "192.0.2.1"), ordered, strict=True)))
        resolver = resolver_of({NAME: loop.codes})
        dialing = Dialer(loop, resolver, timeout=10)  # type: ignore[arg-type]
        with pytest.raises(DialError) as caught:
            await dialing.dial(Address.of(NAME, 80))
        assert isinstance(caught.value.__cause__, OSError)
        assert caught.value.__cause__.errno == telling
        assert caught.value.reply == reply
        assert str(caught.value) == os.strerror(telling)

    run(scenario())


def guarded(answer: list[str], *allowed: str) -> Dialer:
    """Make a dialer that may dial `allowed` only, in front of a resolver that says `answer`."""
    loop, address_filter = asyncio.get_running_loop(), allowed.__contains__
    return Dialer(loop, resolver_of({NAME: answer}), timeout=10, address_filter=address_filter)


@pytest.mark.parametrize("host", ["127.0.0.2", "::1"])
def test_a_literal_that_may_not_be_dialed(run: Any, host: str) -> None:
    async def scenario() -> None:
        dialing = guarded([], "127.0.0.1")
        with pytest.raises(PolicyError, match="--allow-private") as caught:
            dialing.literal(Address.of(host, 80))
        assert caught.value.reply == 2
        with pytest.raises(PolicyError):
            await dialing.dial(Address.of(host, 80))
        assert dialing.literal(Address.of("127.0.0.1", 80)) is not None

    run(scenario())


def test_a_name_whose_addresses_may_not_be_dialed(run: Any) -> None:
    async def scenario() -> None:
        for answer in (["127.0.0.2"], ["127.0.0.2", "::1"]):
            dialing = guarded(answer, "127.0.0.1")
            for _ in range(2):  # by look-up, then from memory
                with pytest.raises(
                    PolicyError, match=r"stands for (127\.0\.0\.2|::1), .*--allow-private"
                ):
                    await dialing.dial(Address.of(NAME, 80))

    run(scenario())


def test_a_known_name_that_may_not_be_dialed(run: Any) -> None:
    async def scenario() -> None:
        dialing = guarded(["127.0.0.2"], "127.0.0.1")
        with pytest.raises(PolicyError):
            await dialing.dial(Address.of(NAME, 80))
        with pytest.raises(PolicyError, match=r"127\.0\.0\.2"):
            dialing.literal(Address.of(NAME, 80))

    run(scenario())


def test_of_the_addresses_of_a_name_those_that_may_be_dialed_are(run: Any) -> None:
    async def scenario(port: int) -> None:
        dialing = guarded(["127.0.0.2", "127.0.0.1", "::1"], "127.0.0.1")
        with await dialing.dial(Address.of(NAME, port)) as sock:
            assert sock.getpeername() == ("127.0.0.1", port)

    with listening("127.0.0.1") as port, listening("127.0.0.2", port), listening("::1", port):
        run(scenario(port))


@pytest.mark.parametrize("name", ["127.1", "0x7f.1", "0177.0.0.1", "2130706433", "localhost"])
def test_what_the_system_takes_for_loopback_is_caught(run: Any, name: str) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        dialing = Dialer(loop, Resolver(loop), timeout=10, address_filter=is_public)
        assert dialing.literal(Address.of(name, 80)) is None
        with pytest.raises(PolicyError, match="no public address"):
            await dialing.dial(Address.of(name, 80))

    run(scenario())


class WatchedLoop(OtherLoop):
    """Says when a connect begins."""

    def __init__(self) -> None:
        super().__init__()
        self.connecting = asyncio.Event()

    async def sock_connect(self, sock: socket.socket, address: tuple[Any, ...]) -> None:
        self.connecting.set()
        await self._loop.sock_connect(sock, address)


def test_cancelling_closes_the_sockets(run: Any) -> None:
    async def scenario(port: int) -> None:
        loop = WatchedLoop()
        resolver = resolver_of({NAME: ["127.0.0.1", "127.0.0.2"]})
        dialing = Dialer(loop, resolver, timeout=10)  # type: ignore[arg-type]
        task = asyncio.ensure_future(dialing.dial(Address.of(NAME, port)))
        await loop.connecting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        no_sockets_left_open()

    with listening(full=True) as port, listening("127.0.0.2", port, full=True):
        run(scenario(port))


def test_an_address_that_was_not_there_is_tried_last(run: Any) -> None:
    async def scenario(port: int) -> None:
        dialing = dialer(["127.0.0.2", "127.0.0.1"], timeout=5)
        address = Address.of(NAME, port)
        tried: list[str] = []
        for _ in range(2):
            with await dialing.dial(address) as sock:
                tried.append(sock.getpeername()[0])
            infos = dialing._resolver.cached(NAME)
            assert infos is not None
            assert [info[4][0] for info in infos] == ["127.0.0.1", "127.0.0.2"]
            found = await dialing._resolver.resolve(NAME, 1)
            assert found[0][4][0] == tried[0]
        assert tried == ["127.0.0.1"] * 2

    with listening("127.0.0.1") as port, listening("127.0.0.2", port, full=True):
        run(scenario(port))


@pytest.mark.parametrize("addresses", ["127.0.0.2", "127.0.0.2 127.0.0.3"])
def test_a_name_none_of_whose_addresses_is_there_is_looked_up_again(
    run: Any, addresses: str
) -> None:
    async def scenario(port: int) -> None:
        loop = asyncio.get_running_loop()
        with NameServer({NAME: addresses}) as server:
            resolver = Resolver(loop, (server.address,))
            dialing = Dialer(loop, resolver, timeout=5)
            for _ in range(2):
                with pytest.raises(DialError, match="refused"):
                    await dialing.dial(Address.of(NAME, port))
            assert server.names == [NAME] * 2
            server.answers[NAME] = "127.0.0.1"
            with await dialing.dial(Address.of(NAME, port)) as sock:
                assert sock.getpeername() == ("127.0.0.1", port)
            # What is known has nothing to be looked up again for.
            (await dialing.dial(Address.of(NAME, port))).close()
            assert server.names == [NAME] * 3
            await resolver.close()

    with listening("127.0.0.1") as port:
        run(scenario(port))


@pytest.mark.parametrize(("code", "again"), [(errno.ECONNREFUSED, True), (errno.EMFILE, False)])
def test_what_this_host_lacks_says_nothing_of_a_name(run: Any, code: int, again: bool) -> None:
    async def scenario() -> None:
        dialing = dialer(["127.0.0.2"])
        await dialing._resolver.resolve(NAME, 1)
        error = DialError(os.strerror(code))
        error.errno = code
        dialing.not_there(NAME, error)
        assert (dialing._resolver.cached(NAME) is None) == again

    run(scenario())
