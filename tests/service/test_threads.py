"""Threads, each with an event loop and services of its own, with and without a GIL."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import twins
from harness.services import Implementation, environment, require_implementation

RACER = Path(__file__).parents[1] / "thread_racer.py"

free_threaded = pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this interpreter has a GIL"
)


def race(implementation: Implementation, seconds: str, **variables: str) -> str:
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [sys.executable, str(RACER), seconds],
        env=environment(implementation, **variables),
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("implementation", twins.IMPLEMENTATIONS)
def test_threads_with_loops_of_their_own(implementation: Implementation) -> None:
    require_implementation(implementation)
    assert race(implementation, "2").endswith("threads\n")


@free_threaded
@pytest.mark.parametrize("implementation", twins.IMPLEMENTATIONS)
def test_threads_without_a_gil(implementation: Implementation) -> None:
    require_implementation(implementation)
    assert race(implementation, "5", PYTHON_GIL="0").startswith("GIL off")


@free_threaded
def test_extension_modules_leave_the_gil_off() -> None:
    names = twins.extension_modules()
    program = f"import sys, importlib\nfor name in {names}: importlib.import_module(name)\n"
    found = environment("cython")
    found.pop("PYTHON_GIL", None)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{program}print(sys._is_gil_enabled())"],
        env=found,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "False\n", done.stderr
