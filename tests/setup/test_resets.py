"""Watching for resets where the system has no epoll: by looking, in pure Python only."""

from __future__ import annotations

import asyncio
import errno
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from fastsocks.setup import _resets_py
from relay_ends import End


def pair() -> tuple[socket.socket, socket.socket]:
    """Return two ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    return one, other


def test_a_reset_is_seen_without_epoll(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(_resets_py, "sys", SimpleNamespace(platform="freebsd"))
        monkeypatch.setattr(_resets_py, "LOOK_INTERVAL", 0.001)
        resets = _resets_py.Resets(asyncio.get_running_loop())
        ends = [pair(), pair(), pair()]
        lost: list[asyncio.Future[Any]] = [asyncio.Future() for _ in ends]
        for (ours, theirs), future in zip(ends, lost, strict=True):
            await End(theirs).send(b"unread")
            resets.watch(ours, future.set_result)
        resets.unwatch(ends[0][0])
        for _, theirs in ends[:2]:
            End(theirs).reset()
        assert (await lost[1]).errno == errno.ECONNRESET
        ends[2][1].shutdown(socket.SHUT_WR)
        for _ in range(3):
            await asyncio.sleep(0.002)
        assert not lost[0].done()
        assert not lost[2].done()
        resets.close()
        resets.close()
        for ours, theirs in ends:
            ours.close()
            theirs.close()

    run(scenario())
