"""The resolver and a name server whose answers are scripted."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from dnslib import RR, DNSRecord

from fastsocks.errors import ConfigError, ResolveError
from fastsocks.net import Resolver
from fastsocks.net.resolver import name_servers
from fastsocks.net.resolver.dns import DnsSource
from harness.deadline import DEADLINE
from harness.name_server import SILENT, Answer, NameServer
from net.clock import LoopAhead

BOTH = (socket.AF_INET, socket.AF_INET6)


@asynccontextmanager
async def resolving(server: NameServer, **options: Any) -> AsyncIterator[Resolver]:
    """A resolver that asks one name server, and leaves nothing under way."""
    loop = options.pop("loop", None) or asyncio.get_running_loop()
    resolver = Resolver(loop, (server.address,), **{"families": BOTH} | options)
    try:
        yield resolver
    finally:
        await resolver.close()
    assert not resolver._look_ups
    for source, places in resolver._sources.values():
        assert not len(places)
        assert isinstance(source, DnsSource)
        assert not len(source.sockets)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody asked again, however long an answer takes."""
    monkeypatch.setattr(name_servers, "WAITS", (10 * DEADLINE,) * 3)


async def hosts(resolver: Resolver, name: str, client: str = "") -> list[str]:
    return [info[4][0] for info in await resolver.resolve(name, 80, client)]


async def asked(server: NameServer, count: int) -> None:
    """Wait until so many names were asked for."""
    await asyncio.get_running_loop().run_in_executor(None, server.wait_for, count)


def test_both_families_are_asked_for_at_the_same_time(run: Any) -> None:
    async def scenario() -> None:
        with NameServer({"two.test": "192.0.2.1 192.0.2.2 2001:db8::1"}) as server:
            async with resolving(server) as resolver:
                assert resolver.cached("two.test") is None
                found = await resolver.resolve("Two.Test.", 443)
                assert {(info[0], info[4][:2]) for info in found} == {
                    (socket.AF_INET, ("192.0.2.1", 443)),
                    (socket.AF_INET, ("192.0.2.2", 443)),
                    (socket.AF_INET6, ("2001:db8::1", 443)),
                }
                assert all(info[1] == socket.SOCK_STREAM for info in found)
                known = resolver.cached("TWO.test")
                assert known is not None
                assert resolver.cached("two.test.") is known
                assert [info[4][0] for info in known] == [info[4][0] for info in found]
            assert sorted(one.kind for one in server.questions) == ["A", "AAAA"]

    run(scenario())


@pytest.mark.parametrize(
    ("family", "found"), [(socket.AF_INET, ["192.0.2.1"]), (socket.AF_INET6, ["2001:db8::1"])]
)
def test_one_family_alone(run: Any, family: int, found: list[str]) -> None:
    async def scenario() -> None:
        with NameServer({"two.test": "192.0.2.1 2001:db8::1"}) as server:
            async with resolving(server, families=(family,)) as resolver:
                assert await hosts(resolver, "two.test") == found
            assert len(server.questions) == 1

    run(scenario())


def test_questions_cannot_be_guessed(run: Any) -> None:
    async def scenario() -> None:
        names = [f"n{number}.test" for number in range(20)]
        with NameServer(dict.fromkeys(names, "192.0.2.1")) as server:
            async with resolving(server) as resolver:
                for name in names:
                    await resolver.resolve(name, 1)
            # By chance some may be alike.
            assert len({one.source_port for one in server.questions}) > 15
            assert len({one.ident for one in server.questions}) > 35

    run(scenario())


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(rcode="NXDOMAIN"), "Name or service not known"),
        (Answer(), "No address associated with hostname"),
        (Answer(rcode="SERVFAIL"), "failed"),
        (Answer(rcode="REFUSED"), "refused"),
        (Answer(rcode="NOTIMP"), "cannot do this"),
    ],
)
def test_why_there_is_no_address(run: Any, answer: Answer, message: str) -> None:
    async def scenario() -> None:
        with NameServer({"bad.test": answer}) as server:
            async with resolving(server) as resolver:
                for _ in range(2):  # looked up, then remembered
                    with pytest.raises(ResolveError, match=message) as caught:
                        await resolver.resolve("bad.test", 80)
                    assert caught.value.reply == 4
                assert resolver.cached("bad.test") is None
            assert len(server.questions) == 2

    run(scenario())


@pytest.mark.parametrize(
    "name", ["a" * 64 + ".test", ".", "a..b", "x y", "\udcff.test", "1.2.3.4.5"]
)
def test_what_is_no_name_is_not_asked_for(run: Any, name: str) -> None:
    async def scenario() -> None:
        with NameServer() as server:
            async with resolving(server) as resolver:
                with pytest.raises(ResolveError) as caught:
                    await resolver.resolve(name, 80)
                assert caught.value.reply == 4
                assert resolver.cached(name) is None
            assert not server.questions

    run(scenario())


@pytest.mark.parametrize("name", ["127.1", "0x7f.1", "0177.0.0.1", "2130706433", "127.0.0.1."])
def test_numbers_are_addresses(run: Any, name: str) -> None:
    async def scenario() -> None:
        with NameServer() as server:
            async with resolving(server) as resolver:
                assert await hosts(resolver, name) == ["127.0.0.1"]
            assert not server.questions

    run(scenario())


def test_a_scope_survives(run: Any) -> None:
    async def scenario() -> None:
        with NameServer() as server:
            async with resolving(server) as resolver:
                number = socket.if_nametoindex("lo")
                assert (await resolver.resolve("fe80::1%lo", 5))[0][4] == ("fe80::1", 5, 0, number)

    run(scenario())


def test_answers_are_kept_for_their_ttl(run: Any) -> None:
    async def scenario() -> None:
        answers = {
            "a.test": Answer(("192.0.2.1",), ttl=20),
            "zero.test": Answer(("192.0.2.1",), ttl=0),
            "ages.test": Answer(("192.0.2.1",), ttl=0x7FFFFFFF),
            "none.test": Answer(rcode="NXDOMAIN", negative_ttl=15),
            "empty.test": Answer(),
        }
        loop = LoopAhead()
        with NameServer(answers) as server:
            async with resolving(server, loop=loop, families=BOTH[:1]) as resolver:

                async def asked_at(ahead: float) -> list[str]:
                    loop.ahead = ahead
                    before = len(server.names)
                    for name in answers:
                        await asyncio.gather(resolver.resolve(name, 1), return_exceptions=True)
                    return [name.partition(".")[0] for name in server.names[before:]]

                assert await asked_at(0) == ["a", "zero", "ages", "none", "empty"]
                assert await asked_at(0.5) == []
                assert await asked_at(4) == ["zero"]
                assert await asked_at(6) == ["zero", "empty"]
                assert await asked_at(16) == ["zero", "none", "empty"]
                assert await asked_at(21) == ["a", "zero", "empty"]
                # No TTL is longer than an hour.
                assert "ages" in await asked_at(3700)

    run(scenario())


def test_aliases_are_followed_and_bound_the_ttl(run: Any) -> None:
    async def scenario() -> None:
        answers = {
            "a.test": Answer(("192.0.2.1",), ttl=20, aliases=("b.test", "C.test")),
            "long.test": Answer(("192.0.2.1",), aliases=tuple(f"l{n}.test" for n in range(16))),
        }
        with NameServer(answers) as server:
            async with resolving(server) as resolver:
                assert await hosts(resolver, "a.test") == ["192.0.2.1"]
                assert await hosts(resolver, "long.test") == ["192.0.2.1"]

    run(scenario())


def test_simultaneous_look_ups_are_one(run: Any) -> None:
    async def scenario() -> None:
        with NameServer({"a.test": "192.0.2.1"}) as server:
            server.hold()
            async with resolving(server) as resolver:
                asking = [asyncio.ensure_future(resolver.resolve("a.test", n)) for n in range(5)]
                await asked(server, 1)
                # Who gives up takes nothing away from the others.
                asking[0].cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asking[0]
                server.release()
                found = await asyncio.gather(*asking[1:])
                assert [one[0][4] for one in found] == [("192.0.2.1", n) for n in range(1, 5)]
            assert server.names == ["a.test"]

    run(scenario())


def many(count: int) -> dict[str, Answer | str]:
    return {f"n{number}.test": f"192.0.2.{number}" for number in range(count)}


def test_look_ups_share_sockets_where_these_are_few(run: Any) -> None:
    async def scenario() -> None:
        with NameServer(many(200)) as server:
            server.hold()
            async with resolving(server, most_sockets=2) as resolver:
                asking = [asyncio.ensure_future(hosts(resolver, name)) for name in server.answers]
                await asked(server, 200)
                ((source, _),) = resolver._sources.values()
                assert isinstance(source, DnsSource)
                # 64 have one at most.
                assert len(source.sockets) == 4
                for one in asking[:20]:
                    one.cancel()
                server.release()
                found = await asyncio.gather(*asking[20:])
                assert found == [[host] for host in list(server.answers.values())[20:]]
            idents = {(one.source_port, one.ident) for one in server.questions}
            assert len(idents) == 400

    run(scenario())


def test_who_shares_a_socket_is_told_that_nobody_is_there(run: Any, patient: None) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        with (
            NameServer(many(100)) as good,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody,
        ):
            nobody.bind(("127.0.0.1", 0))
            servers = (f"127.0.0.1:{nobody.getsockname()[1]}", good.address)
            nobody.close()
            resolver = Resolver(loop, servers, families=BOTH, most_sockets=1)
            found = await asyncio.gather(*(hosts(resolver, name) for name in good.answers))
            assert found == [[host] for host in good.answers.values()]
            await resolver.close()
            assert sorted(good.names) == sorted(good.answers)

    run(scenario())


def test_a_look_up_ends_with_who_waits_for_it(run: Any) -> None:
    async def scenario() -> None:
        with NameServer({"a.test": SILENT}) as server:
            async with resolving(server) as resolver:
                asking = asyncio.ensure_future(resolver.resolve("a.test", 1, "one"))
                await asked(server, 1)
                ((_, places),) = resolver._sources.values()
                assert len(places) == 1
                asking.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asking
                assert not resolver._look_ups
                assert not len(places)

    run(scenario())


def test_closing_ends_all_look_ups(run: Any) -> None:
    async def scenario() -> None:
        with NameServer({f"n{n}.test": SILENT for n in range(8)}) as server:
            async with resolving(server, most=16, per_client=2) as resolver:
                asking = [
                    asyncio.ensure_future(resolver.resolve(f"n{n}.test", 1, "one"))
                    for n in range(4)
                ]
                await asked(server, 2)
                await resolver.close()
                done = await asyncio.gather(*asking, return_exceptions=True)
                assert all(isinstance(one, asyncio.CancelledError) for one in done)

    run(scenario())


def test_the_memory_is_bounded(run: Any) -> None:
    async def scenario() -> None:
        names = [f"n{number}.test" for number in range(5)]
        with NameServer(dict.fromkeys(names, "192.0.2.1")) as server:
            async with resolving(server, size=3) as resolver:
                for name in names:
                    await resolver.resolve(name, 1)
                assert [name for name in names if resolver.cached(name)] == names[2:]

    run(scenario())


def test_an_answer_that_is_too_long_for_udp_comes_by_tcp(run: Any) -> None:
    async def scenario() -> None:
        many = tuple(f"192.0.2.{number}" for number in range(1, 200))
        with NameServer({"many.test": Answer(many, truncated=True)}) as server:
            async with resolving(server) as resolver:
                # Of more than a few of them nobody has any use.
                assert await hosts(resolver, "many.test") == list(many[:32])
            assert [one.over_tcp for one in server.questions if one.kind == "A"] == [False, True]

    run(scenario())


def test_an_answer_that_comes_by_both_ways_counts_once(run: Any, patient: None) -> None:
    """The whole of it comes over UDP while it is asked for by TCP, and the other kind is open."""

    def then_all_of_it(reply: bytes) -> list[bytes]:
        record = DNSRecord.parse(reply)
        if not record.header.tc:
            return [reply]
        record.header.tc = 0
        record.add_answer(*RR.fromZone("a.test 60 A 192.0.2.1"))
        return [reply, bytes(record.pack())]

    async def scenario() -> None:
        tasks: list[asyncio.Task[Any]] = []

        def noting(
            loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any
        ) -> asyncio.Task[Any]:
            tasks.append(asyncio.Task(coroutine, loop=loop, **options))
            return tasks[-1]

        asyncio.get_running_loop().set_task_factory(noting)
        answer = Answer(("192.0.2.2",), truncated=True, silent=("AAAA",), mangle=then_all_of_it)
        with NameServer({"a.test": answer}) as server:
            async with resolving(server) as resolver:
                assert await hosts(resolver, "a.test") == ["192.0.2.1"]
        assert tasks
        await asyncio.wait(tasks)
        assert all(one.cancelled() or one.exception() is None for one in tasks)

    run(scenario())


def test_a_server_can_be_asked_by_tcp_alone(run: Any) -> None:
    async def scenario() -> None:
        with NameServer({"a.test": "192.0.2.1"}) as server:
            loop = asyncio.get_running_loop()
            resolver = Resolver(loop, (f"tcp://{server.address}",), families=BOTH)
            assert await hosts(resolver, "a.test") == ["192.0.2.1"]
            await resolver.close()
            assert all(one.over_tcp for one in server.questions)

    run(scenario())


def test_a_silent_family_holds_nothing_up(run: Any, patient: None) -> None:
    async def scenario() -> None:
        answers = {
            "four.test": Answer(("192.0.2.1",), silent=("AAAA",)),
            "six.test": Answer(("2001:db8::1",), silent=("A",)),
        }
        with NameServer(answers) as server:
            async with resolving(server) as resolver:
                assert await hosts(resolver, "four.test") == ["192.0.2.1"]
                assert await hosts(resolver, "six.test") == ["2001:db8::1"]
                # What is missing is still waited for.
                assert set(resolver._look_ups) == {"four.test", "six.test"}

    run(scenario())


def test_the_next_server_is_asked_where_one_fails(run: Any, patient: None) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        with (
            NameServer({"a.test": Answer(rcode="SERVFAIL")}) as failing,
            NameServer({"a.test": "192.0.2.1"}) as good,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody,
        ):
            nobody.bind(("127.0.0.1", 0))
            port = nobody.getsockname()[1]
            nobody.close()
            servers = (f"127.0.0.1:{port}", failing.address, good.address)
            resolver = Resolver(loop, servers, families=BOTH)
            assert await hosts(resolver, "a.test") == ["192.0.2.1"]
            await resolver.close()
            assert failing.names == good.names == ["a.test"]

    run(scenario())


def test_a_silent_server_is_asked_last_from_then_on(run: Any) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        names = [f"n{n}.test" for n in range(3)]
        with (
            NameServer(dict.fromkeys(names, SILENT)) as silent,
            NameServer(dict.fromkeys(names, "192.0.2.1")) as good,
        ):
            resolver = Resolver(loop, (silent.address, good.address), families=BOTH)
            for name in names:
                assert await hosts(resolver, name) == ["192.0.2.1"]
            await resolver.close()
            assert silent.names == names[:1]
            assert good.names == names

    run(scenario())


def test_nobody_answers(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_servers, "WAITS", (0.05, 0.05, 0.05))

    async def scenario() -> None:
        with NameServer({"a.test": SILENT}) as server:
            async with resolving(server, families=BOTH[:1]) as resolver:
                with pytest.raises(ResolveError, match="no name server answered") as caught:
                    await resolver.resolve("a.test", 1)
                assert isinstance(caught.value.__cause__, socket.gaierror)
                assert caught.value.__cause__.errno == socket.EAI_AGAIN
                # That is remembered for a moment.
                with pytest.raises(ResolveError, match="no name server answered"):
                    await resolver.resolve("a.test", 1)
            assert server.names == ["a.test"] * 3

    run(scenario())


def test_a_server_without_edns_is_asked_without(run: Any) -> None:
    async def scenario() -> None:
        state = Answer(("192.0.2.1",))

        def fail_once(reply: bytes) -> list[bytes]:
            state.mangle = None
            # FORMERR, and nothing else.
            return [reply[:2] + b"\x81\x81" + bytes(8)]

        state.mangle = fail_once
        with NameServer({"a.test": state}) as server:
            async with resolving(server, families=BOTH[:1]) as resolver:
                assert await hosts(resolver, "a.test") == ["192.0.2.1"]
            assert server.names == ["a.test"] * 2

    run(scenario())


@pytest.mark.parametrize(
    "forge",
    [
        lambda reply: bytes([reply[0] ^ 1]) + reply[1:],
        lambda reply: reply.replace(b"\1a\4test", b"\1b\4test"),
        lambda reply: reply[:2] + bytes([reply[2] & 0x7F]) + reply[3:],
        lambda reply: reply[:-3],
        lambda reply: b"",
        lambda reply: reply[:12],
    ],
)
def test_what_is_no_answer_is_passed_over(run: Any, forge: Any) -> None:
    async def scenario() -> None:
        answer = Answer(("192.0.2.1",), mangle=lambda reply: [forge(reply), reply])
        with NameServer({"a.test": answer}) as server:
            async with resolving(server, families=BOTH[:1]) as resolver:
                assert await hosts(resolver, "a.test") == ["192.0.2.1"]
            assert server.names == ["a.test"]

    run(scenario())


@pytest.mark.parametrize(
    "text", ["dns.example", "1.2.3.4:0", "1.2.3.4:99999", "[::1", "tls://1.1.1.1"]
)
def test_name_servers_that_are_none(run: Any, text: str) -> None:
    async def scenario() -> None:
        with pytest.raises(ConfigError, match="no name server"):
            Resolver(asyncio.get_running_loop(), (text,))

    run(scenario())


def test_the_system_is_asked_where_it_is_chosen(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[bytes] = []

    def getaddrinfo(host: bytes, *_: Any, **__: Any) -> list[Any]:
        names.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 0))]

    async def scenario() -> None:
        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        resolver = Resolver(asyncio.get_running_loop(), ("system",))
        assert await asyncio.wait_for(hosts(resolver, "a.test"), DEADLINE) == ["192.0.2.7"]
        await resolver.close()
        # The final dot keeps it from searching.
        assert names == [b"a.test."]

    run(scenario())
