"""How long the stages of a connection took, for the access log."""

from __future__ import annotations

from time import monotonic


class Stages:
    """When one connection got how far, by the monotonic clock; made once its request is known.

    :param accepted: when it was accepted.
    """

    __slots__ = ("_accepted", "_asked", "_connected", "_resolved")

    def __init__(self, accepted: float) -> None:
        self._accepted = accepted
        self._asked = monotonic()
        self._resolved = self._connected = 0.0

    def resolved(self) -> None:
        """Take note that the name was looked up."""
        self._resolved = monotonic()

    def connected(self) -> None:
        """Take note that the target is there, or the first server on the way to it."""
        self._connected = monotonic()

    def fields(self, first_byte: float) -> dict[str, float]:
        """Return how long each stage took, in seconds; those that it did not get to are not there.

        :param first_byte: when the first payload came from the target; 0 for never.
        """
        times = {
            "handshake_seconds": (self._accepted, self._asked),
            "lookup_seconds": (self._asked, self._resolved),
            "connect_seconds": (self._resolved or self._asked, self._connected),
            "first_byte_seconds": (self._connected, first_byte),
        }
        return {
            name: round(max(end - begin, 0.0), 3) for name, (begin, end) in times.items() if end
        }
