"""End-to-end tests run real processes of fastsocks, of both implementations."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import cast

import pytest

from end_to_end.entrances import (
    AUTHENTICATED_METHODS,
    KEYS,
    METHODS,
    PROXY,
    Entrance,
    find_entrance,
)
from harness.pool import ServicePool
from harness.reporting import pytest_runtest_makereport, pytest_runtest_setup
from harness.services import Implementation, require_implementation

__all__ = ["pytest_runtest_makereport", "pytest_runtest_setup"]

# The harness reads /proc and takes any address of 127.0.0.0/8, which only Linux offers.
collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]


@pytest.fixture(scope="session", params=["cython", "python"])
def implementation(request: pytest.FixtureRequest) -> Implementation:
    """Both implementations in turn."""
    chosen = cast("Implementation", request.param)
    require_implementation(chosen)
    return chosen


@pytest.fixture(scope="session")
def pool() -> Iterator[ServicePool]:
    """The processes that tests share.

    Each must end with 0 when it is asked to, and no log of all these tests may hold a key.
    """
    shared = ServicePool()
    yield shared
    assert shared.close() == {}
    for output in shared.outputs():
        assert not any(key in output for key in KEYS.values())


@pytest.fixture(autouse=True)
def _healthy(pool: ServicePool) -> Iterator[None]:
    """Fail a test that ended a shared process or made it log a traceback."""
    yield
    assert pool.problems() == []


@pytest.fixture(params=[PROXY, *METHODS])
def entrance(
    request: pytest.FixtureRequest, implementation: Implementation, pool: ServicePool
) -> Entrance:
    """The plain proxy, then local and server at each method."""
    return find_entrance(pool, implementation, request.param)


@pytest.fixture(params=METHODS)
def tunnel(
    request: pytest.FixtureRequest, implementation: Implementation, pool: ServicePool
) -> Entrance:
    """Local and server at each method."""
    return find_entrance(pool, implementation, request.param)


@pytest.fixture(params=AUTHENTICATED_METHODS)
def authenticated_tunnel(
    request: pytest.FixtureRequest, implementation: Implementation, pool: ServicePool
) -> Entrance:
    """Local and server at each method that notices tampering."""
    return find_entrance(pool, implementation, request.param)


@pytest.fixture
def proxy(implementation: Implementation, pool: ServicePool) -> Entrance:
    """The plain proxy."""
    return find_entrance(pool, implementation, PROXY)


@pytest.fixture
def tunnel_2022(implementation: Implementation, pool: ServicePool) -> Entrance:
    """Local and server at 2022-blake3-aes-128-gcm."""
    return find_entrance(pool, implementation, "2022-blake3-aes-128-gcm")
