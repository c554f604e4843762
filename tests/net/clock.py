"""A loop whose clock a test puts forward."""

from __future__ import annotations

import asyncio
from typing import Any


class LoopAhead:
    """The running loop, whose clock is ahead; its timers are not."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        #: Seconds.
        self.ahead = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def time(self) -> float:
        return self._loop.time() + self.ahead
