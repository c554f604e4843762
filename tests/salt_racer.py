"""A process that adds salts to memory which others use at the same time; see test_salts."""

from __future__ import annotations

import fcntl
import importlib
import itertools
import mmap
import os
import random
import sys
from pathlib import Path
from typing import IO, Any

#: One bucket, so that all get into each other's way.
CAPACITY = 64
#: Filters that "same" goes through, and salts in each.
RACES = 60
SALTS_IN_A_RACE = 60
#: Salts of each process in "different".
DIFFERENT_SALTS = 3000


class FileLock:
    """A lock of the process, which the kernel gives back when it dies."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __enter__(self) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN)


def main(path: str, implementation: str, race: str, number: int) -> None:
    """Say "." when ready, wait for a byte, race, and write for each salt whether it was new."""
    twin = "_salts" if implementation == "cython" else "_salts_py"
    kind: Any = importlib.import_module(f"fastsocks.shadowsocks.{twin}").SaltFilter
    size = importlib.import_module("fastsocks.shadowsocks.salt_memory").memory_size(CAPACITY)
    retention = 62 if race == "same-timed" else None
    filters = []
    with Path(path).open("r+b") as file:
        lock = FileLock(file)
        for start in range(0, os.fstat(file.fileno()).st_size, mmap.ALLOCATIONGRANULARITY):
            memory = mmap.mmap(file.fileno(), size, offset=start)
            filters.append(kind(CAPACITY, retention, memory=memory, lock=lock))
        os.write(1, b".")
        os.read(0, 1)
        same = race.startswith("same")
        source = random.Random(race if same else number)
        if race == "endless":
            for added in itertools.count():
                filters[0].add(source.getrandbits(64))
                if added == DIFFERENT_SALTS:
                    os.write(1, b".")
        salts = SALTS_IN_A_RACE if same else DIFFERENT_SALTS
        os.write(1, bytes(one.add(source.getrandbits(64)) for one in filters for _ in range(salts)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
