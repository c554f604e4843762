"""How the memory of a meter is laid out, and the settings in it; both twins work on it alike.

A cell is words of 8 bytes in the machine's byte order:

    0        its generation: even while a user has it, odd once that one was removed
    1        relays begun
    2, 3     payload from the user and to them, in bytes
    4        flags: HAS_QUOTA; UP_IS_FREE, so that what comes from the user does not count
    5        what is left of the quota, in bytes, signed: the last read may take it below 0
    6, 7     speed from the user and to them, in bytes a second; 0 is no limit
    8        what may be caught up with, in nanoseconds
    9, 10    when streams from the user and to them will have had their bytes at that speed, in
             nanoseconds of the monotonic clock
    11, 12   likewise datagrams alone
    13       bytes of the name, and 1; 0 stands for None
    14..45   the name
    46 on    of each process how many relays it has now

All processes add to the same words, atomically, but for the last: each of these has one writer, so
that what a dead process had can be wiped. So a use is one read, whoever asks.

A speed limit is a bucket of tokens, kept as a time: until then it owes something, and what has gone
by since is in it, up to the burst. A stream takes its turn by moving the time on by what its bytes
take, and is delivered when that time has come; so the relays of a user wait in one row, whatever
process they are in. Datagrams do not wait. They have a time of their own, lest streams that wait in
a long row keep them out, and move that of the streams on, too.
"""

from __future__ import annotations

from typing import Final

GENERATION: Final = 0
RELAYS: Final = 1
BYTES: Final = 2
FLAGS: Final = 4
LEFT: Final = 5
SPEED: Final = 6
BURST: Final = 8
STREAMS: Final = 9
DATAGRAMS: Final = 11
NAME_LENGTH: Final = 13
NAME: Final = 14
ACTIVE: Final = 46

#: Bytes that a name may have.
NAME_SIZE: Final = 8 * (ACTIVE - NAME)

HAS_QUOTA: Final = 1
UP_IS_FREE: Final = 2

#: Of what a speed limit lets pass in a second, this part is read at a time; and so many bytes at
#: least.
PIECES_PER_SECOND: Final = 50
LEAST_PIECE: Final = 1024

#: What a :class:`fastsocks.errors.QuotaError` says.
QUOTA_USED_UP: Final = "nothing is left of the user's quota"

#: In nanoseconds.
SECOND: Final = 1_000_000_000

#: Bytes, and bytes a second: what a signed word holds.
_MOST: Final = (1 << 63) - 1


def set_quota(words: memoryview, place: int, size: int | None, *, up_is_free: bool) -> None:
    """Set what is left of a quota; see :meth:`._meter_py.Meter.set_quota`."""
    flags = 0
    if size is not None:
        flags = HAS_QUOTA | (UP_IS_FREE if up_is_free else 0)
        words[place + LEFT] = _checked("quota", size)
    words[place + FLAGS] = flags


def set_limit(
    words: memoryview, place: int, up: int | None, down: int | None, burst: float
) -> None:
    """Set the speed limits; see :meth:`._meter_py.Meter.limit`."""
    speeds = [0 if speed is None else _checked("speed", speed, 1) for speed in (up, down)]
    if not 0 <= burst <= 1:
        raise ValueError(f"a burst of {burst:g} s, not of 0 to 1")
    words[place + BURST] = int(burst * SECOND)
    # What is owed at another speed, nobody owes.
    for word in (STREAMS, STREAMS + 1, DATAGRAMS, DATAGRAMS + 1):
        words[place + word] = 0
    words[place + SPEED], words[place + SPEED + 1] = speeds


def _checked(what: str, value: int, least: int = 0) -> int:
    if not least <= value <= _MOST:
        raise ValueError(f"a {what} of {value} bytes, not of {least} to {_MOST}")
    return value
