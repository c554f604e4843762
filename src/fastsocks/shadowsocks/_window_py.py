"""The sliding window over packet IDs in pure Python; the twin of ``_window.pyx``."""

from __future__ import annotations

from typing import NoReturn

_LARGEST_WINDOW = 1 << 20


class SlidingWindow:
    """Which packet IDs of one sender were seen, as far back as the window reaches (SIP022).

    Any first ID is allowed. What is more than the window behind the highest ID counts as seen.

    :param size: how many IDs back, the highest one included, are still told apart; 1 to 1048576.
    :raises ValueError: a size out of bounds.
    """

    __slots__ = ("_full", "_highest", "_least", "_seen", "_size")

    def __init__(self, size: int) -> None:
        if not 1 <= size <= _LARGEST_WINDOW:
            raise ValueError(f"a window of {size} packet IDs: it has 1 to {_LARGEST_WINDOW}")
        self._size = size
        self._full = (1 << size) - 1
        self._highest = 0
        # What is below counts as seen.
        self._least = 0
        # Bit i: the ID that is i below the highest one.
        self._seen = 0

    # Of two copies each would let pass what the other one saw.
    def __reduce__(self) -> NoReturn:
        raise TypeError("a window can be neither copied nor pickled")

    def allows(self, packet_id: int) -> bool:
        """Return whether `packet_id`, 0 to 2**64 - 1, is new and not too old.

        Remembers nothing: the packet may yet turn out a forgery.
        """
        back = self._highest - packet_id
        return packet_id >= self._least and (
            back < 0 or (back < self._size and not self._seen >> back & 1)
        )

    def forget_below(self, packet_id: int) -> None:
        """Count all below `packet_id` as seen."""
        self._least = max(self._least, packet_id)

    def add(self, packet_id: int) -> bool:
        """Remember `packet_id`.

        :return: False, with nothing changed, where :meth:`allows` says no.
        """
        if not self.allows(packet_id):
            return False
        ahead = packet_id - self._highest
        if ahead > 0:
            self._seen = self._seen << ahead & self._full if ahead < self._size else 0
            self._highest = packet_id
            ahead = 0
        self._seen |= 1 << -ahead
        return True
