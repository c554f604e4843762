"""How many things of one kind are under way at a time, in all and for each client."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Slots:
    """Lets so many at a time; further ones wait, first come, first served.

    :param most: in all.
    :param most_per_client: of one client, so that none keeps all others waiting.
    """

    def __init__(self, most: int, most_per_client: int) -> None:
        self._all = asyncio.Semaphore(most)
        self._most_per_client = most_per_client
        # Of each client that has any, and how many it has, those that wait included.
        self._clients: dict[str, tuple[asyncio.Semaphore, int]] = {}

    def __len__(self) -> int:
        return len(self._clients)

    @asynccontextmanager
    async def slot(self, client: str) -> AsyncIterator[None]:
        """Wait for a slot of a client, and have it until the end of the block."""
        own, count = self._clients.get(client) or (asyncio.Semaphore(self._most_per_client), 0)
        self._clients[client] = own, count + 1
        try:
            async with own, self._all:
                yield
        finally:
            count = self._clients[client][1] - 1
            if count:
                self._clients[client] = own, count
            else:
                del self._clients[client]
