"""Who waits, who gives up, and whose turn it is."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from fastsocks.accounts.fair_queue import FairQueue, Job
from fastsocks.errors import BusyError


class Places:
    """Work that ends when the test says so."""

    def __init__(self, queue: FairQueue) -> None:
        self._queue = queue
        self.running: dict[str, asyncio.Future[bool]] = {}

    def add(self, client: str, name: str) -> Job:
        return self._queue.submit(client, partial(self._begin, name))

    def _begin(self, name: str) -> asyncio.Future[bool]:
        self.running[name] = asyncio.get_running_loop().create_future()
        return self.running[name]

    async def end_all(self) -> list[str]:
        """End one after the other; returns them in the order in which they began."""
        order = []
        while self.running:
            name, running = next(iter(self.running.items()))
            order.append(name)
            del self.running[name]
            running.set_result(True)
            for _ in range(3):
                await asyncio.sleep(0)
        return order


def test_clients_take_turns() -> None:
    async def scenario() -> None:
        queue = FairQueue(1, 100, 60)
        places = Places(queue)
        jobs = [places.add("a", f"a{number}") for number in range(4)]
        jobs += [places.add("b", "b0"), places.add("c", "c0"), places.add("b", "b1")]
        assert len(queue) == 6
        assert await places.end_all() == ["a0", "a1", "b0", "c0", "a2", "b1", "a3"]
        assert [await job.result for job in jobs] == [True] * 7
        assert len(queue) == 0

    asyncio.run(scenario())


def test_a_client_alone_has_all_the_room_and_among_others_a_quarter() -> None:
    async def scenario() -> None:
        queue = FairQueue(1, 16, 60)
        places = Places(queue)
        places.add("a", "running")
        jobs = [places.add("a", f"a{number}") for number in range(16)]
        with pytest.raises(BusyError, match="too many logins wait"):
            places.add("a", "a16")
        # Others have room at the cost of who has most of it, latest first.
        others = [places.add("b", f"b{number}") for number in range(4)]
        assert [job.result.done() for job in jobs] == [False] * 12 + [True] * 4
        for client in ("a", "b"):
            with pytest.raises(BusyError, match="of this client"):
                places.add(client, "one more")
        with pytest.raises(BusyError, match="too many logins wait"):
            await jobs[-1].result
        others += [places.add("c", f"c{number}") for number in range(4)]
        others += [places.add("d", f"d{number}") for number in range(4)]
        assert len(queue) == 16
        assert [job.result.done() for job in jobs] == [False] * 4 + [True] * 12
        others.append(places.add("e", "e0"))
        assert len(queue) == 16
        assert (await places.end_all())[:6] == ["running", "a0", "b0", "c0", "d0", "e0"]

    asyncio.run(scenario())


def test_newcomers_that_are_many_do_not_push_each_other_out() -> None:
    async def scenario() -> None:
        queue = FairQueue(1, 8, 60)
        places = Places(queue)
        places.add("a", "running")
        jobs = [places.add(f"client {number}", str(number)) for number in range(8)]
        with pytest.raises(BusyError, match="too many logins wait"):
            places.add("another", "another")
        assert not any(job.result.done() for job in jobs)

    asyncio.run(scenario())


def test_what_waits_too_long_gives_up() -> None:
    async def scenario() -> None:
        queue = FairQueue(1, 8, 0.01)
        places = Places(queue)
        first = places.add("a", "running")
        with pytest.raises(BusyError, match="too long"):
            await places.add("a", "late").result
        assert len(queue) == 0
        assert not first.result.done()
        assert await places.end_all() == ["running"]

    asyncio.run(scenario())


def test_what_is_withdrawn_never_begins() -> None:
    async def scenario() -> None:
        queue = FairQueue(1, 8, 60)
        places = Places(queue)
        first, second = places.add("a", "running"), places.add("a", "withdrawn")
        for job in (first, second, second):
            queue.withdraw(job)
        assert second.result.cancelled()
        assert await places.end_all() == ["running"]
        assert await first.result

    asyncio.run(scenario())


def test_errors_are_those_of_the_work() -> None:
    async def scenario() -> None:
        queue = FairQueue(1, 8, 60)
        places = Places(queue)

        def refuse() -> asyncio.Future[bool]:
            raise RuntimeError("no more threads")

        with pytest.raises(RuntimeError, match="threads"):
            queue.submit("a", refuse)
        first, failing = places.add("a", "running"), queue.submit("a", refuse)
        last = places.add("a", "last")
        places.running.pop("running").set_exception(OSError("gone"))
        with pytest.raises(OSError, match="gone"):
            await first.result
        with pytest.raises(RuntimeError, match="threads"):
            await failing.result
        places.running.pop("last").cancel()
        with pytest.raises(asyncio.CancelledError):
            await last.result

    asyncio.run(scenario())
