"""A loop whose name look-ups and clock a test decides."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

AddrInfo = tuple[int, int, int, str, tuple[Any, ...]]


def tcp(host: str, port: int = 0) -> AddrInfo:
    """Return what getaddrinfo gives for one address."""
    if ":" in host:
        return (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))


class ScriptedLoop:
    """The running loop, with another getaddrinfo and a clock that can be put forward.

    :param answers: addresses, or the error to raise, by name.
    """

    def __init__(self, answers: dict[bytes, list[AddrInfo] | OSError]) -> None:
        self._loop = asyncio.get_running_loop()
        self.answers = answers
        self.asked: list[bytes] = []
        #: Set with the first question.
        self.asking = asyncio.Event()
        self.ahead = 0.0
        #: Clear it to hold the answers back.
        self.answering = asyncio.Event()
        self.answering.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def time(self) -> float:
        return self._loop.time() + self.ahead

    async def getaddrinfo(self, host: bytes, port: int, **_: Any) -> list[AddrInfo]:
        assert port == 0
        self.asked.append(host)
        self.asking.set()
        await self.answering.wait()
        answer = self.answers[host]
        if isinstance(answer, OSError):
            raise answer
        return answer
