"""The logins of a running service: its accounts, the file of them, and threads for hashes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from fastsocks.errors import ConfigError
from fastsocks.policy import encode_accounts

from .authenticator import Authenticator
from .file import open_to_others, read_accounts_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastsocks.config import LocalOptions, ProxyOptions
    from fastsocks.request import Peer

    from .authenticator import Verdict

#: Seconds between two looks at the file of accounts, at least.
_LOOK_INTERVAL = 1.0

#: Hashes made at a time, at most; each takes its memory and, while it lasts, a processor.
_MOST_THREADS = 4

#: Part of the time for a handshake that a login waits for its turn: the rest is for its answer.
_PATIENCE = 5 / 6

#: What these threads have less of than the loop's where processors are short (nice).
_NICENESS = 5

_log = logging.getLogger("fastsocks")


class Logins:
    """Checks who logs in.

    A file of accounts that has changed is read again at the next login.

    :param options: of a service that has accounts.
    :param notice: see :class:`fastsocks.accounts.authenticator.Authenticator`.
    :param clock: seconds of a clock that never goes back.
    :raises ConfigError: the file of accounts cannot be read, or is malformed.
    """

    def __init__(
        self,
        options: LocalOptions | ProxyOptions,
        notice: Callable[[str, str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._authenticator = Authenticator(
            encode_accounts(options.accounts),
            hook=options.authenticate,
            run=self._run,
            places=_threads(),
            patience=options.timeout * _PATIENCE,
            notice=notice,
            clock=clock,
        )
        self._clock = clock
        self._threads: ThreadPoolExecutor | None = None
        self._file = options.accounts_file
        self._state: tuple[int, ...] | None = None
        #: The users that are known at the start.
        self.names = tuple(options.accounts)
        if self._file:
            self._state = self._look()
            hashes = read_accounts_file(self._file)
            self._authenticator.use_hashes(hashes)
            found = (name.decode("utf-8", "surrogateescape") for name in hashes)
            self.names = tuple(dict.fromkeys((*self.names, *found)))
            if open_to_others(self._file):
                _log.warning(
                    "%s: other users of this machine can read it: chmod 600 %s",
                    self._file,
                    self._file,
                )
        self._next_look = clock() + _LOOK_INTERVAL

    def check(self, peer: Peer, username: bytes, password: bytes) -> Verdict:
        """Tell who that is; see :meth:`fastsocks.accounts.authenticator.Authenticator.check`."""
        if self._file and self._clock() >= self._next_look:
            self._next_look = self._clock() + _LOOK_INTERVAL
            self._follow()
        return self._authenticator.check(username, password, peer)

    def close(self) -> None:
        """Begin no more hashes."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    def _follow(self) -> None:
        """Read the file again if it has changed."""
        state = self._look()
        if state == self._state:
            return
        self._state = state
        try:
            hashes = read_accounts_file(self._file)
        except ConfigError as error:
            _log.error("%s; the accounts from before stay", error)
            return
        self._authenticator.use_hashes(hashes)
        _log.info("%s: read again, %d accounts", self._file, len(hashes))

    def _look(self) -> tuple[int, ...] | None:
        try:
            found = Path(self._file).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size

    def _run(self, function: Callable[[], bool]) -> asyncio.Future[bool]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_threads(), "fastsocks-passwords", _step_back)
        return asyncio.get_running_loop().run_in_executor(self._threads, function)


def _threads() -> int:
    return min(os.cpu_count() or 1, _MOST_THREADS)


def _step_back() -> None:
    """Let the loop's thread go before this one."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
