"""Interoperability tests: marked as such, with the logs of all processes at a failure."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.reporting import pytest_runtest_makereport, pytest_runtest_setup

__all__ = ["pytest_runtest_makereport", "pytest_runtest_setup"]

# The harness reads /proc and takes any address of 127.0.0.0/8, which only Linux offers.
collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    folder = Path(__file__).parent
    for item in items:
        if folder in item.path.parents:
            item.add_marker(pytest.mark.interop)
