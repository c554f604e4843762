"""The fixtures of either event loop and of either twin."""

from __future__ import annotations

import pytest

from harness.loops import run
from relay_ends import Twin, import_relay

__all__ = ["run"]


@pytest.fixture
def twin(implementation: str) -> Twin:
    """The relay and the codecs of each implementation in turn."""
    return import_relay(implementation)
