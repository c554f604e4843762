"""The resolver: real look-ups of localhost, and scripted ones for what time does."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from fastsocks.errors import ResolveError
from fastsocks.net import Resolver
from harness.deadline import DEADLINE
from net.scripted import ScriptedLoop, tcp

NO_SUCH_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_localhost_resolves(run: Any) -> None:
    async def scenario() -> None:
        resolver = Resolver(asyncio.get_running_loop())
        assert resolver.cached("localhost") is None
        found = await resolver.resolve("localhost", 80)
        assert found
        assert {info[4][0] for info in found} <= {"127.0.0.1", "::1"}
        assert {info[4][1] for info in found} == {80}
        known = resolver.cached("LocalHost")
        assert known is not None
        assert [info[4][0] for info in known] == [info[4][0] for info in found]

    run(scenario())


@pytest.mark.parametrize("name", ["a" * 64 + ".invalid", ".", "a..b", "-", "x y", "\udcff.example"])
def test_unusable_names_are_typed_errors(run: Any, name: str) -> None:
    async def scenario() -> None:
        resolver = Resolver(asyncio.get_running_loop())
        with pytest.raises(ResolveError) as caught:
            await resolver.resolve(name, 80)
        assert caught.value.reply == 4
        assert resolver.cached(name) is None

    run(scenario())


def test_names_are_matched_without_case_and_with_their_trailing_dot(run: Any) -> None:
    async def scenario() -> None:
        loop = ScriptedLoop({b"one.example": [tcp("192.0.2.1")], b"one.example.": NO_SUCH_NAME})
        resolver = Resolver(loop)  # type: ignore[arg-type]
        assert await resolver.resolve("One.Example", 1) == [tcp("192.0.2.1", 1)]
        assert await resolver.resolve("one.example", 65535) == [tcp("192.0.2.1", 65535)]
        with pytest.raises(ResolveError, match="Name or service not known"):
            await resolver.resolve("one.example.", 1)
        assert loop.asked == [b"one.example", b"one.example."]

    run(scenario())


def test_letters_beyond_ascii_are_encoded(run: Any) -> None:
    async def scenario() -> None:
        loop = ScriptedLoop({b"xn--bcher-kva.example": [tcp("2001:db8::1")]})
        resolver = Resolver(loop)  # type: ignore[arg-type]
        assert await resolver.resolve("Bücher.example", 443) == [tcp("2001:db8::1", 443)]
        assert resolver.cached("bücher.example") == (tcp("2001:db8::1"),)

    run(scenario())


def test_answers_expire(run: Any) -> None:
    async def scenario() -> None:
        loop = ScriptedLoop({b"a": [tcp("192.0.2.1")], b"b": NO_SUCH_NAME})
        resolver = Resolver(loop, ttl=60, negative_ttl=5)  # type: ignore[arg-type]

        async def ask_both() -> None:
            await resolver.resolve("a", 1)
            with pytest.raises(ResolveError):
                await resolver.resolve("b", 1)

        await ask_both()
        loop.ahead = 4
        await ask_both()
        assert loop.asked == [b"a", b"b"]
        loop.ahead = 6
        await ask_both()
        assert loop.asked == [b"a", b"b", b"b"]
        loop.ahead = 61
        assert resolver.cached("a") is None
        await ask_both()
        assert loop.asked == [b"a", b"b", b"b", b"a", b"b"]

    run(scenario())


def test_a_server_that_does_not_answer_is_asked_again(run: Any) -> None:
    async def scenario() -> None:
        loop = ScriptedLoop({b"a": socket.gaierror(socket.EAI_AGAIN, "Temporary failure")})
        resolver = Resolver(loop)  # type: ignore[arg-type]
        for _ in range(2):
            with pytest.raises(ResolveError, match="Temporary failure"):
                await resolver.resolve("a", 1)
        assert loop.asked == [b"a", b"a"]

    run(scenario())


def test_simultaneous_look_ups_share_one_call(run: Any) -> None:
    async def scenario() -> None:
        loop = ScriptedLoop({b"a": [tcp("192.0.2.1")]})
        resolver = Resolver(loop)  # type: ignore[arg-type]
        loop.answering.clear()
        asking = [asyncio.ensure_future(resolver.resolve("a", port)) for port in range(1, 6)]
        await loop.asking.wait()
        # Who gives up takes nothing away from the others.
        asking[0].cancel()
        await asyncio.sleep(0)
        assert asking[0].cancelled()
        loop.answering.set()
        assert await asyncio.gather(*asking[1:]) == [
            [tcp("192.0.2.1", port)] for port in range(2, 6)
        ]
        assert loop.asked == [b"a"]

    run(scenario())


def test_the_cache_is_bounded(run: Any) -> None:
    async def scenario() -> None:
        names = [b"n%d" % number for number in range(5)]
        loop = ScriptedLoop({name: [tcp("192.0.2.1")] for name in names})
        resolver = Resolver(loop, size=3)  # type: ignore[arg-type]
        for name in names:
            await resolver.resolve(name.decode(), 1)
        known = [name for name in names if resolver.cached(name.decode()) is not None]
        assert known == names[2:]

    run(scenario())


def test_close_ends_look_ups(run: Any) -> None:
    async def scenario() -> None:
        loop = ScriptedLoop({b"a": [tcp("192.0.2.1")]})
        resolver = Resolver(loop)  # type: ignore[arg-type]
        loop.answering.clear()
        asking = asyncio.ensure_future(resolver.resolve("a", 1))
        await loop.asking.wait()
        assert await resolver.close() == 1
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await resolver.close() == 0

    run(scenario())


def names(count: int) -> list[str]:
    return [f"name{number}.example" for number in range(count)]


async def asked(loop: ScriptedLoop, count: int) -> None:
    """Wait until `count` names were asked for, and see that it stays at that."""
    async with asyncio.timeout(10):
        while len(loop.asked) < count:
            await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(loop.asked) == count


def capped(loop: ScriptedLoop, queued: list[str]) -> Resolver:
    return Resolver(loop, per_client=2, queued=queued.append)  # type: ignore[arg-type]


def test_look_ups_of_a_client_wait_for_their_turn(run: Any) -> None:
    async def scenario() -> None:
        loop = ScriptedLoop({name.encode(): [tcp("192.0.2.1")] for name in names(5)})
        loop.answering.clear()
        queued: list[str] = []
        resolver = capped(loop, queued)
        ours = [asyncio.ensure_future(resolver.resolve(name, 1, "one")) for name in names(4)]
        await asked(loop, 2)
        # Who shares a look-up under way does not wait, and another client does not either.
        shared = asyncio.ensure_future(resolver.resolve(names(1)[0], 1, "one"))
        theirs = asyncio.ensure_future(resolver.resolve(names(5)[4], 1, "two"))
        await asked(loop, 3)
        assert queued == ["one", "one"]
        loop.answering.set()
        for found in await asyncio.gather(*ours, shared, theirs):
            assert found == [tcp("192.0.2.1", 1)]
        await asked(loop, 5)
        assert not resolver._clients

    run(scenario())


def test_one_name_is_asked_for_once_by_those_who_waited(run: Any) -> None:
    async def scenario() -> None:
        loop = ScriptedLoop({name.encode(): [tcp("192.0.2.1")] for name in names(3)})
        loop.answering.clear()
        resolver = capped(loop, [])
        wanted = [*names(2), *[names(3)[2]] * 5]
        waiting = [asyncio.ensure_future(resolver.resolve(name, 1, "one")) for name in wanted]
        await asked(loop, 2)
        loop.answering.set()
        await asyncio.gather(*waiting)
        await asked(loop, 3)
        assert not resolver._clients

    run(scenario())


def test_who_gives_up_waiting_gives_the_turn_on(run: Any) -> None:
    async def scenario() -> None:
        loop = ScriptedLoop({name.encode(): [tcp("192.0.2.1")] for name in names(5)})
        loop.answering.clear()
        resolver = capped(loop, [])
        tasks = [asyncio.ensure_future(resolver.resolve(name, 1, "one")) for name in names(5)]
        await asked(loop, 2)
        tasks[2].cancel()  # one that waits
        tasks[0].cancel()  # one whose look-up runs: the system does not give it up
        await asked(loop, 2)
        loop.answering.set()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(one, asyncio.CancelledError) for one in done] == [
            *(True, False, True, False, False)
        ]
        assert loop.asked == [name.encode() for name in names(5) if name != "name2.example"]
        await asked(loop, 4)
        assert not resolver._clients

    run(scenario())


def test_a_turn_that_comes_with_the_cancellation_is_not_lost(run: Any) -> None:
    async def scenario() -> None:
        loop = ScriptedLoop({name.encode(): [tcp("192.0.2.1")] for name in names(4)})
        resolver = capped(loop, [])
        await resolver._begin("one")
        await resolver._begin("one")
        waiter = asyncio.ensure_future(resolver._begin("one"))
        await asyncio.sleep(0)
        resolver._end("one")  # gives the turn to the waiter, which
        waiter.cancel()  # is cancelled before it can run
        with pytest.raises(asyncio.CancelledError):
            await waiter
        await asyncio.wait_for(resolver._begin("one"), DEADLINE)
        resolver._end("one")
        resolver._end("one")
        assert not resolver._clients

    run(scenario())


def test_closing_ends_those_who_wait(run: Any) -> None:
    async def scenario() -> None:
        loop = ScriptedLoop({})
        loop.answering.clear()
        resolver = capped(loop, [])
        tasks = [asyncio.ensure_future(resolver.resolve(name, 1, "one")) for name in names(4)]
        await asked(loop, 2)
        assert await resolver.close() == 2
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in done)
        await asked(loop, 2)

    run(scenario())
