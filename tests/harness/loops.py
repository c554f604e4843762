"""A fixture that runs a coroutine on either event loop."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

import pytest

from .deadline import DEADLINE

T = TypeVar("T")

Run = Callable[[Coroutine[Any, Any, T]], T]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run[Any]:
    """Run a coroutine to its end, within a deadline, on either event loop."""
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    if request.param == "uvloop":
        if importlib.util.find_spec("uvloop") is None:
            pytest.skip("uvloop is missing: pip install uvloop")
        factory = cast(
            "Callable[[], asyncio.AbstractEventLoop]",
            importlib.import_module("uvloop").new_event_loop,
        )

    def run_within_deadline(coroutine: Coroutine[Any, Any, T]) -> T:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(asyncio.wait_for(coroutine, DEADLINE))

    return run_within_deadline
