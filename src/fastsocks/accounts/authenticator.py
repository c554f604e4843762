"""Who may log in with a user name and a password (RFC 1929, or RFC 7617)."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import time
import traceback
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from fastsocks.policy.limits import client_of

from .failures import FailedLogins
from .fair_queue import FairQueue
from .slots import Slots

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping

    from fastsocks.config.socks_options import Hook

    from .fair_queue import Job

#: A user's name; None refuses; or what is to be awaited for one of the two.
Verdict: TypeAlias = "str | Awaitable[str | None] | None"

#: Seconds for which a pair that was right needs no other check, and how many such are kept.
REMEMBERED = 300.0
_MOST_REMEMBERED = 4096

#: Calls of the hook that are under way at a time, in all and of one client.
_MOST_ASKED = 256
_MOST_ASKED_PER_CLIENT = 32

#: Checks that may wait for a thread; a client has a quarter of that while others wait.
_MOST_WAITING = 2048

#: Pairs that are kept with the clients from which they were right, over all.
_MOST_AT_HOME = 16384


class PasswordHash(Protocol):
    """What is kept in the place of a password."""

    @property
    def cost(self) -> int:
        """What :meth:`matches` takes, beside other hashes."""

    def matches(self, password: bytes) -> bool:
        """Tell whether it was made of `password`; takes long on purpose."""


class Authenticator:
    """Checks user names and passwords: against accounts, hashes, or by asking a program.

    A wrong password of a user, and a user that there is not, take the same time where all hashes
    have the same cost; who is not there takes what the most expensive one does. Of a client that
    fails too often (:class:`.failures.FailedLogins`) one login a second is checked, besides those
    that were right from there before; the rest are refused. Where checks have to wait, clients take
    turns; see :class:`.fair_queue.FairQueue`. Neither names nor passwords are kept beyond a keyed
    hash, nor told to anybody but the hook.

    All calls come from the loop's thread.

    :param accounts: passwords by user name.
    :param hook: is asked in the place of all else, with user name, password (bytes that are not
        UTF-8 as surrogate escapes) and the client's socket address; it returns whether the user
        may log in, or the name under which. Its answers are not remembered. An exception
        refuses, and does not count as a failure of the client. At most 256 of its calls are under
        way, and 32 of one client; further ones wait.
    :param run: runs a function in another thread. Needed for hashes.
    :param places: functions that `run` is given at a time.
    :param patience: seconds that a check waits for its turn.
    :param notice: is called with a client and what whoever runs the service should know of it.
    :param clock: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        accounts: Mapping[bytes, bytes] | None = None,
        *,
        hook: Hook | None = None,
        run: Callable[[Callable[[], bool]], asyncio.Future[bool]] | None = None,
        places: int = 1,
        patience: float = 20.0,
        notice: Callable[[str, str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._accounts = accounts or {}
        self._hook = hook
        self._run = run
        self._notice = notice
        self._clock = clock
        self._hashes: Mapping[bytes, PasswordHash] = {}
        # What an unknown user's password is held against.
        self._stand_in: PasswordHash | None = None
        self._slots = Slots(_MOST_ASKED, _MOST_ASKED_PER_CLIENT)
        self._failures = FailedLogins(clock=clock)
        self._key = os.urandom(32)
        # When each pair that was right is forgotten; in this order, too.
        self._right: dict[bytes, float] = {}
        # Where each pair was right before; the longest unused comes first.
        self._at_home: dict[bytes, None] = {}
        self._queue = FairQueue(places, _MOST_WAITING, patience)
        self._waiting: dict[bytes, _Check] = {}

    def use_hashes(self, hashes: Mapping[bytes, PasswordHash]) -> None:
        """Take the hashes of passwords, by user name, in the place of those before.

        Whatever was right or wrong before is forgotten.
        """
        self._hashes = hashes
        self._stand_in = max(hashes.values(), key=lambda one: one.cost, default=None)
        self._right.clear()
        self._at_home.clear()
        self._failures.clear()
        # What still runs was begun with the old ones.
        self._waiting.clear()

    def check(self, username: bytes, password: bytes, peer: tuple[Any, ...]) -> Verdict:
        """Tell who that is, now or, where a hash or the hook has to say, later.

        :param username: as the client sent it, as is `password`.
        :param peer: the client's socket address.
        :return: the user's name, bytes that are not UTF-8 as surrogate escapes; or None. What is
            to be awaited can be given up at any time.
        :raises BusyError: too many wait already; so may what is awaited, after `patience`.
        """
        client = client_of(peer[0])
        pair = self._pair(username, password)
        if not self._may_try(client, pair):
            return None
        if self._hook is not None:
            tried = self._failures.shut_out(client)
            return _Later(partial(self._ask, self._hook, username, password, peer, pair, tried))
        name = username.decode("utf-8", "surrogateescape")
        expected = self._accounts.get(username)
        # compare_digest takes as long as its second argument is: nothing of the password, and
        # whether there is such a user, shows in the time.
        same = hmac.compare_digest(expected or b"", password)
        if expected is not None and same:
            self._settle(client, pair)
            return name
        known = None if expected is not None else self._hashes.get(username)
        hashed = known or self._stand_in
        if hashed is None:
            self._failed(client, pair)
            return None
        if self._remembers(pair):
            self._settle(client, pair)
            return name
        if self._failures.known(client, pair):
            return None
        waiting = self._waiting.get(pair)
        if waiting is None:
            check = partial(_matches, hashed, password, known is not None)
            waiting = self._begin(client, pair, check)
        return _Later(partial(self._await, waiting, client, pair, name))

    def _pair(self, username: bytes, password: bytes) -> bytes:
        text = len(username).to_bytes(4) + username + password
        return hashlib.blake2b(text, key=self._key, digest_size=16).digest()

    def _remembers(self, pair: bytes) -> bool:
        until = self._right.get(pair)
        return until is not None and until > self._clock()

    def _home(self, client: str, pair: bytes) -> bytes:
        """Return what stands for a pair and the client from which it came."""
        return hashlib.blake2b(client.encode() + pair, key=self._key, digest_size=16).digest()

    def _may_try(self, client: str, pair: bytes) -> bool:
        """Tell whether a login is looked at, of a client that may have failed too often."""
        return (
            not self._failures.shut_out(client)
            or self._home(client, pair) in self._at_home
            or (not self._failures.known(client, pair) and self._failures.may_try_again(client))
        )

    def _settle(self, client: str, pair: bytes) -> None:
        """Note that a pair was right, and where."""
        home = self._home(client, pair)
        self._at_home.pop(home, None)
        while len(self._at_home) >= _MOST_AT_HOME:
            del self._at_home[next(iter(self._at_home))]
        self._at_home[home] = None

    def _begin(self, client: str, pair: bytes, check: Callable[[], bool]) -> _Check:
        """Have a hash made elsewhere, now or when its turn comes.

        :raises BusyError: there are too many.
        """
        if self._run is None:
            raise RuntimeError("hashes need somewhere to run")
        tried = self._failures.shut_out(client)
        begin = partial(self._run_check, self._run, client, pair, check, tried)
        waiting = _Check(self._queue.submit(client, begin), check)
        self._waiting[pair] = waiting
        waiting.job.result.add_done_callback(partial(self._done, client, pair, waiting))
        return waiting

    def _run_check(
        self,
        run: Callable[[Callable[[], bool]], asyncio.Future[bool]],
        client: str,
        pair: bytes,
        check: Callable[[], bool],
        tried: bool,
    ) -> asyncio.Future[bool]:
        """Run a check whose turn has come, unless its client has failed too often meanwhile.

        :param tried: whether it had before, and this is its one try a second.
        """
        if not tried and not self._may_try(client, pair):
            refused: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            refused.set_result(False)
            return refused
        return run(check)

    def _done(
        self, client: str, pair: bytes, waiting: _Check, result: asyncio.Future[bool]
    ) -> None:
        if self._waiting.get(pair) is not waiting:
            return
        del self._waiting[pair]
        if result.cancelled() or result.exception() is not None:
            return
        if not result.result():
            self._failed(client, pair)
            return
        self._settle(client, pair)
        while len(self._right) >= _MOST_REMEMBERED:
            del self._right[next(iter(self._right))]
        self._right.pop(pair, None)
        self._right[pair] = self._clock() + REMEMBERED

    async def _await(self, waiting: _Check, client: str, pair: bytes, name: str) -> str | None:
        if waiting.job.result.cancelled():
            # Whoever waited for it has left meanwhile.
            waiting = self._waiting.get(pair) or self._begin(client, pair, waiting.check)
        waiting.waiters += 1
        try:
            # Others may wait for the same pair.
            right = await asyncio.shield(waiting.job.result)
        finally:
            waiting.waiters -= 1
            if not waiting.waiters:
                self._queue.withdraw(waiting.job)
        if right:
            self._settle(client, pair)
        return name if right else None

    async def _ask(
        self,
        hook: Hook,
        username: bytes,
        password: bytes,
        peer: tuple[Any, ...],
        pair: bytes,
        tried: bool,
    ) -> str | None:
        client = client_of(peer[0])
        name = username.decode("utf-8", "surrogateescape")
        try:
            async with self._slots.slot(client):
                if not tried and not self._may_try(client, pair):
                    # Since it began to wait.
                    return None
                answer = hook(name, password.decode("utf-8", "surrogateescape"), peer)
                if isawaitable(answer):
                    answer = await answer
        except Exception as error:  # noqa: BLE001
            # Not its text: the password may be in it.
            self._tell(
                client,
                f"a fault of the program: authenticate raised {type(error).__name__} "
                f"{_place(error)}; nobody gets in by it",
            )
            return None
        if not isinstance(answer, bool | str):
            self._tell(
                client,
                f"a fault of the program: authenticate returned {type(answer).__name__}, which is "
                "neither True nor False nor a user name; nobody gets in by it",
            )
            return None
        if answer is True or (isinstance(answer, str) and answer):
            self._settle(client, pair)
            return name if answer is True else answer
        self._failed(client, pair)
        return None

    def _failed(self, client: str, pair: bytes) -> None:
        self._at_home.pop(self._home(client, pair), None)
        if self._failures.add(client, pair):
            self._tell(
                client,
                f"{self._failures.most} different logins were wrong; for "
                f"{self._failures.window:g} s one a second is checked, besides those that were "
                "right from there before",
            )

    def _tell(self, client: str, text: str) -> None:
        if self._notice is not None:
            self._notice(client, text)


def _place(error: Exception) -> str:
    """Say where in its program an error was raised."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"in {frame.filename}, line {frame.lineno}"


class _Check:
    """A hash that is made, or waits for its turn."""

    __slots__ = ("check", "job", "waiters")

    def __init__(self, job: Job, check: Callable[[], bool]) -> None:
        self.job = job
        self.check = check
        #: Logins that wait for it.
        self.waiters = 0


class _Later:
    """A verdict to be awaited, or dropped: Python would complain of a coroutine that is."""

    __slots__ = ("_begin",)

    def __init__(self, begin: Callable[[], Coroutine[Any, Any, str | None]]) -> None:
        self._begin = begin

    def __await__(self) -> Generator[Any, None, str | None]:
        return self._begin().__await__()


def _matches(hashed: PasswordHash, password: bytes, known: bool) -> bool:
    """Check a password, for a user that there is or, for the same time, one that there is not."""
    return hashed.matches(password) and known
