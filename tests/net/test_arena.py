"""The arena of datagrams lends what it says, and AddressSanitizer sees who takes more."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("arena_misuse.c")
HEADERS = Path(__file__).parents[2] / "src"
SANITIZERS = ("-fsanitize=address,undefined", "-fsanitize-undefined-trap-on-error")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the arena is Linux's")

WRONG = (
    *("in front", "behind", "queued", "queued, by libcrypto"),
    *("returned", "not kept", "kept too much", "earlier message"),
)
RIGHT = ("well", "message", "too much")


def compiled(folder: Path, *flags: str) -> Path:
    """Compile the program; the test is skipped where there is no compiler, or no such flag."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler (cc)")
    program = folder / "arena_misuse"
    command = [compiler, "-g", "-Wall", "-Werror", "-D_GNU_SOURCE", f"-I{HEADERS}", *flags]
    result = subprocess.run(
        [*command, "-o", str(program), str(SOURCE)], capture_output=True, text=True, check=False
    )
    if flags and result.returncode and re.search(r"l(ib)?asan|fsanitize", result.stderr):
        pytest.skip(f"the compiler has no AddressSanitizer: {result.stderr.splitlines()[-1]}")
    assert result.returncode == 0, result.stderr
    return program


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("guarded"), *SANITIZERS)


def run(program: Path, what: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["setarch", "--addr-no-randomize", str(program), what],
        capture_output=True,
        text=True,
        check=False,
        env={"ASAN_OPTIONS": "handle_sigill=2:detect_leaks=0"},
    )


@pytest.mark.parametrize("what", RIGHT)
def test_what_is_right_passes(program: Path, guarded: Path, what: str) -> None:
    for one in (program, guarded):
        result = run(one, what)
        assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_seen(guarded: Path, what: str) -> None:
    result = run(guarded, what)
    assert result.returncode not in {0, 2, 3}
    assert "ERROR: AddressSanitizer" in result.stderr
