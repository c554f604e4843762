"""A GSSAPI mechanism that anyone can read: what its tokens say is what they are."""

from __future__ import annotations

from fastsocks.errors import ContextError, ProtectionError

OVERHEAD = 3


class ToyContext:
    """One side: the initiator says ``hello``, the acceptor ``welcome``.

    A message is ``c0:`` or ``i0:``, confidential or not, and its text; the digit counts.

    :param initiator: whether this side begins.
    :param answer: what the acceptor answers; empty where it has nothing to say.
    :param limit: the most bytes of a message, where that is less than what fits.
    """

    principal = "alice@TOY"

    def __init__(
        self, *, initiator: bool = False, answer: bytes = b"welcome", limit: int = 0xFFFF
    ) -> None:
        self.complete = False
        self._initiator = initiator
        self._answer = answer
        self._limit = limit
        self._sent = 0
        self._received = 0

    async def step(self, token: bytes) -> bytes:
        """Take in one of the two words."""
        if self._initiator and not token:
            self.complete = not self._answer
            return b"hello"
        if token == b"more":
            return b"more"
        if token != (self._answer if self._initiator else b"hello"):
            raise ContextError("not the word")
        self.complete = True
        return b"" if self._initiator else self._answer

    def wrap(self, message: bytes | bytearray | memoryview, *, confidential: bool) -> bytes:
        """Write a message."""
        number = self._sent % 10
        self._sent += 1
        return b"%c%d:%b" % (b"c" if confidential else b"i", number, bytes(message))

    def unwrap(self, token: bytes) -> tuple[bytes, bool]:
        """Read a message, the next one only."""
        if token[:1] not in {b"c", b"i"} or token[1:3] != b"%d:" % (self._received % 10):
            raise ProtectionError("not the next message")
        self._received += 1
        return token[OVERHEAD:], token[:1] == b"c"

    def size_limit(self, size: int, *, confidential: bool) -> int:
        """Return how much text a token of `size` bytes has room for."""
        return min(self._limit, size - OVERHEAD)
