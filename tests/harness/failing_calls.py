"""System calls that fail at random in a process of ours, by a library that it preloads."""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

import fastsocks

#: What may fail, in the order of failing_calls.c.
CALLS = ("epoll_ctl", "epoll_create1", "socket", "accept4", "getrandom", "mmap", "pipe2")

_SOURCE = Path(__file__).with_name("failing_calls.c")
_NUMBER = struct.Struct("=I")
# Before the counts: the odds, the seed, and how many calls there were.
_COUNTS = 3 * _NUMBER.size


def build_library(folder: Path) -> Path:
    """Compile the library; skip the test where there is no C compiler.

    :param folder: where to.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler (cc) for the library that has calls fail")
    library = folder / "failing_calls.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, _SOURCE, "-ldl"],
        check=True,
    )
    return library


class FailingCalls:
    """Has calls of one process fail, from :meth:`begin` to :meth:`end`.

    :param library: what :func:`build_library` made.
    :param control: a file of this object's.
    :param seed: what chance begins with.
    """

    def __init__(self, library: Path, control: Path, seed: int) -> None:
        control.write_bytes(_NUMBER.pack(0) + _NUMBER.pack(seed) + bytes(4 * (1 + len(CALLS))))
        with control.open("r+b") as file:
            self._control = mmap.mmap(file.fileno(), 0)
        # AddressSanitizer wants to be the first.
        before = os.environ.get("LD_PRELOAD")
        #: For the environment of the process.
        self.variables = {
            "FAILING_CALLS": str(control),
            "FAILING_CALLS_PACKAGE": f"{Path(fastsocks.__file__).parent}/",
            "LD_PRELOAD": f"{before}:{library}" if before else str(library),
        }

    def begin(self, odds: int) -> None:
        """From now on one call in `odds` fails."""
        _NUMBER.pack_into(self._control, 0, odds)

    def end(self) -> None:
        """No call fails any more."""
        _NUMBER.pack_into(self._control, 0, 0)

    @property
    def failed(self) -> dict[str, int]:
        """How often each call has failed."""
        return {
            call: _NUMBER.unpack_from(self._control, _COUNTS + number * _NUMBER.size)[0]
            for number, call in enumerate(CALLS)
        }
