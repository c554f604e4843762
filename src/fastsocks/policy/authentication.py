"""Who may log in with a user name and a password (RFC 1929, or RFC 7617)."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import time
import traceback
from collections import Counter
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from .failures import FailedLogins
from .limits import client_of
from .turns import Turns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping

    from fastsocks.config.options import Hook

#: A user's name; None refuses; or what is to be awaited for one of the two.
Verdict: TypeAlias = "str | Awaitable[str | None] | None"

#: Seconds for which a pair that was right needs no other check, and how many such are kept.
REMEMBERED = 300.0
_MOST_REMEMBERED = 4096

#: Calls of the hook that are under way at a time, in all and of one client.
_MOST_ASKED = 256
_MOST_ASKED_PER_CLIENT = 32

#: Checks that may wait for a thread, in all and of one client.
_MOST_WAITING = 64
_MOST_WAITING_PER_CLIENT = 16


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
    have the same cost; who is not there takes what the most expensive one does. A client that
    fails too often is refused without a check; see :class:`.failures.FailedLogins`. Neither
    names nor passwords are kept beyond a keyed hash, nor told to anybody but the hook.

    All calls come from the loop's thread.

    :param accounts: passwords by user name.
    :param hook: is asked in the place of all else, with user name, password (bytes that are not
        UTF-8 as surrogate escapes) and the client's socket address; it returns whether the user
        may log in, or the name under which. Its answers are not remembered. An exception
        refuses, and does not count as a failure of the client. At most 256 of its calls are under
        way, and 32 of one client; further ones wait.
    :param run: runs a function in another thread. Needed for hashes.
    :param notice: is called with a client and what whoever runs the service should know of it.
    :param clock: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        accounts: Mapping[bytes, bytes] | None = None,
        *,
        hook: Hook | None = None,
        run: Callable[[Callable[[], bool]], asyncio.Future[bool]] | None = None,
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
        self._turns = Turns(_MOST_ASKED, _MOST_ASKED_PER_CLIENT)
        self._failures = FailedLogins(clock=clock)
        self._key = os.urandom(32)
        # When each pair that was right is forgotten; in this order, too.
        self._right: dict[bytes, float] = {}
        self._waiting: dict[bytes, asyncio.Future[bool]] = {}
        self._waiting_of: Counter[str] = Counter()

    def use_hashes(self, hashes: Mapping[bytes, PasswordHash]) -> None:
        """Take the hashes of passwords, by user name, in the place of those before.

        Whatever was right or wrong before is forgotten.
        """
        self._hashes = hashes
        self._stand_in = max(hashes.values(), key=lambda one: one.cost, default=None)
        self._right.clear()
        self._failures.clear()
        # What still runs was begun with the old ones.
        self._waiting.clear()

    def check(self, username: bytes, password: bytes, peer: tuple[Any, ...]) -> Verdict:
        """Tell who that is, now or, where a hash or the hook has to say, later.

        :param username: as the client sent it, as is `password`.
        :param peer: the client's socket address.
        :return: the user's name, bytes that are not UTF-8 as surrogate escapes; or None. What is
            to be awaited can be given up at any time.
        """
        client = client_of(peer[0])
        if self._failures.shut_out(client):
            return None
        pair = self._pair(username, password)
        if self._hook is not None:
            return _Later(partial(self._ask, self._hook, username, password, peer, pair))
        name = username.decode("utf-8", "surrogateescape")
        expected = self._accounts.get(username)
        # compare_digest takes as long as its second argument is: nothing of the password, and
        # whether there is such a user, shows in the time.
        same = hmac.compare_digest(expected or b"", password)
        if expected is not None and same:
            return name
        known = None if expected is not None else self._hashes.get(username)
        hashed = known or self._stand_in
        if hashed is None:
            self._failed(client, pair)
            return None
        if self._remembers(pair):
            return name
        if self._failures.known(client, pair):
            return None
        waiting = self._waiting.get(pair)
        if waiting is None:
            check = partial(_matches, hashed, password, known is not None)
            waiting = self._begin(client, pair, check)
        return None if waiting is None else _Later(partial(self._await, waiting, name))

    def _pair(self, username: bytes, password: bytes) -> bytes:
        text = len(username).to_bytes(4) + username + password
        return hashlib.blake2b(text, key=self._key, digest_size=16).digest()

    def _remembers(self, pair: bytes) -> bool:
        until = self._right.get(pair)
        return until is not None and until > self._clock()

    def _begin(
        self, client: str, pair: bytes, check: Callable[[], bool]
    ) -> asyncio.Future[bool] | None:
        """Have a hash made elsewhere; None if too many are."""
        if self._run is None:
            raise RuntimeError("hashes need somewhere to run")
        if (
            len(self._waiting) >= _MOST_WAITING
            or self._waiting_of[client] >= _MOST_WAITING_PER_CLIENT
        ):
            self._tell(client, "too many passwords are being checked; further ones are refused")
            return None
        waiting = self._run(check)
        self._waiting[pair] = waiting
        self._waiting_of[client] += 1
        waiting.add_done_callback(partial(self._done, client, pair))
        return waiting

    def _done(self, client: str, pair: bytes, waiting: asyncio.Future[bool]) -> None:
        self._waiting_of[client] -= 1
        if not self._waiting_of[client]:
            del self._waiting_of[client]
        if self._waiting.get(pair) is not waiting:
            return
        del self._waiting[pair]
        if waiting.cancelled() or waiting.exception() is not None:
            return
        if not waiting.result():
            self._failed(client, pair)
            return
        while len(self._right) >= _MOST_REMEMBERED:
            del self._right[next(iter(self._right))]
        self._right.pop(pair, None)
        self._right[pair] = self._clock() + REMEMBERED

    async def _await(self, waiting: asyncio.Future[bool], name: str) -> str | None:
        # Others may wait for the same pair.
        return name if await asyncio.shield(waiting) else None

    async def _ask(
        self,
        hook: Hook,
        username: bytes,
        password: bytes,
        peer: tuple[Any, ...],
        pair: bytes,
    ) -> str | None:
        client = client_of(peer[0])
        name = username.decode("utf-8", "surrogateescape")
        try:
            async with self._turns.turn(client):
                if self._failures.shut_out(client):
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
        if isinstance(answer, str) and answer:
            return answer
        if answer is True:
            return name
        self._failed(client, pair)
        return None

    def _failed(self, client: str, pair: bytes) -> None:
        if self._failures.add(client, pair):
            self._tell(
                client,
                f"{self._failures.most} different logins were wrong; further ones are refused for "
                f"{self._failures.window:g} s, right or wrong",
            )

    def _tell(self, client: str, text: str) -> None:
        if self._notice is not None:
            self._notice(client, text)


def _place(error: Exception) -> str:
    """Say where in its program an error was raised."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"in {frame.filename}, line {frame.lineno}"


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
