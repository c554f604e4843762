"""The lock among processes."""

from __future__ import annotations

import errno
import sys
import threading

import pytest

from fastsocks.shadowsocks.process_lock import ProcessLock
from harness.deadline import DEADLINE

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no fork, and no such lock")


def test_a_lock_that_the_kernel_refuses_is_held_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    lock = ProcessLock()
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "lockf", refuse)
        with pytest.raises(OSError, match="no locks"), lock:
            pytest.fail("it was taken")
    taken = threading.Event()

    def take() -> None:
        with lock:
            taken.set()

    # A daemon, which would not hold up the end of the process.
    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    assert taken.wait(DEADLINE)
    thread.join()
    # It lives as long as its process elsewhere.
    lock._file.close()
