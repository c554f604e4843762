"""The fixtures of either event loop and of either twin."""

from __future__ import annotations

import sys

import pytest

from harness.loops import run
from relay_ends import Twin, import_relay

__all__ = ["run"]


@pytest.fixture(params=["cython", "bare", "python"])
def twin(request: pytest.FixtureRequest) -> Twin:
    """The relay and the codecs of each implementation in turn; of Cython's both stages."""
    if request.param != "bare":
        return import_relay(request.param)
    if sys.platform != "linux":
        pytest.skip("relays begin without transports on Linux only")
    return import_relay("cython", bare=True)
