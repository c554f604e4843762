"""The logs of the processes that run, beside the report of a test that failed.

A conftest imports the hooks by name and thereby applies them to the tests below it.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from .process import Process

_MAX_LINES = 60


def pytest_runtest_setup() -> None:
    """Forget processes that ended in earlier tests, and what the others said until now."""
    Process.known[:] = [process for process in Process.known if process.alive]
    for process in Process.known:
        process.mark_start()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the end of each process's log to the report of a failure."""
    report = yield
    if report.failed:
        for process in Process.known:
            lines = process.lines_of_test[-_MAX_LINES:]
            if lines:
                report.sections.append((f"log of {process.name}", "\n".join(lines)))
    return report
