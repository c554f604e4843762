"""Going through bytes, field by field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from fastsocks.errors import ProtocolError, TruncatedError


class Field(NamedTuple):
    """Some bytes and what they say."""

    #: In bytes; ``22+4`` is in the plaintext of what stands at 22.
    offset: str
    data: bytes
    name: str
    meaning: str
    #: Where it is described: an RFC with its section, or a SIP.
    source: str
    #: Whether nobody is to be shown the bytes.
    secret: bool = False


@dataclass
class Explanation:
    """One direction of a connection, or one datagram."""

    title: str
    fields: list[Field] = field(default_factory=list)
    #: What is wrong; None where nothing is.
    fault: str | None = None


class Walk:
    """Takes fields off the front of some bytes.

    :param fields: where they are put.
    :param prefix: stands in front of each offset.
    """

    def __init__(self, data: bytes, fields: list[Field], prefix: str = "") -> None:
        self.data = data
        self.position = 0
        self._fields = fields
        self._prefix = prefix

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self.data) - self.position

    def peek(self, size: int = 1) -> bytes:
        """Return the next bytes, fewer at the end, and leave them."""
        return self.data[self.position : self.position + size]

    def take(
        self,
        size: int,
        name: str,
        meaning: str | Callable[[bytes], str],
        source: str,
        *,
        secret: bool = False,
    ) -> bytes:
        """Take one field.

        :param meaning: what it says, or how to tell from its bytes.
        :raises TruncatedError: there are fewer bytes than `size`.
        """
        if self.left < size:
            missing = size - self.left
            self.take_rest(name, "cut off", source)
            raise TruncatedError(f"truncated: {missing} more bytes of {name} are missing")
        data = self.peek(size)
        offset = f"{self._prefix}{self.position}"
        said = meaning if isinstance(meaning, str) else meaning(data)
        self._fields.append(Field(offset, data, name, said, source, secret))
        self.position += size
        return data

    def number(self, size: int, name: str, meaning: Callable[[int], str], source: str) -> int:
        """Take a big-endian number."""
        read = int.from_bytes
        return read(self.take(size, name, lambda data: meaning(read(data, "big")), source), "big")

    def take_rest(self, name: str, meaning: str, source: str = "") -> None:
        """Take whatever is left, if anything is."""
        if self.left:
            self.take(self.left, name, meaning, source)

    def inner(self, data: bytes, at: int) -> Walk:
        """Return a walk through the plaintext of what stands at offset `at`."""
        return Walk(data, self._fields, f"{self._prefix}{at}+")


def explained(title: str, data: bytes, read: Callable[[Walk], None]) -> Explanation:
    """Let `read` go through `data`; what it raises is the fault."""
    explanation = Explanation(title)
    walk = Walk(data, explanation.fields)
    try:
        read(walk)
    except ProtocolError as error:
        explanation.fault = str(error)
        walk.take_rest("rest", "not looked at")
    return explanation
