"""How many things are under way at a time."""

from __future__ import annotations

import asyncio

from fastsocks.accounts.slots import Slots


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Crowd:
    """Tasks that take their slots, and end when they are told."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self.running: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Event] = {}

    def add(self, client: str, name: str) -> None:
        self._ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._run(client, name))

    async def _run(self, client: str, name: str) -> None:
        async with self._slots.slot(client):
            self.running.append(name)
            try:
                await self._ends[name].wait()
            finally:
                self.running.remove(name)

    async def end(self, *names: str) -> None:
        for name in names:
            self._ends[name].set()
        await settle()


def test_they_take_slots() -> None:
    async def scenario() -> None:
        slots = Slots(3, 2)
        crowd = Crowd(slots)
        for client in ("a", "b"):
            for number in range(3):
                crowd.add(client, f"{client}{number}")
        await settle()
        assert crowd.running == ["a0", "a1", "b0"]
        await crowd.end("a0")
        assert len(crowd.running) == 3
        # One that gives up while it waits takes nobody's turn.
        crowd.tasks["b2"].cancel()
        await settle()
        await crowd.end("a1", "b0", "a2", "b1")
        assert crowd.running == []
        assert len(slots) == 0

    asyncio.run(scenario())


def test_one_that_fails_gives_its_turn_back() -> None:
    async def scenario() -> None:
        slots = Slots(1, 1)
        crowd = Crowd(slots)
        for name in ("a0", "a1", "a2"):
            crowd.add("a", name)
        await settle()
        crowd.tasks["a0"].cancel()
        await settle()
        assert crowd.running == ["a1"]
        await crowd.end("a1")
        assert crowd.running == ["a2"]
        await crowd.end("a2")
        assert len(slots) == 0

    asyncio.run(scenario())
