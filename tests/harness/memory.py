"""What this process holds of memory, to the block: a leak of one block a round shows."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import pytest

ROUNDS = 400

_FIELDS = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
    *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
)


class _MallocInfo(ctypes.Structure):
    """``struct mallinfo2`` of glibc 2.33."""

    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS]


class Held(NamedTuple):
    """What is in use."""

    #: Blocks of the interpreter's own allocator, 512 bytes at most each.
    blocks: int
    #: Bytes of libc's: all that is larger, and what libcrypto has.
    size: int


def held() -> Held:
    """Measure; skips the test where libc does not tell."""
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError):
        pytest.skip("needs mallinfo2 of glibc 2.33")
    mallinfo2.restype = _MallocInfo
    gc.collect()
    info = mallinfo2()
    in_use = info.uordblks + info.hblkhd
    if not in_use or os.environ.get("PYTHONMALLOC") == "malloc":
        pytest.skip("another allocator keeps what is freed: AddressSanitizer's")
    return Held(sys.getallocatedblocks(), in_use)


def check_rounds(once: Callable[[], object]) -> None:
    """Check that nothing stays of what is done :data:`ROUNDS` times: not one block a round."""
    # Caches and free lists fill up first.
    for _ in range(ROUNDS // 2):
        once()
    before = held()
    for _ in range(ROUNDS):
        once()
    after = held()
    assert after.blocks - before.blocks < ROUNDS // 2, (before, after)
    assert after.size - before.size < ROUNDS * 32, (before, after)


async def check_connections(once: Callable[[], Awaitable[object]], rounds: int) -> None:
    """Check the same of connections on an event loop, as far as its own tables let it be seen."""
    for _ in range(rounds // 2):
        await once()
    before = held()
    for _ in range(rounds):
        await once()
    after = held()
    assert after.blocks - before.blocks < rounds * 4, (before, after)
    assert after.size - before.size < rounds * 256, (before, after)
