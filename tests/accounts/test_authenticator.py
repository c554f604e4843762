"""Who may log in, and how often they may try."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fastsocks.accounts.authenticator import REMEMBERED, Authenticator
from fastsocks.accounts.failures import FailedLogins
from fastsocks.errors import BusyError

PEER = ("192.0.2.1", 40000)
OTHER = ("192.0.2.2", 40000)
SHUT_OUT = (
    "10 different logins were wrong; for 60 s one a second is checked, besides those that were "
    "right from there before"
)


class Clock:
    """A clock that the test turns on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Hash:
    """Stands for a slow hash; counts."""

    def __init__(self, password: bytes, cost: int = 1) -> None:
        self._password = password
        self.cost = cost
        self.made = 0

    def matches(self, password: bytes) -> bool:
        self.made += 1
        return password == self._password


class Threads:
    """Runs what is handed to it when the test says so, in this thread."""

    def __init__(self) -> None:
        self.waiting: list[tuple[asyncio.Future[bool], Callable[[], bool]]] = []

    def __call__(self, function: Callable[[], bool]) -> asyncio.Future[bool]:
        future = asyncio.get_running_loop().create_future()
        self.waiting.append((future, function))
        return future

    def run(self) -> None:
        for future, function in self.waiting:
            if not future.done():
                future.set_result(function())
        self.waiting.clear()


class Hashed:
    """An authenticator of two users with hashes, and one without."""

    def __init__(self, places: int = 1000) -> None:
        self.clock = Clock()
        self.threads = Threads()
        self.notices: list[tuple[str, str]] = []
        self.alice, self.bob = Hash(b"a-secret"), Hash(b"b-secret")
        self.authenticator = Authenticator(
            {b"plain": b"p-secret"},
            run=self.threads,
            places=places,
            notice=lambda *told: self.notices.append(told),
            clock=self.clock,
        )
        self.authenticator.use_hashes({b"alice": self.alice, b"bob": self.bob})

    def begin(self, user: bytes, password: bytes, peer: Any = PEER) -> asyncio.Future[str | None]:
        verdict = self.authenticator.check(user, password, peer)
        assert isinstance(verdict, Awaitable)
        return asyncio.ensure_future(verdict)

    async def check(self, user: bytes, password: bytes, peer: Any = PEER) -> str | None:
        verdict = self.authenticator.check(user, password, peer)
        if verdict is None or isinstance(verdict, str):
            return verdict
        waiting = asyncio.ensure_future(verdict)
        await asyncio.sleep(0)
        self.threads.run()
        return await waiting

    @property
    def made(self) -> int:
        return self.alice.made + self.bob.made


def test_accounts_are_checked_at_once() -> None:
    authenticator = Authenticator({b"user": b"pass", b"\xff": b"\0"})
    assert authenticator.check(b"user", b"pass", PEER) == "user"
    assert authenticator.check(b"\xff", b"\0", PEER) == "\udcff"
    for wrong in ((b"user", b"Pass"), (b"user", b""), (b"User", b"pass"), (b"", b"")):
        assert authenticator.check(*wrong, PEER) is None


def test_no_accounts_let_nobody_in() -> None:
    assert Authenticator().check(b"", b"", PEER) is None


def test_a_hash_is_made_once(run: Any) -> None:
    async def scenario() -> None:
        hashed = Hashed()
        assert await hashed.check(b"alice", b"a-secret") == "alice"
        assert hashed.alice.made == 1
        # Known at once from now on, from anywhere.
        assert hashed.authenticator.check(b"alice", b"a-secret", OTHER) == "alice"
        hashed.clock.now += REMEMBERED - 1
        assert hashed.authenticator.check(b"alice", b"a-secret", PEER) == "alice"
        hashed.clock.now += 2
        assert await hashed.check(b"alice", b"a-secret") == "alice"
        assert hashed.alice.made == 2

    run(scenario())


def test_connections_at_once_share_a_hash(run: Any) -> None:
    async def scenario() -> None:
        hashed = Hashed()
        first, second, third = (hashed.begin(b"bob", b"b-secret") for _ in range(3))
        await asyncio.sleep(0)
        # Who gives up takes it from nobody else.
        second.cancel()
        await asyncio.sleep(0)
        assert len(hashed.threads.waiting) == 1
        hashed.threads.run()
        assert set(await asyncio.gather(first, third)) == {"bob"}
        assert hashed.bob.made == 1

    run(scenario())


def test_a_verdict_that_nobody_waits_for(run: Any) -> None:
    async def allow(*_: object) -> bool:
        return True

    async def scenario() -> None:
        hashed = Hashed()
        for authenticator in (hashed.authenticator, Authenticator(hook=allow)):
            assert authenticator.check(b"alice", b"a-secret", PEER) is not None
        # Python complains of a coroutine that is dropped.
        gc.collect()
        hashed.threads.run()
        assert await hashed.begin(b"alice", b"a-secret") == "alice"

    run(scenario())


def test_it_costs_what_the_most_expensive_hash_does(run: Any) -> None:
    async def scenario() -> None:
        hashed = Hashed()
        old, new = Hash(b"a-secret", cost=1), Hash(b"b-secret", cost=40)
        for hashes in ({b"alice": old, b"bob": new}, {b"bob": new, b"alice": old}):
            hashed.authenticator.use_hashes(hashes)
            before = old.made, new.made
            assert await hashed.check(b"nobody", b"wrong") is None
            assert (old.made, new.made) == (before[0], before[1] + 1)

    run(scenario())


def test_an_unknown_user_costs_as_much_as_a_wrong_password(run: Any) -> None:
    async def scenario() -> None:
        hashed = Hashed()
        for count, (user, password) in enumerate(
            [(b"alice", b"wrong"), (b"nobody", b"wrong"), (b"plain", b"wrong"), (b"", b"")], 1
        ):
            assert await hashed.check(user, password) is None
            assert hashed.made == count
        # Not even with the password of the user whose hash stands in.
        assert await hashed.check(b"nobody", b"a-secret") is None
        assert await hashed.check(b"plain", b"a-secret") is None
        assert hashed.made == 6
        assert hashed.authenticator.check(b"plain", b"p-secret", PEER) == "plain"

    run(scenario())


def test_the_same_wrong_pair_costs_once_and_counts_once(run: Any) -> None:
    async def scenario() -> None:
        hashed = Hashed()
        for _ in range(100):
            assert await hashed.check(b"alice", b"an old one") is None
        assert hashed.made == 1
        assert await hashed.check(b"alice", b"a-secret") == "alice"
        assert hashed.notices == []

    run(scenario())


def test_who_guesses_is_shut_out(run: Any) -> None:
    async def scenario() -> None:
        hashed = Hashed()
        assert await hashed.check(b"bob", b"b-secret") == "bob"
        for number in range(50):
            assert await hashed.check(b"alice", b"%d" % number) is None
        assert hashed.made == 11
        assert hashed.authenticator.check(b"plain", b"p-secret", PEER) is None
        assert hashed.authenticator.check(b"plain", b"p-secret", OTHER) == "plain"
        assert hashed.authenticator.check(b"bob", b"b-secret", OTHER) == "bob"
        assert hashed.notices == [(PEER[0], SHUT_OUT)]
        hashed.clock.now += 61
        assert hashed.authenticator.check(b"plain", b"p-secret", PEER) == "plain"

    run(scenario())


def test_a_pair_gets_in_where_it_was_right_before(run: Any) -> None:
    """Whoever guesses at the same address, and whether its hash has to be made again or not."""

    async def scenario() -> None:
        hashed = Hashed()
        assert await hashed.check(b"bob", b"b-secret") == "bob"
        assert hashed.authenticator.check(b"plain", b"p-secret", PEER) == "plain"
        for number in range(10):
            assert await hashed.check(b"alice", b"%d" % number) is None
        assert hashed.authenticator.check(b"bob", b"b-secret", PEER) == "bob"
        assert hashed.authenticator.check(b"plain", b"p-secret", PEER) == "plain"
        hashed.clock.now += REMEMBERED
        for number in range(10):
            assert await hashed.check(b"alice", b"%d" % number) is None
        assert await hashed.check(b"bob", b"b-secret") == "bob"
        assert hashed.bob.made == 2
        # Where it never was, it waits as others do.
        for number in range(10):
            assert await hashed.check(b"alice", b"%d" % number, OTHER) is None
        assert await hashed.check(b"plain", b"p-secret", OTHER) is None
        # One that has become wrong is nothing special any more.
        hashed.authenticator.use_hashes({b"bob": Hash(b"new")})
        for number in range(10):
            assert await hashed.check(b"alice", b"%d" % number) is None
        assert hashed.authenticator.check(b"bob", b"b-secret", PEER) is None

    run(scenario())


def test_who_is_shut_out_has_one_check_a_second(run: Any) -> None:
    async def scenario() -> None:
        hashed = Hashed()
        for number in range(10):
            assert await hashed.check(b"alice", b"%d" % number) is None
        made = hashed.made
        for second in range(5):
            hashed.clock.now += 1
            # Known to be wrong: that takes no check.
            assert await hashed.check(b"alice", b"1") is None
            for number in range(20):
                assert await hashed.check(b"alice", b"%d %d" % (second, number)) is None
            assert hashed.made == made + second + 1
        hashed.clock.now += 1
        assert await hashed.check(b"alice", b"a-secret") == "alice"
        assert hashed.authenticator.check(b"alice", b"a-secret", PEER) == "alice"

    run(scenario())


def test_guesses_that_wait_are_not_checked_once_their_client_is_shut_out(run: Any) -> None:
    async def scenario() -> None:
        hashed = Hashed(places=1)
        verdicts = [hashed.begin(b"alice", b"%d" % number) for number in range(100)]
        await asyncio.sleep(0)
        while hashed.threads.waiting:
            hashed.threads.run()
            for _ in range(5):
                await asyncio.sleep(0)
        assert set(await asyncio.gather(*verdicts)) == {None}
        # And the one that had begun when the tenth came out.
        assert hashed.made == 11

    run(scenario())


def test_who_guesses_from_one_network_of_ipv6_is_one_client() -> None:
    authenticator = Authenticator({b"user": b"pass"})
    for number in range(10):
        peer = (f"2001:db8::{number + 1:x}", 4000, 0, 0)
        assert authenticator.check(b"user", b"%d" % number, peer) is None
    assert authenticator.check(b"user", b"pass", ("2001:db8::ffff", 4000, 0, 0)) is None
    assert authenticator.check(b"user", b"pass", ("2001:db8:0:1::1", 4000, 0, 0)) == "user"


def test_a_burst_of_right_logins(run: Any) -> None:
    """All wait for their turn, and nobody is told that a password is wrong."""

    async def scenario() -> None:
        hashed = Hashed(places=2)
        users = {b"user %d" % number: Hash(b"right") for number in range(500)}
        hashed.authenticator.use_hashes(users)
        verdicts = [hashed.begin(user, b"right") for user in users]
        await asyncio.sleep(0)
        while hashed.threads.waiting:
            assert len(hashed.threads.waiting) <= 2
            hashed.threads.run()
            for _ in range(5):
                await asyncio.sleep(0)
        assert await asyncio.gather(*verdicts) == [user.decode() for user in users]
        assert hashed.notices == []

    run(scenario())


def test_who_cannot_be_checked_in_time_did_nothing_wrong(run: Any) -> None:
    async def scenario() -> None:
        hashed = Hashed(places=1)
        hashed.authenticator._queue._patience = 0.01
        first = hashed.begin(b"alice", b"a-secret")
        late = [hashed.begin(b"bob", b"%d" % number) for number in range(20)]
        for verdict in late:
            with pytest.raises(BusyError, match="too long"):
                await verdict
        hashed.threads.run()
        assert await first == "alice"
        assert len(hashed.authenticator._failures) == 0
        assert await hashed.check(b"bob", b"b-secret") == "bob"

    run(scenario())


def test_who_leaves_waits_no_more(run: Any) -> None:
    async def scenario() -> None:
        hashed = Hashed(places=1)
        first = hashed.begin(b"alice", b"a-secret")
        gone = [hashed.begin(b"bob", b"b-secret") for _ in range(3)]
        await asyncio.sleep(0)
        assert len(hashed.authenticator._queue) == 1
        late = hashed.authenticator.check(b"bob", b"b-secret", PEER)
        for verdict in gone:
            verdict.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        assert len(hashed.authenticator._queue) == 0
        hashed.threads.run()
        assert await first == "alice"
        assert hashed.bob.made == 0
        # Who was about to wait with them is checked anyway.
        assert isinstance(late, Awaitable)
        checked = asyncio.ensure_future(late)
        await asyncio.sleep(0)
        hashed.threads.run()
        assert await checked == "bob"

    run(scenario())


def test_new_hashes_forget_what_was(run: Any) -> None:
    async def scenario() -> None:
        hashed = Hashed()
        assert await hashed.check(b"alice", b"a-secret") == "alice"
        assert await hashed.check(b"alice", b"new") is None
        late = hashed.begin(b"bob", b"b-secret")
        hashed.authenticator.use_hashes({b"alice": Hash(b"new")})
        assert await hashed.check(b"alice", b"a-secret") is None
        assert await hashed.check(b"alice", b"new") == "alice"
        # A hash that was begun before says who may log in, but not who may later.
        hashed.threads.run()
        await late
        assert await hashed.check(b"bob", b"b-secret") is None

    run(scenario())


@pytest.mark.parametrize(
    ("answer", "user"),
    [(True, "alice"), ("Alice of accounting", "Alice of accounting"), (False, None), ("", None)],
)
@pytest.mark.parametrize("plain", [False, True])
def test_a_hook_decides(run: Any, answer: Any, user: str | None, plain: bool) -> None:
    asked: list[tuple[str, str, Any]] = []

    def hook(username: str, password: str, peer: Any) -> Any:
        asked.append((username, password, peer))
        return answer

    async def waiting_hook(username: str, password: str, peer: Any) -> Any:
        await asyncio.sleep(0)
        return hook(username, password, peer)

    async def scenario() -> None:
        authenticator = Authenticator(hook=hook if plain else waiting_hook)
        for _ in range(3):
            verdict: Any = authenticator.check(b"alice", b"\xff", PEER)
            assert await verdict == user
        assert asked == [("alice", "\udcff", PEER)] * 3

    run(scenario())


def test_a_hook_that_fails_lets_nobody_in_and_blames_nobody(run: Any) -> None:
    async def hook(username: str, password: str, peer: Any) -> bool:
        raise ValueError(f"cannot look up {username} with {password}")

    async def scenario() -> None:
        notices: list[tuple[str, str]] = []
        authenticator = Authenticator(hook=hook, notice=lambda *told: notices.append(told))
        for number in range(20):
            verdict: Any = authenticator.check(b"alice", b"hunter%d" % number, PEER)
            assert await verdict is None
        client, text = notices[0]
        assert set(notices) == {(client, text)}
        assert client == PEER[0]
        line = hook.__code__.co_firstlineno + 1
        assert text == (
            "a fault of the program: authenticate raised ValueError in "
            f"{__file__}, line {line}; nobody gets in by it"
        )

    run(scenario())


@pytest.mark.parametrize("answer", [None, 1, b"alice"])
def test_a_hook_that_answers_nothing_of_use_is_a_fault_of_the_program(
    run: Any, answer: Any
) -> None:
    async def scenario() -> None:
        notices: list[tuple[str, str]] = []
        authenticator = Authenticator(
            hook=lambda *_: answer, notice=lambda *told: notices.append(told)
        )
        for number in range(20):
            verdict: Any = authenticator.check(b"alice", b"%d" % number, PEER)
            assert await verdict is None
        assert f"authenticate returned {type(answer).__name__}" in notices[0][1]
        assert len(set(notices)) == 1

    run(scenario())


def test_a_client_that_guesses_is_not_passed_to_the_hook(run: Any) -> None:
    asked: list[str] = []

    async def hook(username: str, password: str, peer: Any) -> bool:
        asked.append(password)
        return False

    async def scenario() -> None:
        authenticator = Authenticator(hook=hook)
        for number in range(20):
            verdict: Any = authenticator.check(b"alice", b"%d" % number, PEER)
            if verdict is not None:
                assert await verdict is None
        assert len(asked) == 10

    run(scenario())


def test_few_calls_of_the_hook_are_under_way(run: Any) -> None:
    most = 32
    asked: list[str] = []

    async def scenario() -> None:
        answers = asyncio.Event()

        async def hook(username: str, password: str, peer: Any) -> bool:
            asked.append(username)
            await answers.wait()
            return False

        authenticator = Authenticator(hook=hook)

        async def check(user: bytes, password: bytes, peer: Any) -> str | None:
            verdict: Any = authenticator.check(user, password, peer)
            found: str | None = await verdict
            return found

        waiting = [
            asyncio.ensure_future(check(b"alice", b"%d" % number, PEER))
            for number in range(most + 8)
        ]
        waiting.append(asyncio.ensure_future(check(b"bob", b"x", OTHER)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert asked == ["alice"] * most + ["bob"]
        answers.set()
        assert await asyncio.gather(*waiting) == [None] * len(waiting)
        # Who was shut out while it waited is not asked about any more.
        assert len(asked) == most + 1

    run(scenario())


def test_nothing_that_is_kept_is_a_secret(run: Any) -> None:
    async def scenario() -> None:
        hashed = Hashed()
        await hashed.check(b"alice", b"a-" + b"secret")
        await hashed.check(b"alice", b"hunter" + b"2!")
        kept = [hashed.authenticator._right, hashed.authenticator._failures._clients]
        texts = [repr(hashed.authenticator), *map(repr, kept)]
        texts += [repr(one.pairs) for one in hashed.authenticator._failures._clients.values()]
        assert not any("secret" in text or "hunter2!" in text for text in texts)

    run(scenario())


def test_memory_of_failures_is_bounded() -> None:
    clock = Clock()
    failures = FailedLogins(capacity=100, clock=clock)
    for number in range(1000):
        for pair in range(50):
            failures.add(f"client {number}", b"%d" % pair)
    assert len(failures) == 100
    assert all(len(one.pairs) == 10 for one in failures._clients.values())
    assert failures.shut_out("client 999")
    assert not failures.shut_out("client 899")
    clock.now += 60
    assert not failures.shut_out("client 999")
    assert not failures.known("client 998", b"1")


def test_memory_of_what_was_right_is_bounded(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastsocks.accounts.authenticator._MOST_REMEMBERED", 3)

    async def scenario() -> None:
        hashed = Hashed()
        users = {b"user %d" % number: Hash(b"same") for number in range(5)}
        hashed.authenticator.use_hashes(users)
        for user in users:
            assert await hashed.check(user, b"same") == user.decode()
        assert len(hashed.authenticator._right) == 3
        assert hashed.authenticator.check(b"user 4", b"same", PEER) == "user 4"
        assert await hashed.check(b"user 0", b"same") == "user 0"
        assert users[b"user 0"].made == 2

    run(scenario())
