"""How the memory of packet sessions is laid out; both twins write alike.

    header   64 bytes: the latest time at which a packet came, 8 bytes; free
    buckets  of 4 rows of 64 words of 8 bytes, in the machine's byte order; a power of two of them

A session is one column of a bucket, the same in each row, from 1 to 63:

    row 0   its fingerprint, 0 where the column is free; column 0: the process that is writing
            here, 0 while none is
    row 1   its highest packet ID
    row 2   who has its window: a random number
    row 3   when its last packet came, in seconds of Unix time

The high bits of the fingerprint choose the bucket. A column is given to another session once it is
older than the retention by more than the slack; as for times, see ``salt_memory.py``.
"""

from __future__ import annotations

from .salt_memory import HEADER_SIZE

#: Version of all this.
LAYOUT = 1
#: In a row.
COLUMNS = 64
#: Of a bucket, in bytes.
BUCKET_SIZE = 4 * 8 * COLUMNS
#: Seconds after its last packet for which a session is remembered.
RETENTION = 62

_MOST_SESSIONS = 1 << 32


def bucket_bits(capacity: int) -> int:
    """Return the logarithm to base 2 of how many buckets hold `capacity` sessions or more.

    :raises ValueError: it is below 1 or above 2**32.
    """
    if not 1 <= capacity <= _MOST_SESSIONS:
        raise ValueError(f"a memory holds 1 to {_MOST_SESSIONS} sessions, not {capacity}")
    return (-(-capacity // (COLUMNS - 1)) - 1).bit_length()


def memory_size(capacity: int) -> int:
    """Return the bytes that the memory of `capacity` sessions takes."""
    return HEADER_SIZE + (BUCKET_SIZE << bucket_bits(capacity))
