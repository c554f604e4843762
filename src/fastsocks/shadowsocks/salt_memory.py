"""How the memory of a salt filter is laid out; both twins write alike.

    header   64 bytes: the latest time at which one was added, 8 bytes; free
    buckets  of 64 slots of 8 bytes, in the machine's byte order; a power of two of them

A slot is 0 where it is free, and otherwise

    bits 16..63   the low 48 bits of the fingerprint, 1 where these are 0
    bits 1..15    when it was written, in seconds of Unix time; 0 in filters without a time
    bit 0         the lap: 1 the first time round the bucket, then 0, 1, ...

The high bits of the fingerprint choose the bucket. The slots of a bucket are written in turn, round
and round, so that the next one, which is the oldest, is the first whose lap differs from that of
slot 0; if none does, it is slot 0. Hence one word changes for each salt, and it changes by one
compare-and-swap: a process can die at any time, or be stopped, and leaves neither a lock nor a
half-written salt.

Times are those by which timestamps are judged, whatever becomes of that clock: nothing is added at
one that lies before the latest by more than the slack, and nothing is written over unless a slot of
its bucket is older than the retention by more than twice the slack, and hence it by more than once.
So the timestamp of what was written over is too old wherever something can still be added.
"""

from __future__ import annotations

import mmap

from ..errors import ReplayError

#: Version of all this.
LAYOUT = 1
#: Of the header, in bytes.
HEADER_SIZE = 64
#: Slots in a bucket.
SLOTS = 64
#: Of a bucket, in bytes.
BUCKET_SIZE = 8 * SLOTS
#: Times are kept modulo this many seconds.
TIME_WRAPS = 1 << 15
#: Seconds by which the clock may be set back, or another process may have read it later and
#: written first.
TIME_SLACK = 5

_MOST_SALTS = 1 << 32


def bucket_bits(capacity: int) -> int:
    """Return the logarithm to base 2 of how many buckets hold `capacity` salts or more.

    :raises ValueError: it is below 1 or above 2**32.
    """
    if not 1 <= capacity <= _MOST_SALTS:
        raise ValueError(f"a filter holds 1 to {_MOST_SALTS} salts, not {capacity}")
    return (-(-capacity // SLOTS) - 1).bit_length()


def memory_size(capacity: int) -> int:
    """Return the bytes that a filter of `capacity` salts takes."""
    return HEADER_SIZE + (BUCKET_SIZE << bucket_bits(capacity))


def take_memory(size: int, memory: mmap.mmap | None) -> mmap.mmap:
    """Return `size` bytes: `memory`, or new ones that processes made by fork share.

    The kernel gives each page when it is first written to.

    :raises ValueError: `memory` has another size.
    """
    if memory is None:
        return mmap.mmap(-1, size)
    if len(memory) != size:
        raise ValueError(f"{len(memory)} bytes of memory where {size} belong")
    return memory


def clock_set_back(seconds: int) -> ReplayError:
    """Return the error about a time that lies before the latest one by that much."""
    return ReplayError(
        f"the clock was set back by {seconds} s: until it is where it was, replays cannot be told; "
        "if it was wrong before, restart"
    )
