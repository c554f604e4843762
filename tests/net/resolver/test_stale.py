"""What serves while no name server answers, and what replaces it."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from fastsocks.errors import ResolveError
from fastsocks.net import Resolver
from fastsocks.net.resolver import name_servers, resolver
from harness.name_server import SILENT, Answer, NameServer
from net.clock import LoopAhead

DAY = 86400.0
ONE = (socket.AF_INET,)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a silent server little time."""
    monkeypatch.setattr(name_servers, "WAITS", (0.05, 0.05))
    monkeypatch.setattr(resolver, "STALE_WAIT", 1.0)


class Scene:
    """A resolver of one name, a.test, which is kept or not."""

    def __init__(self, *, kept: bool) -> None:
        self.server = NameServer({"a.test": Answer(("192.0.2.1",), ttl=60)})
        self.loop = LoopAhead()
        self.resolver = Resolver(
            self.loop,  # type: ignore[arg-type]
            (self.server.address,),
            families=ONE,
        )
        if kept:
            self.resolver.keep("A.test.")

    async def ask(self, ahead: float, answer: Answer | str) -> list[str]:
        self.loop.ahead = ahead
        self.server.answers["a.test"] = answer
        return [info[4][0] for info in await self.resolver.resolve("a.test", 1)]

    async def close(self) -> None:
        await self.resolver.close()
        self.server.close()


@pytest.fixture(params=[False, True], ids=["other", "kept"])
def kept(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_an_old_address_serves_for_a_day_or_for_ever(run: Any, kept: bool) -> None:
    async def scenario() -> None:
        scene = Scene(kept=kept)
        assert await scene.ask(0, "192.0.2.1") == ["192.0.2.1"]
        for silent in (SILENT, Answer(rcode="SERVFAIL"), Answer(rcode="REFUSED")):
            scene.loop.ahead += 3600
            assert await scene.ask(scene.loop.ahead, silent) == ["192.0.2.1"]
        # For a while nobody is asked again.
        count = len(scene.server.names)
        assert await scene.ask(scene.loop.ahead + 20, SILENT) == ["192.0.2.1"]
        assert scene.resolver.cached("a.test") is not None
        assert len(scene.server.names) == count
        if kept:
            assert await scene.ask(100 * DAY, SILENT) == ["192.0.2.1"]
        else:
            with pytest.raises(ResolveError, match="no name server"):
                await scene.ask(DAY + 3601, SILENT)
        await scene.close()

    run(scenario())


def test_a_new_answer_replaces_it(run: Any, kept: bool) -> None:
    async def scenario() -> None:
        scene = Scene(kept=kept)
        assert await scene.ask(0, "192.0.2.1") == ["192.0.2.1"]
        assert await scene.ask(3600, SILENT) == ["192.0.2.1"]
        assert await scene.ask(3640, "192.0.2.2") == ["192.0.2.2"]
        assert await scene.ask(7300, SILENT) == ["192.0.2.2"]
        await scene.close()

    run(scenario())


def test_so_does_that_there_is_none_any_more(run: Any, kept: bool) -> None:
    async def scenario() -> None:
        scene = Scene(kept=kept)
        assert await scene.ask(0, "192.0.2.1") == ["192.0.2.1"]
        for answer in (Answer(rcode="NXDOMAIN"), SILENT):
            scene.loop.ahead += 3600
            with pytest.raises(ResolveError):
                await scene.ask(scene.loop.ahead, answer)
        await scene.close()

    run(scenario())


def test_a_slow_answer_is_not_waited_for(run: Any, kept: bool, monkeypatch: Any) -> None:
    monkeypatch.setattr(name_servers, "WAITS", (10.0,))
    monkeypatch.setattr(resolver, "STALE_WAIT", 0.05)

    async def scenario() -> None:
        scene = Scene(kept=kept)
        assert await scene.ask(0, "192.0.2.1") == ["192.0.2.1"]
        scene.server.hold()
        assert await scene.ask(3600, "192.0.2.2") == ["192.0.2.1"]
        scene.server.release()
        while scene.resolver.cached("a.test") is None:
            await asyncio.sleep(0)
        assert await scene.ask(3600, SILENT) == ["192.0.2.2"]
        await scene.close()

    run(scenario())


def test_what_was_dropped_is_looked_up_again(run: Any, kept: bool) -> None:
    async def scenario() -> None:
        scene = Scene(kept=kept)
        assert await scene.ask(0, "192.0.2.1") == ["192.0.2.1"]
        scene.resolver.drop("a.test")
        assert scene.resolver.cached("a.test") is None
        assert await scene.ask(0, "192.0.2.2") == ["192.0.2.2"]
        scene.resolver.drop("a.test")
        # What is kept is better than nothing.
        if kept:
            assert await scene.ask(0, SILENT) == ["192.0.2.2"]
        else:
            with pytest.raises(ResolveError, match="no name server"):
                await scene.ask(0, SILENT)
        await scene.close()

    run(scenario())


def test_a_failure_is_remembered_briefly(run: Any, kept: bool) -> None:
    async def scenario() -> None:
        scene = Scene(kept=kept)
        for ahead, count in ((0.0, 1), (0.5, 1), (1.5, 2)):
            with pytest.raises(ResolveError, match="failed"):
                await scene.ask(ahead, Answer(rcode="SERVFAIL"))
            assert len(scene.server.names) == count
        await scene.close()

    run(scenario())
