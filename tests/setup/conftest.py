"""The fixtures of either event loop and of either twin of connection set-up."""

import pytest

from harness.loops import run
from setup_ends import SetupTwin, import_setup

__all__ = ["run"]


@pytest.fixture
def twin(implementation: str) -> SetupTwin:
    """Set-up, relay and codecs of each implementation in turn."""
    return import_setup(implementation)
